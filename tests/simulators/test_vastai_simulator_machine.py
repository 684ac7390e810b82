"""What a rented machine shows: the gate, the portal, SwarmUI coming up in steps, its log and its dead-man switch."""

import base64
import gzip
import hashlib
import hmac
import json
import socket
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.simulators.swarmui import HIGH
from tests.simulators.swarmui.messages import Request, Response, text_response
from tests.simulators.swarmui_wire import Wire, pick
from tests.simulators.vastai import DeadManSwitch, VastSimulator
from tests.simulators.vastai.machine import Machine
from tests.simulators.vastai_wire import BEARER, BOOT_SECONDS, ENV, Market

RUNNING_AT = 39.0


@pytest.fixture
def http():
    with httpx.Client(trust_env=False, timeout=5) as client:
        yield client


@pytest.fixture
def ready(vast: VastSimulator, market: Market) -> str:
    """The address of SwarmUI's gate on a machine that is ready."""
    number = market.rent()
    vast.advance(BOOT_SECONDS)
    return market.address(number)


def session(http: httpx.Client, url: str, **more: Any) -> httpx.Response:
    return http.post(f"{url}/API/GetNewSession", json={}, **more)


def test_the_app_comes_up_in_steps(vast: VastSimulator, market: Market, http: httpx.Client) -> None:
    number = market.rent()
    vast.advance(RUNNING_AT + 0.5)
    url = market.address(number)
    with pytest.raises(httpx.ConnectError):
        http.get(url)
    vast.advance(1)
    starting = session(http, url, headers=BEARER)
    vast.advance(20)
    with Wire(url, BEARER) as wire:
        loading = wire.call("GetCurrentStatus")["backend_status"]["status"]
        vast.advance(15)
        ready = wire.call("GetCurrentStatus")["backend_status"]["status"]

    assert (starting.status_code, starting.headers["x-portal-placeholder"]) == (502, "true")
    assert starting.headers["cache-control"] == "no-store"
    assert (loading, ready) == ("loading", "running")
    assert vast.instances()[0]["phase"] == "ready"


def test_behind_cloudflare_the_placeholder_is_a_200(vast: VastSimulator, market: Market, http: httpx.Client) -> None:
    number = market.rent()
    vast.advance(RUNNING_AT + 10)
    direct = market.address(number)
    (tunnel,) = tunnels(http, market, number)[1:]
    answer = http.get(tunnel, headers=BEARER)

    assert (answer.status_code, answer.headers["x-portal-placeholder"]) == (200, "true")
    assert http.get(direct, headers=BEARER).status_code == 502


def tunnels(http: httpx.Client, market: Market, number: int) -> list[str]:
    rows = http.get(f"{market.address(number, 1111)}/get-all-quick-tunnels", headers=BEARER).json()
    assert [row["targetUrl"] for row in rows] == ["http://localhost:1111", "http://localhost:7865"]
    return [row["tunnelUrl"] for row in rows]


def test_without_a_token_nobody_passes_but_the_resolver_answers(ready: str, http: httpx.Client) -> None:
    assert session(http, ready).status_code == 401
    assert session(http, ready, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert session(http, ready, auth=("vastai", "wrong")).status_code == 401
    assert session(http, ready, params={"token": "wrong"}).status_code == 401
    assert http.get(f"{ready}/portal-resolver").status_code == 200


@pytest.mark.parametrize(
    "way", [{"headers": BEARER}, {"params": {"token": "secret"}}, {"auth": ("vastai", "secret")}], ids=str
)
def test_the_secret_opens_the_gate_in_every_documented_way(ready: str, http: httpx.Client, way: dict[str, Any]) -> None:
    assert session(http, ready, **way).json()["session_id"]


def test_a_browser_with_the_token_is_sent_on_with_a_cookie(ready: str, http: httpx.Client) -> None:
    first = http.get(ready, params={"token": "secret", "a": "1"}, headers={"Accept": "text/html"})

    assert (first.status_code, first.headers["location"]) == (302, "/?a=1")
    assert "HttpOnly" in first.headers["set-cookie"]
    assert session(http, ready).json()["session_id"]


def test_the_platforms_own_token_opens_it_too(ready: str, market: Market, http: httpx.Client) -> None:
    token = market.list()["instances"][0]["jupyter_token"]

    assert session(http, ready, headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_job_runs_through_the_gates_websocket(ready: str) -> None:
    with Wire(ready, BEARER) as wire:
        messages = wire.converse()
        (image,) = pick(messages, "image")

        assert len(wire.view(image).content) > 500
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{ready.replace('http', 'ws')}/API/GenerateText2ImageWS", proxy=None)
    assert refused.value.response.status_code == 401


def test_a_tunnel_leads_to_the_same_gate_and_changes_after_a_reboot(
    vast: VastSimulator, market: Market, http: httpx.Client
) -> None:
    number = market.rent()
    vast.advance(BOOT_SECONDS)
    (old,) = tunnels(http, market, number)[1:]
    answers = [session(http, old).status_code, session(http, old, headers=BEARER).status_code]
    market.put(f"v0/instances/reboot/{number}/")
    vast.advance(BOOT_SECONDS)
    (new,) = tunnels(http, market, number)[1:]

    assert answers == [401, 200]
    assert new != old
    with pytest.raises(httpx.ConnectError):
        session(http, old)


def test_the_portal_knows_apps_and_direct_addresses(vast: VastSimulator, market: Market, http: httpx.Client) -> None:
    number = market.rent()
    vast.advance(BOOT_SECONDS)
    portal = market.address(number, 1111)

    def ask(path: str) -> httpx.Response:
        return http.get(f"{portal}{path}", headers=BEARER)

    assert ask("/get-direct-url/7865").json() == {"direct_url": market.address(number)}
    assert ask("/get-existing-quick-tunnel/http://localhost:7865").text == tunnels(http, market, number)[1]
    assert ask("/get-existing-quick-tunnel/http://localhost:9").status_code == 404
    assert set(ask("/get-applications").json()) == {"Instance Portal", "SwarmUI"}
    assert http.get(f"{portal}/get-all-quick-tunnels").status_code == 401


def test_a_tunnel_that_is_started_again_has_a_new_address(vast: VastSimulator, market: Market, http) -> None:
    number = market.rent()
    vast.advance(BOOT_SECONDS)
    old = tunnels(http, market, number)[1]
    new = http.post(f"{market.address(number, 1111)}/start-quick-tunnel/http://localhost:7865", headers=BEARER).text

    assert session(http, new, headers=BEARER).status_code == 200
    with pytest.raises(httpx.ConnectError):
        session(http, old)


def test_tunnels_and_credentials_stand_in_the_log(vast: VastSimulator, market: Market, http: httpx.Client) -> None:
    vast.script(local_tunnels=False, log_real_polls=2)
    number = market.rent()
    vast.advance(BOOT_SECONDS)
    url = market.put(f"v0/instances/request_logs/{number}/", tail="100").json()["result_url"]
    looks = [http.get(url) for _ in range(3)]
    narrow = market.put(f"v0/instances/request_logs/{number}/", tail="1", filter="Tunnel").json()["result_url"]

    assert [look.status_code for look in looks] == [404, 404, 200]
    assert "Default Tunnel started for SwarmUI (http://localhost:7865) - https://" in looks[2].text
    assert "vastai / secret" in looks[2].text
    assert [http.get(narrow).text.count("\n") for _ in range(3)][2] == 1


def test_a_dead_network_swallows_and_a_closed_port_refuses(vast: VastSimulator, market: Market) -> None:
    vast.script(fate_next=["dead_network", "refused"])
    dead, refused = market.rent(), market.rent()
    vast.advance(BOOT_SECONDS)

    def attempt(number: int) -> None:
        _, _, place = market.address(number).rpartition("/")
        host, port = place.split(":")
        socket.create_connection((host, int(port)), timeout=0.3).close()

    assert market.show(dead)["actual_status"] == "running"
    with pytest.raises(TimeoutError):
        attempt(dead)
    with pytest.raises(ConnectionRefusedError):
        attempt(refused)


@pytest.mark.parametrize(("fate", "phase"), [("app_never", "placeholder"), ("backend_errored", "loading")])
def test_an_app_that_never_gets_ready(vast: VastSimulator, market: Market, fate: str, phase: str) -> None:
    vast.script(fate_next=fate)
    market.rent()
    vast.advance(3600)

    assert vast.instances()[0]["phase"] == phase


def test_a_slow_app_gets_ready_in_the_end(vast: VastSimulator, market: Market) -> None:
    vast.script(fate_next="app_late")
    market.rent()
    vast.advance(300)
    early = vast.instances()[0]["phase"]
    vast.advance(300)

    assert (early, vast.instances()[0]["phase"]) == ("placeholder", "ready")


def test_a_running_machine_can_go_dark_and_come_back(vast: VastSimulator, market: Market, http: httpx.Client) -> None:
    number = market.rent()
    vast.advance(BOOT_SECONDS)
    url = market.address(number)
    vast.strike(number, "refused")
    with pytest.raises(httpx.ConnectError):
        http.get(url)
    vast.strike(number, "ok")
    vast.advance(BOOT_SECONDS)

    assert session(http, url, headers=BEARER).status_code == 200


def test_a_destroyed_machines_port_is_closed(vast: VastSimulator, market: Market, http: httpx.Client) -> None:
    number = market.rent()
    vast.advance(BOOT_SECONDS)
    url = market.address(number)
    market.destroy(number)

    with pytest.raises(httpx.ConnectError):
        http.get(url)


def test_a_port_outside_the_portal_is_the_app_itself(vast: VastSimulator, market: Market, http: httpx.Client) -> None:
    vast.script(swarm={"authorization": "Bearer own"})
    number = market.rent(env={"-p 7801:7801": "1"})
    vast.advance(BOOT_SECONDS)
    url = market.address(number, 7801)

    assert session(http, url).status_code == 401
    assert session(http, url, headers={"Authorization": "Bearer own"}).status_code == 200


FILES = ENV | {
    "I2V_FILES": base64.b64encode(
        gzip.compress(
            b"wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors\tdiffusion_models/Wan\t1000000000\tsum\thttp://x\n"
            b"mine.safetensors\tLora/Wan\t500000000\tsum\thttp://x\n"
        )
    ).decode()
}


def test_progress_lines_come_while_models_are_downloaded_and_then_the_models_are_there(
    vast: VastSimulator, market: Market
) -> None:
    vast.script(download_mbps=1000, image_pull_is_billed=False)
    number = market.rent(env=FILES)
    vast.advance(RUNNING_AT + 1 + 8 + 3)
    lines = progress(vast)
    vast.advance(BOOT_SECONDS)
    with Wire(market.address(number), BEARER) as wire:
        names = models(wire)
        loras = models(wire, subtype="LoRA")

    assert lines[0]["step"] == "disk"
    assert [line["done"] for line in lines if "left" in line] == [0, 625000000, 10**9, 10**9]
    assert {"step": "verify", "file": "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors"} in lines
    assert progress(vast)[-1] == {"step": "done", "done": 1500000000, "total": 1500000000, "mbps": 1000, "seconds": 12}
    assert [name for name in names + loras if name.startswith("Wan/")] == [HIGH, "Wan/mine.safetensors"]
    cost = market.show(number)["inet_down_cost"] * 1.5
    assert vast.ledger()["contracts"][0]["bwd"] == pytest.approx(cost, rel=0.01)


def models(wire: Wire, **query: Any) -> list[str]:
    return [model["name"] for model in wire.call("ListModels", path="", depth=9, **query)["files"]]


def test_after_a_reboot_nothing_is_downloaded_again_but_after_a_recycle_it_is(
    vast: VastSimulator, market: Market
) -> None:
    vast.script(download_mbps=1000)
    number = market.rent(env=FILES)
    counts = []
    for how in ("reboot", "recycle"):
        vast.advance(200)
        market.put(f"v0/instances/{how}/{number}/")
        vast.advance(200)
        counts.append(sum(line["step"] == "verify" for line in progress(vast)))

    assert counts == [2, 4]


def test_a_disk_that_is_too_small_is_told(vast: VastSimulator, market: Market) -> None:
    market.rent(env=FILES, disk=8)
    vast.advance(BOOT_SECONDS)

    assert progress(vast)[-1] == {"step": "failed", "error": "disk_full"}


def test_an_image_that_needs_no_download_has_its_models(vast: VastSimulator, market: Market) -> None:
    number = market.rent(env=ENV | {"I2V_FILES": base64.b64encode(gzip.compress(b"")).decode()})
    vast.advance(BOOT_SECONDS)
    with Wire(market.address(number), BEARER) as wire:
        assert HIGH in models(wire)
    assert progress(vast)[-1]["step"] == "done"


def progress(vast: VastSimulator) -> list[dict[str, Any]]:
    lines = [text for text in vast.instances()[0]["log"] if text.startswith("i2v ")]
    return [json.loads(text.removeprefix("i2v ")) for text in lines]


@pytest.mark.parametrize(("fate", "last"), [("provisioning_stuck", "download"), ("provisioning_failed", "failed")])
def test_provisioning_can_stick_or_fail_and_the_models_stay_away(
    vast: VastSimulator, market: Market, fate: str, last: str
) -> None:
    vast.script(fate_next=fate, provisioning="always")
    number = market.rent()
    vast.advance(3600)
    with Wire(market.address(number), BEARER) as wire:
        names = models(wire)

    assert progress(vast)[-1]["step"] == last
    assert HIGH not in names


def test_the_app_can_wait_for_provisioning(vast: VastSimulator, market: Market) -> None:
    vast.script(app_waits_for_provisioning=True, provisioning="always", download_mbps=1000)
    market.rent()
    vast.advance(BOOT_SECONDS + 60)
    early = vast.instances()[0]["phase"]
    vast.advance(600)

    assert (early, vast.instances()[0]["phase"]) == ("placeholder", "ready")


KEY = "00" * 32
LEASE = ENV | {
    "-p 7870:7870": "1",
    "I2V_LEASE_KEY": KEY,
    "I2V_LABEL": "a label",
    "I2V_FILES": "",
    "I2V_MAX_AGE_S": "7200",
}


@pytest.fixture
def guarded(vast: VastSimulator) -> VastSimulator:
    vast.use_agent(DeadManSwitch())
    return vast


def renewal(issued: int, seconds: float, *, label: str = "a label", key: str = KEY) -> bytes:
    text = f"{label}:{issued}:{round(seconds * 1000)}".encode()
    return text + b":" + hmac.new(bytes.fromhex(key), text, hashlib.sha256).hexdigest().encode()


def test_a_machine_whose_lease_is_not_renewed_destroys_itself(guarded: VastSimulator, market: Market) -> None:
    leased, other = market.rent(env=LEASE), market.rent()
    guarded.advance(RUNNING_AT + 595)
    before = market.show(leased)["actual_status"]
    guarded.advance(20)

    assert before == "running"
    assert [row["destroyed_by"] for row in guarded.instances()] == ["its own key", ""]
    assert market.show(other)["actual_status"] == "running"


def test_a_renewed_lease_keeps_the_machine_up_to_its_greatest_age(
    guarded: VastSimulator, market: Market, http: httpx.Client
) -> None:
    number = market.rent(env=LEASE)
    guarded.advance(RUNNING_AT + 60)
    door = f"{market.address(number, 7870)}/lease"
    for issued in range(1, 15):
        assert http.post(door, content=renewal(issued, 600)).json()["remaining_s"] <= 600
        guarded.advance(500)
    alive = market.show(number)["actual_status"]
    age = http.post(door, content=renewal(99, 600)).json()["age_s"]
    guarded.advance(200)

    assert (alive, round(age, -1)) == ("running", 7060)
    assert guarded.instances()[0]["destroyed_by"] == "its own key"


def test_a_renewal_is_signed_for_this_machine_and_newer_than_the_last(
    guarded: VastSimulator, market: Market, http: httpx.Client
) -> None:
    number = market.rent(env=LEASE)
    guarded.advance(RUNNING_AT + 60)
    door = f"{market.address(number, 7870)}/lease"
    wrong = [renewal(5, 600, label="another"), renewal(5, 600, key="11" * 32), renewal(5, 0), b"nonsense"]

    assert {http.post(door, content=body).status_code for body in wrong} == {403}
    assert http.post(door, content=renewal(5, 600)).status_code == 200
    assert http.post(door, content=renewal(5, 600)).json() == {"last": 5}
    assert http.get(door).status_code == 404


def test_a_lease_goes_on_over_a_reboot(guarded: VastSimulator, market: Market) -> None:
    number = market.rent(env=LEASE)
    guarded.advance(RUNNING_AT + 500)
    market.put(f"v0/instances/reboot/{number}/")
    guarded.advance(130)

    assert guarded.state()["instances"] == 0


def test_the_switch_goes_on_trying_when_the_market_does_not_answer(guarded: VastSimulator, market: Market) -> None:
    market.rent(env=LEASE)
    guarded.fail("destroy", "503", "lost", "429", "ignored")
    guarded.advance(RUNNING_AT + 600 + 35)
    trying = guarded.state()["instances"]
    guarded.advance(20)

    assert (trying, guarded.state()["instances"], len(guarded.calls("destroy"))) == (1, 0, 5)


def test_a_machine_without_contact_to_the_market_still_ends_itself(guarded: VastSimulator, market: Market) -> None:
    number = market.rent(env=LEASE)
    guarded.advance(BOOT_SECONDS)
    guarded.strike(number, "unknown")
    guarded.advance(700)

    assert guarded.state()["instances"] == 0


def test_an_agent_of_the_test_runs_on_every_machine(vast: VastSimulator, market: Market, http: httpx.Client) -> None:
    async def hello(request: Request) -> Response:
        return text_response(200, "hello")

    async def agent(machine: Machine, now: float) -> None:
        machine.handlers[9000] = hello
        machine.log(f"tick {machine.env['CONTAINER_ID']}")

    vast.use_agent(agent)
    number = market.rent(env={"-p 9000:9000": "1"})
    vast.advance(BOOT_SECONDS)

    assert http.get(market.address(number, 9000)).text == "hello"
    assert vast.instances()[0]["log"].count(f"tick {number}") == 5


def test_a_market_of_thousands_needs_no_sockets(vast: VastSimulator, market: Market) -> None:
    vast.script(sockets=False)
    number = market.rent()
    vast.advance(BOOT_SECONDS)

    assert market.show(number)["actual_status"] == "running"
    assert market.show(number)["ports"] == {}
