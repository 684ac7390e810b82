"""Where SwarmUI on a rented machine answers, and when it is ready, against the simulated market."""

from collections.abc import Iterator

import pytest
from django.utils import timezone
from pytest_django import Settings

from gpu.clients.vastai import VastClient
from gpu.clients.vastai_messages import Machine as Record
from gpu.clients.vastai_messages import parse_machine
from gpu.models import Instance, ModelFile
from gpu.models import InstanceState as S
from gpu.services import config, readiness
from gpu.services.identity import secret_of
from gpu.services.readiness import Needed, Place
from tests.gpu import renting
from tests.gpu.renting import period, rent, until
from tests.simulators.vastai import VastSimulator

WAN = "wan-2_2-image2video-14b"
HIGH = "Wan/wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors"


@pytest.fixture
def vast(settings: Settings, db: None) -> Iterator[VastSimulator]:
    settings.SWARMUI_PRIVATE_HOSTS = []
    # The clock of our limiter jumps, and with it the patience for a log that is not there yet.
    with VastSimulator(provisioning="never", local_tunnels=True, log_real_polls=0) as simulator:
        renting.use(settings, simulator)
        with renting.one_clock(simulator):
            renting.allow_renting()
            yield simulator


def record_of(vast: VastSimulator, row: Instance) -> Record:
    found = VastClient(vast.url, vast.api_key).show(row.vast_id or 0)
    assert found is not None
    return found


def upload(name: str) -> None:
    """A row of a file that is in the bucket."""
    facts = {"folder": "diffusion_models/Wan", "size_bytes": 27 * 10**9, "sha256": "0" * 64}
    ModelFile.objects.create(name=name, r2_key=f"models/{name}", uploaded_at=timezone.now(), **facts)


def no_logs() -> str:
    raise AssertionError("the log was read although it was not needed")


def test_the_direct_port_is_found_without_any_setting(vast: VastSimulator) -> None:
    row = until(vast, rent(vast), S.READY)
    [place] = [next(readiness.places(record_of(vast, row), secret_of(row), no_logs))]

    assert place.url == row.url == f"http://127.0.0.1:{vast.instances(alive=True)[0]['ports'][7865]}"
    [endpoint] = config.endpoints()
    assert (endpoint.authorization, endpoint.allowed) == (f"Bearer {secret_of(row)}", place.allowed)


def test_without_a_direct_port_the_portal_names_the_tunnel(vast: VastSimulator) -> None:
    row = until(vast, rent(vast), S.READY)
    raw = record_of(vast, row).raw
    hidden = parse_machine(raw | {"ports": {"1111/tcp": raw["ports"]["1111/tcp"]}})

    [place] = list(readiness.places(hidden, secret_of(row), no_logs))
    assert place.url != row.url
    assert readiness.look(place, secret_of(row), []).is_ready


def test_without_a_portal_the_log_names_the_tunnel(vast: VastSimulator) -> None:
    row = until(vast, rent(vast), S.READY)
    log = "\n".join(vast.instances(alive=True)[0]["log"])
    hidden = parse_machine(record_of(vast, row).raw | {"ports": None})

    [place] = list(readiness.places(hidden, secret_of(row), lambda: log))
    assert readiness.look(place, secret_of(row), []).is_ready


@pytest.mark.parametrize(
    "address",
    [
        "http://10.0.0.1:80",
        "https://evil.example/",
        "https://a-b.trycloudflare.com.evil.example",
        "https://x@a-b.trycloudflare.com",
    ],
)
def test_a_log_cannot_lead_us_anywhere_but_to_a_tunnel(vast: VastSimulator, address: str) -> None:
    row = until(vast, rent(vast), S.READY)
    hidden = parse_machine(record_of(vast, row).raw | {"ports": None})
    log = f"Default Tunnel started for SwarmUI (http://localhost:7865) - {address}"
    assert list(readiness.places(hidden, secret_of(row), lambda: log)) == []


def test_a_private_address_from_the_real_market_is_not_called(vast: VastSimulator, settings: Settings) -> None:
    row = until(vast, rent(vast), S.READY)
    record = record_of(vast, row)
    settings.VASTAI_URL = "https://console.vast.ai"
    assert list(readiness.places(record, secret_of(row), str)) == []


def test_a_placeholder_is_not_swarmui(vast: VastSimulator) -> None:
    vast.script(fate_next=["app_never"])
    row = until(vast, rent(vast), S.PROVISIONING)
    period(vast)
    record = record_of(vast, row)
    direct, tunnel = readiness.places(record, secret_of(row), no_logs)

    assert vast.instances(alive=True)[0]["phase"] == "placeholder"
    # Through a tunnel the loader page comes with status 200.
    assert {readiness.look(place, secret_of(row), []).step for place in (direct, tunnel)} == {"nothing"}


def test_the_wrong_secret_opens_nothing(vast: VastSimulator) -> None:
    row = until(vast, rent(vast), S.READY)
    place = Place(row.url, config.endpoint_of(row.url).allowed)
    assert readiness.look(place, "0" * 64, []).step == "nothing"


@pytest.mark.parametrize(
    ("needed", "step"),
    [
        (Needed("Stable-Diffusion", HIGH, WAN), "ready"),
        (Needed("Stable-Diffusion", HIGH, "another-class"), "models"),
        (Needed("Stable-Diffusion", "Wan/not-there.safetensors"), "models"),
        (Needed("LoRA", HIGH), "models"),
    ],
)
def test_ready_means_that_every_model_is_there_as_what_it_is(vast: VastSimulator, needed: Needed, step: str) -> None:
    row = until(vast, rent(vast), S.READY)
    place = Place(row.url, config.endpoint_of(row.url).allowed)
    assert readiness.look(place, secret_of(row), [needed]).step == step


def test_a_machine_is_not_ready_before_its_models_are(vast: VastSimulator) -> None:
    row = rent(vast)
    upload("late.gguf")
    for _ in range(4):
        period(vast)

    row.refresh_from_db()
    assert (row.state, "late.gguf" in row.trouble) == (S.PROVISIONING, True)


def test_downloads_are_followed_and_told(vast: VastSimulator, settings: Settings) -> None:
    bucket = {"bucket_name": "models", "access_key": "x", "secret_key": "y", "endpoint_url": "https://r2.example.com"}
    storage = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": bucket}
    settings.STORAGES = settings.STORAGES | {"default": storage}
    upload("a.gguf")
    vast.script(provisioning="always", download_mbps=1000, app_waits_for_provisioning=True)
    row = until(vast, rent(vast), S.PROVISIONING)
    period(vast)
    period(vast)

    row.refresh_from_db()
    assert (row.step, 0 < row.bytes_done < row.bytes_total, row.download_mbps) == ("download", True, 1000)
    assert row.events.filter(message__startswith="Downloading").exists()


def test_a_rented_machine_counts_as_available(vast: VastSimulator) -> None:
    assert not config.swarmui_available()
    row = until(vast, rent(vast), S.READY)
    assert config.swarmui_available()
    assert {"comfyui", "video"} <= set(row.features)


def test_another_address_after_a_restart_is_followed(vast: VastSimulator) -> None:
    row = until(vast, rent(vast), S.READY)
    Instance.objects.filter(pk=row.pk).update(url="http://127.0.0.1:9")
    renting.want(running=1)
    period(vast)

    old, row = row, Instance.objects.get()
    assert row.url == old.url
    assert row.events.filter(kind="moved").exists()
