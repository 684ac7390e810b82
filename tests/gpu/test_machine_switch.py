"""The dead-man switch, run as on a machine, with seconds for minutes and a server that stands for vast.ai."""

import base64
import gzip
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from gpu.clients.machine_switch import SwitchClient, SwitchRejected, SwitchUnavailable, signed
from tests.gpu.machine_folder import MACHINE, MachineFolder, VastApi, vast_api, wait_for
from tests.simulators.vastai import VastSimulator
from tests.simulators.vastai_wire import Market

LABEL, KEY, OTHER_KEY = "i2v/test/1", "ab" * 32, "cd" * 32
SILENCE_S = 1.5


@pytest.fixture
def vast() -> Iterator[VastApi]:
    with vast_api() as one:
        yield one


@pytest.fixture
def machine(tmp_path: Path, vast: VastApi) -> Iterator[MachineFolder]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one = MachineFolder(
        tmp_path / "machine",
        "curl",
        I2V_LABEL=LABEL,
        I2V_LEASE_KEY=KEY,
        I2V_LEASE_PORT=str(port),
        I2V_SILENCE_S=str(SILENCE_S),
        I2V_MAX_AGE_S="60",
        I2V_RETRY_S="0.1",
        I2V_VAST_API=vast.url,
        CONTAINER_ID="4711",
        CONTAINER_API_KEY="only-this-machine",
    )
    one.state.mkdir()
    yield one
    one.power_off()


def address(machine: MachineFolder) -> str:
    return f"127.0.0.1:{machine.env['I2V_LEASE_PORT']}"


def switched_on(machine: MachineFolder) -> MachineFolder:
    heard = len(machine.said(switch="on"))
    machine.start("switch")
    wait_for(lambda: len(machine.said(switch="on")) > heard, "the switch listens")
    return machine


def client(machine: MachineFolder, key: str = KEY, label: str = LABEL) -> SwitchClient:
    return SwitchClient(address(machine), label=label, key=key)


def post(machine: MachineFolder, message: str) -> int:
    return httpx.post(f"http://{address(machine)}/lease", content=message, timeout=5).status_code


def message(*, issued: int, milliseconds: int = 60_000, key: str = KEY, label: str = LABEL) -> str:
    return signed(label, key, issued_ms=issued, milliseconds=milliseconds)


def kept_alive(machine: MachineFolder, vast: VastApi, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not vast.destroys:
        client(machine).renew(60)
        time.sleep(0.1)


def test_a_machine_that_hears_nothing_destroys_itself(machine: MachineFolder, vast: VastApi) -> None:
    begun = time.monotonic()
    switched_on(machine)
    wait_for(lambda: vast.destroys, "the machine destroys itself")

    path, authorization, at = vast.destroys[0]
    assert (path, authorization) == ("/api/v0/instances/4711/", "Bearer only-this-machine")
    assert at - begun >= SILENCE_S
    assert machine.said(switch="destroying", reason="silence")


def test_it_asks_again_until_it_is_gone_whatever_it_is_told(machine: MachineFolder, vast: VastApi) -> None:
    vast.statuses = [500, 429, 0, 401, 404, 200]
    switched_on(machine)
    wait_for(lambda: len(vast.destroys) >= 8, "it asks again and again")

    results = [one["result"] for one in machine.said(switch="asked")]
    assert results[:2] + results[3:7] == [500, 429, 401, 404, 200, 200]
    waits = [b[2] - a[2] for a, b in zip(vast.destroys, vast.destroys[1:], strict=False)]
    assert waits[-1] > 0.5


def test_it_asks_where_nobody_answers_until_somebody_does(machine: MachineFolder, vast: VastApi) -> None:
    good, machine.env["I2V_VAST_API"] = machine.env["I2V_VAST_API"], "http://127.0.0.1:1"
    switched_on(machine)
    wait_for(lambda: len(machine.said(switch="asked")) >= 3, "it keeps asking in vain")
    machine.power_off()
    machine.env["I2V_VAST_API"] = good
    switched_on(machine)

    wait_for(lambda: vast.destroys, "it is heard at last")


def test_renewals_keep_the_machine(machine: MachineFolder, vast: VastApi) -> None:
    switched_on(machine)
    kept_alive(machine, vast, 3 * SILENCE_S)
    assert vast.destroys == []

    wait_for(lambda: vast.destroys, "it ends when we fall silent")


def test_no_renewal_carries_it_beyond_its_greatest_age(machine: MachineFolder, vast: VastApi) -> None:
    machine.env["I2V_MAX_AGE_S"] = "3"
    begun = time.monotonic()
    switched_on(machine)
    with suppress(SwitchUnavailable):
        kept_alive(machine, vast, 10)

    assert vast.destroys[0][2] - begun >= 3
    assert machine.said(switch="destroying", reason="age")


def test_a_renewal_says_what_is_left_and_how_far_the_downloads_are(machine: MachineFolder) -> None:
    switched_on(machine)
    (machine.state / "progress.json").write_text('{"step":"download","done":5,"total":9,"mbps":3,"left":1}')
    answer = client(machine).renew(1)

    assert 0.5 < answer.remaining_s <= 1
    assert 0 < answer.age_s < 20
    assert answer.progress == {"step": "download", "done": 5, "total": 9, "mbps": 3, "left": 1}


def test_a_renewal_never_grants_more_than_the_silence(machine: MachineFolder) -> None:
    assert client(switched_on(machine)).renew(10_000).remaining_s <= SILENCE_S


FORGERIES: dict[str, Any] = {
    "another key": lambda: message(issued=10, key=OTHER_KEY),
    "another machine's label": lambda: message(issued=10, label="i2v/test/2"),
    "more time than was signed": lambda: message(issued=10, milliseconds=1).replace(":1:", ":60000:"),
    "no time": lambda: message(issued=10, milliseconds=0),
    "time that runs back": lambda: message(issued=10, milliseconds=-5),
    "no signature": lambda: f"{LABEL}:10:60000:",
    "no numbers": lambda: "x:y:z:" + "0" * 64,
    "no text": lambda: "\udcff".encode("utf-8", "surrogateescape"),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_what_we_did_not_sign_changes_nothing(machine: MachineFolder, vast: VastApi, forge: Any) -> None:
    switched_on(machine)
    begun = time.monotonic()
    while not vast.destroys:
        assert post(machine, forge()) == 403
        assert time.monotonic() - begun < 10
        time.sleep(0.1)


def test_a_renewal_counts_once(machine: MachineFolder, vast: VastApi) -> None:
    switched_on(machine)
    caught = message(issued=1000)
    begun = time.monotonic()
    assert (post(machine, caught), post(machine, caught), post(machine, message(issued=999))) == (200, 409, 409)
    while not vast.destroys:
        assert post(machine, caught) == 409
        assert time.monotonic() - begun < 10
        time.sleep(0.1)


def test_a_switch_that_is_killed_goes_on_with_the_same_clocks(machine: MachineFolder, vast: VastApi) -> None:
    machine.env |= {"I2V_SILENCE_S": "4"}
    switched_on(machine)
    caught = message(issued=1000)
    post(machine, caught)
    begun = time.monotonic()
    wait_for(lambda: time.monotonic() - begun > 2, "half the time is gone")
    machine.power_off()
    switched_on(machine)

    assert post(machine, caught) == 409
    again = machine.said(switch="on")[1]
    assert (again["age_s"] >= 1, again["remaining_s"] < 2.5) == (True, True)
    wait_for(lambda: vast.destroys, "it destroys itself")


def test_after_a_reboot_of_the_host_its_age_goes_on(machine: MachineFolder, vast: VastApi) -> None:
    old = {"boot": "another boot", "born": 1e9, "until": 2e9, "last": 77, "age": 59.0}
    (machine.state / "lease.json").write_text(str(old).replace("'", '"'))
    switched_on(machine)

    assert post(machine, message(issued=77)) == 409
    wait_for(lambda: vast.destroys, "its age is reached")
    assert machine.said(switch="destroying", reason="age")


def test_a_spoilt_memory_starts_the_clocks_anew(machine: MachineFolder, vast: VastApi) -> None:
    (machine.state / "lease.json").write_text('{"boot": "x", "bo')
    switched_on(machine)

    wait_for(lambda: vast.destroys, "it destroys itself")


def test_a_wall_clock_that_jumps_changes_nothing(machine: MachineFolder, vast: VastApi, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import itertools, time\n_real, _turn = time.time, itertools.count()\n"
        "time.time = lambda: _real() + (-1) ** next(_turn) * 86400 * 365\n"
    )
    machine.env["PYTHONPATH"] = str(tmp_path)
    switched_on(machine)
    kept_alive(machine, vast, 2 * SILENCE_S)
    assert vast.destroys == []

    wait_for(lambda: vast.destroys, "it ends by the clock that cannot be set")
    assert machine.said(switch="destroying", reason="silence")


def test_a_port_that_is_taken_leaves_the_machine_to_its_silence(machine: MachineFolder, vast: VastApi) -> None:
    with socket.create_server(("0.0.0.0", int(machine.env["I2V_LEASE_PORT"]))):
        machine.start("switch")
        wait_for(lambda: vast.destroys, "it destroys itself")

    assert machine.said(switch="deaf")


def test_a_log_that_cannot_be_written_saves_no_machine(machine: MachineFolder, vast: VastApi) -> None:
    machine.log.unlink()
    machine.log.symlink_to("/dev/full")
    machine.start("switch")

    wait_for(lambda: len(vast.destroys) >= 2, "it destroys itself")


def test_callers_that_say_nothing_keep_nobody_out(machine: MachineFolder, vast: VastApi) -> None:
    switched_on(machine)
    silent = [socket.create_connection(("127.0.0.1", int(machine.env["I2V_LEASE_PORT"]))) for _ in range(20)]
    try:
        assert client(machine).renew(60).remaining_s > 0
    finally:
        for one in silent:
            one.close()


def test_our_clock_may_go_back(machine: MachineFolder) -> None:
    switched_on(machine)
    future = round((time.time() + 86_400) * 1000)
    assert post(machine, message(issued=future, milliseconds=500)) == 200

    assert client(machine).renew(60).remaining_s > 1


def test_another_machine_at_the_address_is_told_from_none(machine: MachineFolder) -> None:
    with pytest.raises(SwitchUnavailable):
        client(machine).renew(60)
    switched_on(machine)

    with pytest.raises(SwitchRejected):
        client(machine, key=OTHER_KEY).renew(60)


# --- against the simulated vast.ai -----------------------------------------------------------------------------------
def test_with_us_dead_the_simulated_market_stops_billing(machine: MachineFolder) -> None:
    with VastSimulator(loading_seconds=1) as market, Market(market) as renter:
        created = renter.create().json()
        market.advance(60)
        machine.env |= {
            "I2V_VAST_API": market.url,
            "CONTAINER_ID": "",
            "VAST_CONTAINERLABEL": f"C.{created['new_contract']}",
            "CONTAINER_API_KEY": created["instance_api_key"],
        }
        assert len(market.instances(alive=True)) == 1
        switched_on(machine)
        wait_for(lambda: not market.instances(alive=True), "the market has it back")
        paid = market.ledger()
        market.advance(86_400)

        assert market.ledger() == paid


# --- with the start script -------------------------------------------------------------------------------------------
def booted(machine: MachineFolder) -> MachineFolder:
    packed = gzip.compress((MACHINE / "switch.py").read_bytes())
    machine.env["I2V_SWITCH"] = base64.b64encode(packed).decode()
    machine.give()
    machine.start("boot").wait(20)
    return machine


def test_booting_starts_the_switch_before_any_download(machine: MachineFolder, vast: VastApi) -> None:
    booted(machine)

    wait_for(lambda: vast.destroys, "the machine destroys itself")
    assert machine.said(step="done")


def test_a_switch_that_dies_is_started_again(machine: MachineFolder, vast: VastApi) -> None:
    machine.env["I2V_SILENCE_S"] = "30"
    booted(machine)
    wait_for(lambda: machine.said(switch="on"), "the switch is on")
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes().endswith(f"{machine.state}/switch.py\0".encode()):
                os.kill(int(path.parent.name), signal.SIGKILL)

    wait_for(lambda: len(machine.said(switch="on")) == 2, "the switch is on again")
    assert client(machine).renew(60).remaining_s > 1


def test_a_machine_that_cannot_destroy_itself_says_so_and_fetches_nothing(machine: MachineFolder) -> None:
    del machine.env["CONTAINER_API_KEY"]
    if Path("/root/.vast_api_key").exists():
        pytest.skip("This is a machine of vast.ai.")
    booted(machine)

    assert machine.error() == "no_instance_key"
    assert machine.said(step="done") == []


def test_a_switch_that_does_not_start_ends_it_before_any_download(machine: MachineFolder) -> None:
    machine.env["I2V_LEASE_KEY"] = "no key"
    booted(machine)

    assert machine.error() == "no_switch"
    assert machine.said(step="done") == []


def test_booting_switches_the_hashing_of_models_off(machine: MachineFolder) -> None:
    settings = machine.swarm / "Data" / "Settings.fds"
    settings.parent.mkdir()
    settings.write_text("Metadata:\n\tImageMetadataIncludeModelHash: true\n\tImageMetadataFormat: auto\n")
    booted(machine)

    assert settings.read_text() == "Metadata:\n\tImageMetadataIncludeModelHash: false\n\tImageMetadataFormat: auto\n"
