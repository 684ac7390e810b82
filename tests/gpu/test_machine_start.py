"""The start script of a rented machine, run by bash in a folder, against a real S3 server and against bad ones."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tests.generation.test_storage_s3 import bucket, s3_url  # noqa: F401 (fixtures)
from tests.gpu.machine_folder import File, FileServer, MachineFolder, file_server, wait_for
from tests.services import missing

MB = 1024 * 1024
ONE, TWO, THREE = (os.urandom(size) for size in (3 * MB + 17, MB, 100))


@pytest.fixture(params=["aria2c", "curl"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MachineFolder]:
    """Once with aria2c, once where only curl is there."""
    yield from made(tmp_path, request.param)


@pytest.fixture
def fast_machine(tmp_path: Path) -> Iterator[MachineFolder]:
    yield from made(tmp_path, "aria2c")


def made(folder: Path, downloader: str) -> Iterator[MachineFolder]:
    if not shutil.which(downloader):
        missing(downloader, "apt install aria2 curl")
    one = MachineFolder(folder / "machine", downloader)
    yield one
    one.power_off()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as one:
        yield one


def served(server: FileServer, name: str, content: bytes, **values: Any) -> File:
    server.contents[f"/{name}"] = content
    return File(name, content, f"{server.url}/{name}?X-Amz-Signature=secret", **values)


def stored(bucket: Any, name: str, content: bytes, **values: Any) -> File:  # noqa: F811
    default_storage.save(f"models/{name}", ContentFile(content))
    parameters = {"Bucket": bucket.name, "Key": f"models/{name}"}
    storage: Any = default_storage
    link = storage.connection.meta.client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=600)
    return File(name, content, link, **values)


def test_files_arrive_whole_in_their_folders(machine: MachineFolder, bucket: Any) -> None:  # noqa: F811
    files = [stored(bucket, "a.safetensors", ONE), stored(bucket, "b.safetensors", TWO, folder="Lora/Wan")]

    assert machine.fetch(*files, stored(bucket, "c.safetensors", THREE, folder="VAE")) == 0
    assert machine.placed() == {
        "diffusion_models/Wan/a.safetensors": ONE,
        "Lora/Wan/b.safetensors": TWO,
        "VAE/c.safetensors": THREE,
    }
    total = len(ONE) + len(TWO) + len(THREE)
    assert [(one["done"], one["total"]) for one in machine.said(step="done")] == [(total, total)]
    assert machine.said()[0]["step"] == "disk"


def test_what_is_there_is_not_fetched_again(machine: MachineFolder, server: FileServer) -> None:
    file = served(server, "a.safetensors", ONE)
    machine.fetch(file)
    asked = len(server.requests)

    assert (machine.fetch(file), len(server.requests)) == (0, asked)
    assert len(machine.said(step="done")) == 2


def test_a_file_that_was_damaged_on_the_machine_is_fetched_anew(machine: MachineFolder, server: FileServer) -> None:
    file = served(server, "a.safetensors", TWO)
    machine.fetch(file)
    path = machine.swarm / "Models" / "diffusion_models" / "Wan" / "a.safetensors"
    path.write_bytes(TWO[:-5])

    assert (machine.fetch(file), path.read_bytes()) == (0, TWO)


def test_connections_that_break_are_gone_on_with(machine: MachineFolder, server: FileServer) -> None:
    server.cut_after = 700_000

    assert machine.fetch(served(server, "a.safetensors", ONE)) == 0
    assert machine.placed() == {"diffusion_models/Wan/a.safetensors": ONE}
    assert server.sent < 2 * len(ONE)


def test_a_connection_that_falls_silent_is_left(machine: MachineFolder, server: FileServer) -> None:
    server.stall_once = True

    assert machine.fetch(served(server, "a.safetensors", ONE)) == 0
    assert machine.placed() == {"diffusion_models/Wan/a.safetensors": ONE}


def test_a_server_in_trouble_is_asked_again(machine: MachineFolder, server: FileServer) -> None:
    server.statuses = [500, 503, 502]

    assert machine.fetch(served(server, "a.safetensors", TWO)) == 0


def test_a_server_that_stays_in_trouble_is_given_up(machine: MachineFolder, server: FileServer) -> None:
    machine.env["I2V_TRIES"] = "3"
    server.statuses = [503] * 50

    assert machine.fetch(served(server, "a.safetensors", TWO)) == 1
    assert (machine.error(), machine.placed()) == ("download_failed", {})


def test_an_object_that_is_too_short_is_refused(machine: MachineFolder, bucket: Any) -> None:  # noqa: F811
    file = stored(bucket, "a.safetensors", TWO[:-1], size=len(TWO), sha256="0" * 64)

    assert machine.fetch(file) == 1
    assert (machine.error(), machine.placed()) == ("wrong_size", {})


def test_an_object_with_another_checksum_is_refused(machine: MachineFolder, bucket: Any) -> None:  # noqa: F811
    assert machine.fetch(stored(bucket, "a.safetensors", TWO, sha256="0" * 64)) == 1
    assert (machine.error(), machine.placed()) == ("wrong_checksum", {})


def test_bytes_that_were_spoilt_once_are_repaired(machine: MachineFolder, server: FileServer) -> None:
    file = served(server, "a.safetensors", TWO)
    server.contents["/a.safetensors"] = bytes(len(TWO))
    machine.give(file)
    process = machine.start("fetch")
    wait_for(lambda: machine.said(step="verify"), "the first copy is verified")
    server.contents["/a.safetensors"] = TWO

    assert process.wait(20) == 0
    assert machine.placed() == {"diffusion_models/Wan/a.safetensors": TWO}


def test_a_link_that_does_not_open_ends_it_at_once(machine: MachineFolder, bucket: Any) -> None:  # noqa: F811
    file = stored(bucket, "a.safetensors", TWO)
    forged = File(file.name, TWO, file.link.replace("X-Amz-Signature=", "X-Amz-Signature=0"))

    assert machine.fetch(forged) == 1
    assert machine.error() == "link_refused"


def test_an_object_that_is_not_there_ends_it_at_once(machine: MachineFolder, bucket: Any) -> None:  # noqa: F811
    file = stored(bucket, "a.safetensors", TWO)
    default_storage.delete("models/a.safetensors")

    assert machine.fetch(file) == 1
    assert machine.error() == "missing"


def test_a_disk_that_is_too_small_is_found_before_anything_is_asked(machine: MachineFolder, server: FileServer) -> None:
    assert machine.fetch(served(server, "a.safetensors", TWO, size=10**15)) == 1

    said = machine.said(step="disk")[0]
    assert (machine.error(), server.requests) == ("disk_full", [])
    assert said["need"] > 10**15 > said["free"]


def test_a_disk_that_fills_up_on_the_way_is_said(machine: MachineFolder, server: FileServer, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("A small disk can be made by root alone.")
    workspace = tmp_path / "machine" / "workspace"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", workspace], check=False)
    if mounted.returncode:
        pytest.skip("Nothing can be mounted here.")
    try:
        (workspace / "SwarmUI").mkdir()
        machine.env["I2V_SPARE_MB"] = "0"
        server.bytes_per_s = 2 * MB
        machine.give(served(server, "a.safetensors", ONE + ONE + ONE))
        process = machine.start("fetch")
        wait_for(lambda: machine.said(step="disk") and server.sent > MB, "the download runs")
        with (workspace / "video").open("wb") as other:
            other.write(bytes(8 * MB))

        assert (process.wait(20), machine.error()) == (1, "disk_full")
    finally:
        machine.power_off()
        subprocess.run(["umount", workspace], check=True)


def test_a_killed_download_goes_on_where_it_was(machine: MachineFolder, server: FileServer) -> None:
    server.bytes_per_s = 0.8 * MB
    file = served(server, "a.safetensors", ONE)
    machine.give(file)
    machine.start("fetch")
    # aria2c writes down how far it is every two seconds.
    wait_for(lambda: server.sent > len(ONE) * 0.75 or machine.said(step="done"), "most of it has come")
    machine.power_off()
    server.bytes_per_s = None
    server.requests.clear()

    assert machine.fetch(file) == 0
    assert machine.placed() == {"diffusion_models/Wan/a.safetensors": ONE}
    # aria2c looks at the whole first; then both ask for the rest alone.
    assert int(server.requests[-1][1].removeprefix("bytes=").partition("-")[0]) > len(ONE) / 3


def test_files_come_side_by_side_and_progress_is_told(machine: MachineFolder, server: FileServer) -> None:
    server.bytes_per_s = MB
    files = [served(server, f"{n}.safetensors", os.urandom(MB)) for n in range(3)]

    assert (machine.fetch(*files), server.most_paths) == (0, 3)
    told = machine.said(step="download")
    assert {one["total"] for one in told} == {3 * MB}
    assert [one["done"] for one in told] == sorted(one["done"] for one in told)
    # Three megabytes a second are about 25 megabits.
    assert 5 < max(one["mbps"] for one in told) < 60


def test_aria2c_fetches_one_file_over_several_connections(fast_machine: MachineFolder, server: FileServer) -> None:
    server.bytes_per_s = 40 * MB
    content = os.urandom(MB) * 64

    assert fast_machine.fetch(served(server, "a.safetensors", content)) == 0
    assert server.most_of_one >= 3
    assert fast_machine.placed() == {"diffusion_models/Wan/a.safetensors": content}


def test_links_stand_in_no_log_and_in_no_list_of_processes(machine: MachineFolder, server: FileServer) -> None:
    server.bytes_per_s = MB
    good = served(server, "a.safetensors", TWO)
    machine.give(good, File("b.safetensors", TWO[::-1] + b"b", "http://127.0.0.1:1/b?X-Amz-Signature=secret"))
    machine.env["I2V_TRIES"] = "3"
    process = machine.start("fetch")
    wait_for(lambda: server.sent, "the download runs")
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if readable(path)]
    secrets = [path for path in machine.state.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
    process.wait(20)

    assert not [one for one in commands if b"X-Amz-Signature=secret" in one]
    assert machine.error() == "download_failed"
    assert "secret" not in machine.log.read_text()
    assert secrets
    assert {path.stat().st_mode & 0o077 for path in (machine.state, *secrets)} == {0}


def readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def test_models_wait_until_the_image_has_unpacked_swarmui(machine: MachineFolder, server: FileServer) -> None:
    machine.swarm.rmdir()
    machine.give(served(server, "a.safetensors", TWO))
    process = machine.start("fetch")
    staging = machine.root / "workspace" / ".i2v-models"
    wait_for(lambda: [p for p in staging.glob("*") if p.suffix == ""], "the file is whole")
    # The image takes SwarmUI for unpacked as soon as its folder is there.
    assert not machine.swarm.exists()
    machine.swarm.mkdir()

    assert process.wait(20) == 0
    assert machine.placed() == {"diffusion_models/Wan/a.safetensors": TWO}
    assert (machine.swarm / "Models/diffusion_models/Wan/a.safetensors").stat().st_mode & 0o777 == 0o644


def test_models_belong_to_whom_swarmui_belongs(fast_machine: MachineFolder, server: FileServer) -> None:
    if os.geteuid() != 0:
        pytest.skip("Only root gives files away.")
    os.chown(fast_machine.swarm, 12345, 12345)
    fast_machine.fetch(served(server, "a.safetensors", THREE))

    assert {path.stat().st_uid for path in fast_machine.swarm.rglob("*")} == {12345}


def test_swarmui_that_never_comes_is_said(machine: MachineFolder, server: FileServer) -> None:
    machine.swarm.rmdir()
    machine.env["I2V_SWARM_WAIT_S"] = "1"

    assert machine.fetch(served(server, "a.safetensors", THREE)) == 1
    assert machine.error() == "no_swarmui"


@pytest.mark.parametrize("name", ["../a", "a b", ".a", "a/b", "$(id)"])
def test_names_that_could_lead_elsewhere_are_refused(
    fast_machine: MachineFolder, server: FileServer, name: str
) -> None:
    assert fast_machine.fetch(File(name, TWO, f"{server.url}/a")) == 1
    assert (fast_machine.error(), server.requests) == ("bad_list", [])


@pytest.mark.parametrize("folder", ["..", "VAE/../../..", "/etc", "a b", ""])
def test_folders_that_could_lead_elsewhere_are_refused(
    fast_machine: MachineFolder, server: FileServer, folder: str
) -> None:
    assert fast_machine.fetch(File("a", TWO, f"{server.url}/a", folder=folder)) == 1
    assert (fast_machine.error(), server.requests) == ("bad_list", [])


def test_a_list_that_was_cut_short_is_refused(fast_machine: MachineFolder, server: FileServer) -> None:
    fast_machine.give(served(server, "a.safetensors", TWO), served(server, "b.safetensors", TWO))
    fast_machine.env["I2V_FILES"] = fast_machine.env["I2V_FILES"][:-40]

    assert fast_machine.start("fetch").wait(20) == 1
    assert (fast_machine.error(), server.requests) == ("bad_list", [])


def test_a_machine_without_models_is_ready_at_once(fast_machine: MachineFolder) -> None:
    assert fast_machine.fetch() == 0
    assert [one["total"] for one in fast_machine.said(step="done")] == [0]
