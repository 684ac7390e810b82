"""Keys, scopes, rate limits and the daily quota of the simulated market."""

import httpx
import pytest

from tests.simulators.vastai import VastSimulator
from tests.simulators.vastai_wire import Market


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({}, 403, "requires login"),
        ({"Authorization": "Bearer wrong"}, 401, "Invalid user key"),
        ({"Authorization": "Basic c2lt"}, 401, "Invalid user key"),
    ],
)
def test_no_key_and_a_wrong_key_are_told_apart(
    vast: VastSimulator, headers: dict[str, str], status: int, words: str
) -> None:
    answer = httpx.get(f"{vast.url}/api/v1/instances/", headers=headers, trust_env=False)

    assert (answer.status_code, answer.json()["error"]) == (status, "auth_error")
    assert words in answer.json()["msg"]


def test_an_unknown_key_can_be_a_404_on_charges(vast: VastSimulator) -> None:
    vast.script(unknown_key_is_404=True)
    with Market(vast, "wrong") as stranger:
        assert stranger.get("v0/charges/").status_code == 404
        assert stranger.get("v1/instances/").status_code == 401


def test_a_second_factor_blocks_reads(vast: VastSimulator, market: Market) -> None:
    vast.script(two_factor=True)
    answer = market.get("v0/users/current")

    assert (answer.status_code, "Two Factor" in answer.json()["msg"]) == (401, True)
    assert market.offers()


def test_a_key_has_scopes(vast: VastSimulator, market: Market) -> None:
    vast.script(scopes=["misc", "instance_read"])

    assert market.offers()
    assert market.list()["success"] is True
    assert market.create().status_code == 403
    assert market.get("v0/users/current").status_code == 403


def test_a_key_in_the_address_does_not_help_and_is_noticed(vast: VastSimulator) -> None:
    answer = httpx.get(f"{vast.url}/api/v0/users/current?api_key={vast.api_key}", trust_env=False)

    assert answer.status_code == 403
    assert vast.state()["violations"] == ["key in the address"]


@pytest.mark.parametrize("style", ["429_text", "429_detail", "429_retry_after", "429_header"])
def test_calls_too_close_together_get_every_kind_of_429(vast: VastSimulator, market: Market, style: str) -> None:
    vast.script(rate_scale=1.0, rate_clock="simulated", rate_style=style, retry_after=3)
    market.list()
    answer = market.get("v1/instances/")
    vast.advance(2.1)

    assert answer.status_code == 429
    assert (answer.headers.get("retry-after") == "3") is (style == "429_header")
    assert ("detail" in answer.text) is (style == "429_detail")
    assert ("retry_after" in answer.text) is (style == "429_retry_after")
    assert market.get("v1/instances/").status_code == 200
    assert vast.state()["violations"] == ["list"]


def test_a_create_that_came_too_early_is_punished(vast: VastSimulator, market: Market) -> None:
    first, second = market.offers(num_gpus={"eq": 1}, gpu_frac={"eq": 1}, rentable={"eq": True})[:2]
    vast.script(rate_scale=1.0, rate_clock="simulated")
    market.rent(first["id"])
    codes = []
    for seconds in (4.4, 4.6, 12.1):
        vast.advance(seconds)
        codes.append(market.create(second["id"]).status_code)

    assert codes == [429, 429, 200]


def test_intervals_can_be_measured_in_real_time(vast: VastSimulator, market: Market) -> None:
    vast.script(rate_scale=100.0)
    codes = [market.get("v0/instances/").status_code for _ in range(2)]
    vast.script(rate_scale=0.0)

    assert codes == [200, 429]
    assert market.get("v0/instances/").status_code == 200


def test_the_limits_are_per_key(vast: VastSimulator, market: Market) -> None:
    number = market.rent()
    vast.script(rate_scale=1.0, rate_clock="simulated")
    market.put(f"v0/instances/{number}/", label="x")
    with Market(vast, vast.instances()[0]["api_key"]) as machine:
        assert machine.put(f"v0/instances/{number}/", state="stopped").status_code == 200
    assert market.put(f"v0/instances/{number}/", label="y").status_code == 429


def test_searches_have_a_daily_quota_until_midnight(vast: VastSimulator, market: Market) -> None:
    vast.script(search_quota=2)
    codes = [market.http.post("/api/v0/bundles/", json={}).status_code for _ in range(3)]
    refused = market.http.post("/api/v0/bundles/", json={})
    reset = float(refused.headers["x-ratelimit-reset"])
    vast.advance(reset - vast.now)

    assert codes == [200, 200, 429]
    assert refused.json()["error"] == "search_quota_exceeded"
    assert reset % 86400 == 0
    assert market.offers()


def test_the_journal_knows_every_call_and_no_key(vast: VastSimulator, market: Market) -> None:
    vast.fail("*", "503")
    market.get("v0/users/current")
    market.get("v0/users/current")

    assert [(call["status"], call["fault"]) for call in vast.calls("user")] == [(503, "503"), (200, "")]
    assert vast.api_key not in str(vast.calls())


def test_the_observers_door_answers_over_http(vast: VastSimulator) -> None:
    with httpx.Client(base_url=f"{vast.url}/sim", trust_env=False) as door:
        before = door.get("/state").json()["now"]

        assert door.post("/advance", json={"seconds": 60}).json()["now"] == before + 60
        assert door.post("/script", json={"credit": 5}).json()["credit"] == 5
        assert door.post("/fail", json={"endpoint": "list", "faults": ["500"]}).json() == {
            "fail_next": {"list": ["500"]}
        }
        assert door.post("/strike", json={"id": 1, "fate": "ok"}).status_code == 400
        assert {door.get(f"/{name}").status_code for name in ("ledger", "instances", "calls")} == {200}
        assert door.get("/nothing").status_code == 404
