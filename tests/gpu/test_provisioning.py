"""What is sent to a machine, tried on a folder that stands for one; and what is made of its answers."""

import base64
import gzip
import hashlib
import json
import os
import random
import socket
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from gpu.errors import ModelsNotUploaded, StorageSignsNoLinks
from gpu.models import GpuConfig, Instance, ModelFile
from gpu.services import config, model_files
from gpu.services.identity import lease_key_of, secret_of
from gpu.services.provisioning import (
    DEFAULT_TEMPLATE,
    MachineSpec,
    Progress,
    onstart,
    parse_progress,
    renew_lease,
)
from tests.generation.test_storage_s3 import KEY, SECRET, bucket, s3_url  # noqa: F401 (fixtures)
from tests.gpu.machine_folder import MachineFolder, VastApi, vast_api, wait_for

CONTENTS = (os.urandom(700_000), os.urandom(1000))


@pytest.fixture
def instance(db: None) -> Instance:
    now = timezone.now()
    return Instance.objects.create(label="i2v/test/1", created_at=now, max_until=now + timedelta(hours=6))


@pytest.fixture
def files(db: None, bucket: Any) -> list[ModelFile]:  # noqa: F811
    """Two files of the catalogue, uploaded."""
    rows = list(ModelFile.objects.filter(folder__startswith="diffusion_models"))
    for row, content in zip(rows, CONTENTS, strict=True):
        default_storage.save(row.r2_key, ContentFile(content))
        model_files.register(row, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    return rows


def spec_of(instance: Instance, files: list[ModelFile]) -> MachineSpec:
    return onstart(instance, files=files, deployment="test")


def unpacked(text: str) -> str:
    return gzip.decompress(base64.b64decode(text)).decode()


# --- the catalogue ---------------------------------------------------------------------------------------------------
def test_the_files_of_the_catalogues_wan_row_are_known(db: None) -> None:
    row = apps.get_model("generation", "VideoModel").objects.get(slug="wan-2-2")
    known = {str(one).removesuffix(".safetensors") for one in model_files.needed(["wan-2-2"])}
    named = {f"diffusion_models/{row.high_noise_model}", f"diffusion_models/{row.low_noise_model}"}
    loras = {f"Lora/{one['name']}" for one in row.loras}

    assert known == named | loras | {"text_encoders/umt5_xxl_fp8_e4m3fn_scaled", "VAE/Wan/wan_2.1_vae"}
    assert model_files.missing(["wan-2-2"]) == model_files.needed(["wan-2-2"])
    assert model_files.needed(["motion-preview"]) == []


# --- what is sent ----------------------------------------------------------------------------------------------------
def test_a_file_that_was_not_uploaded_is_said_before_anything_is_rented(
    instance: Instance, files: list[ModelFile]
) -> None:
    with pytest.raises(ModelsNotUploaded, match="umt5"):
        spec_of(instance, [*files, ModelFile.objects.get(folder="text_encoders")])


def test_without_a_bucket_there_are_no_links(instance: Instance) -> None:
    row = ModelFile(name="a", folder="VAE", r2_key="a", size_bytes=1, sha256="0" * 64, uploaded_at=timezone.now())

    with pytest.raises(StorageSignsNoLinks):
        spec_of(instance, [row])
    assert spec_of(instance, []).env["I2V_FILE_COUNT"] == "0"


def test_no_key_of_ours_goes_to_the_machine_but_its_own_two(
    instance: Instance, files: list[ModelFile], settings: Settings
) -> None:
    settings.VASTAI_API_KEY = "the-key-of-the-account"
    spec = spec_of(instance, files)
    everything = (
        json.dumps(spec.env) + spec.onstart + "".join(unpacked(spec.env[f"I2V_{n}"]) for n in ("START", "FILES"))
    )

    assert spec.env["WEB_PASSWORD"] == secret_of(instance)
    assert spec.env["I2V_LEASE_KEY"] == lease_key_of(instance)
    for secret in (settings.SECRET_KEY, "the-key-of-the-account", SECRET):
        assert secret not in everything
    assert secret_of(instance) not in repr(spec)
    # A presigned link names the key it was signed with; that is its id, not its secret.
    assert unpacked(spec.env["I2V_FILES"]).count(KEY) == 2


def test_links_end_when_a_machine_must_be_ready(instance: Instance, files: list[ModelFile], settings: Settings) -> None:
    settings.BOOT_DEADLINE_SECONDS, settings.PROVISION_DEADLINE_SECONDS = 100, 23
    listed = unpacked(spec_of(instance, files).env["I2V_FILES"])

    assert listed.count("X-Amz-Expires=123&") == len(files) == listed.count("\n")


def test_everything_fits_into_what_vast_ai_takes(
    instance: Instance, files: list[ModelFile], settings: Settings
) -> None:
    rng = random.Random(1)
    many = [
        ModelFile(
            name=f"{rng.randbytes(30).hex()}.safetensors",
            folder="diffusion_models/Wan",
            r2_key=rng.randbytes(60).hex(),
            size_bytes=14_300_000_000,
            sha256=rng.randbytes(32).hex(),
            uploaded_at=timezone.now(),
        )
        for _ in range(12)
    ]
    spec = spec_of(instance, many)

    assert sum(len(name) + len(value) for name, value in spec.env.items()) < 32768
    assert len(spec.onstart) < 1024
    assert spec.disk_gb >= 12 * 14.3


def test_too_many_files_are_refused_rather_than_cut(instance: Instance, files: list[ModelFile]) -> None:
    rng = random.Random(1)
    now = timezone.now()
    many = [
        ModelFile(
            name=f"{n}", folder="VAE", r2_key=rng.randbytes(100).hex(), size_bytes=1, sha256="0" * 64, uploaded_at=now
        )
        for n in range(200)
    ]

    with pytest.raises(ValueError, match="32768"):
        spec_of(instance, many)


@pytest.mark.parametrize(
    ("template", "image", "expected"),
    [
        ("", "", (DEFAULT_TEMPLATE, "")),
        ("", "our/image:1", ("", "our/image:1")),
        ("abc", "", ("abc", "")),
        ("abc", "our/image:1", ("abc", "")),
    ],
)
def test_a_template_or_an_image_is_asked_for(
    instance: Instance, template: str, image: str, expected: tuple[str, str]
) -> None:
    config.load()
    GpuConfig.objects.update(template_hash=template, image=image)
    spec = spec_of(instance, [])

    assert (spec.template_hash, spec.image) == expected
    assert (spec.disk_gb, spec.runtype) == (80, "ssh_direct")


def test_swarmui_is_started_behind_a_gate_with_a_password(instance: Instance) -> None:
    env = spec_of(instance, []).env

    assert {key for key in env if key.startswith("-p ")} == {"-p 1111:1111", "-p 7865:7865", "-p 7870:7870"}
    assert "swarm" in env["PORTAL_CONFIG"].lower()
    assert env.get("ENABLE_AUTH", "true") == "true"
    assert "AUTH_EXCLUDE" not in env


def test_the_greatest_age_is_the_rows(instance: Instance) -> None:
    assert spec_of(instance, []).env["I2V_MAX_AGE_S"] == str(6 * 3600)


# --- a machine from onstart to its end -------------------------------------------------------------------------------
@pytest.fixture
def vast() -> Iterator[VastApi]:
    with vast_api() as one:
        yield one


@pytest.fixture
def machine(tmp_path: Path, settings: Settings) -> Iterator[MachineFolder]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings.SWARMUI_PRIVATE_HOSTS = [f"127.0.0.1:{port}"]
    one = MachineFolder(tmp_path / "machine", "curl", CONTAINER_ID="4711", CONTAINER_API_KEY="its-own", PORT=str(port))
    yield one
    one.power_off()


def rent(machine: MachineFolder, spec: MachineSpec, vast: VastApi) -> str:
    """Start the container as vast.ai would; gives the address of its switch."""
    entrypoint = Path(machine.env["PATH"]) / "entrypoint.sh"
    entrypoint.write_text(f"#!/bin/sh\necho started >>{machine.root}/entrypoint.log\n")
    entrypoint.chmod(0o755)
    sent = {name: value for name, value in spec.env.items() if not name.startswith("-")}
    ours = {
        "I2V_VAST_API": vast.url,
        "I2V_LEASE_PORT": machine.env["PORT"],
        "I2V_SILENCE_S": "2.5",
        "I2V_RETRY_S": "0.1",
    }
    machine.env = sent | machine.env | ours
    subprocess.run(["bash", "-c", spec.onstart], env=machine.env, check=True, timeout=20)
    return f"127.0.0.1:{machine.env['PORT']}"


def test_a_machine_from_its_start_to_our_end(
    instance: Instance, files: list[ModelFile], machine: MachineFolder, vast: VastApi
) -> None:
    address = rent(machine, spec_of(instance, files), vast)
    assert (machine.root / "entrypoint.log").read_text() == "started\n"
    soon = timezone.now().timestamp() + 3600

    def ready() -> bool:
        renewed = renew_lease(instance, address, soon)
        assert renewed.ok
        return renewed.progress is not None and renewed.progress.step == "done"

    wait_for(ready, "the models are there")
    assert sorted(machine.placed().values()) == sorted(CONTENTS)
    assert parse_progress(machine.log.read_text()).bytes_done == sum(map(len, CONTENTS))
    assert vast.destroys == []
    # The platform is dead from here on.
    wait_for(lambda: vast.destroys, "the machine gives itself back")
    assert vast.destroys[0][:2] == ("/api/v0/instances/4711/", "Bearer its-own")


def test_a_renewal_tells_of_trouble_on_the_machine(
    instance: Instance, files: list[ModelFile], machine: MachineFolder, vast: VastApi
) -> None:
    spec = spec_of(instance, files)
    default_storage.delete(files[0].r2_key)
    address = rent(machine, spec, vast)

    def told() -> bool:
        # The machine's log has the line a moment before its switch can tell of it.
        progress = renew_lease(instance, address, timezone.now().timestamp() + 60).progress
        wanted = ("failed", "missing", files[0].name)
        return progress is not None and (progress.step, progress.error, progress.file) == wanted

    wait_for(told, "the trouble is told")


def test_a_machine_of_another_row_refuses_our_renewal(
    instance: Instance, machine: MachineFolder, vast: VastApi
) -> None:
    address = rent(machine, spec_of(instance, []), vast)
    other = Instance.objects.create(label="i2v/test/2")

    assert renew_lease(other, address, timezone.now().timestamp() + 60).error == "refused"


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8000", "169.254.169.254:8080", "10.0.0.1:7870", "name:7870", "8.8.8.8", ""]
)
def test_vast_ais_word_leads_us_nowhere_inside(instance: Instance, address: str) -> None:
    assert renew_lease(instance, address, timezone.now().timestamp() + 60).error == "bad_address"


def test_nobody_there_is_unreachable_and_the_past_is_over(instance: Instance, settings: Settings) -> None:
    settings.SWARMUI_PRIVATE_HOSTS = ["127.0.0.1:1"]

    assert renew_lease(instance, "127.0.0.1:1", timezone.now().timestamp() + 60).error == "unreachable"
    assert renew_lease(instance, "127.0.0.1:1", timezone.now().timestamp() - 1).error == "over"


# --- progress --------------------------------------------------------------------------------------------------------
DISK = 'i2v {"step":"disk","need":100,"free":200}\n'
HALF = 'i2v {"step":"download","done":50,"total":100,"mbps":210,"left":1}\n'
FAILED = 'i2v {"step":"failed","error":"wrong_checksum","file":"a"}\n'


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", Progress()),
        ("Pulling image\n" + DISK, Progress("disk")),
        (DISK + HALF, Progress("download", 50, 100, 210.0)),
        (DISK + HALF + 'i2v {"step":"verify","file":"a"}\n', Progress("download", 50, 100, 210.0, "", "a")),
        (HALF + FAILED, Progress("failed", 50, 100, 210.0, "wrong_checksum", "a")),
        (HALF + FAILED + HALF, Progress("failed", 50, 100, 210.0, "wrong_checksum", "a")),
        (FAILED + DISK + HALF, Progress("download", 50, 100, 210.0)),
        (HALF + 'i2v {"switch":"on"}\ni2v {"step":"what"}\ni2v {brok\ni2v []\n', Progress("download", 50, 100, 210.0)),
        ('i2v {"step":"done","done":100,"total":100,"mbps":180,"seconds":4}', Progress("done", 100, 100, 180.0)),
        ('i2v {"step":"download","done":"x","total":-1,"mbps":1e999}', Progress("download", 0, 0, 0.0)),
        ('i2v {"step":"failed","error":"<script>"}', Progress("failed", error="unknown")),
    ],
)
def test_progress_is_read_from_the_log(log: str, expected: Progress) -> None:
    assert parse_progress(log) == expected


@given(
    st.lists(st.one_of(st.text(), st.just("i2v {"), st.just(HALF), st.recursive(st.none(), st.lists).map(json.dumps)))
)
def test_no_log_is_too_odd(parts: list[str]) -> None:
    assert parse_progress("".join(parts)).bytes_done in (0, 50)
