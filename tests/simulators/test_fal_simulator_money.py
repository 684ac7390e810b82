"""The simulated fal's books: what is billed, what the platform tells of it, and what an empty account may do."""

import json
from decimal import Decimal

import pytest

from tests.simulators.fal import FalSimulator
from tests.simulators.fal_wire import TURBO, WAN, Caller
from tests.simulators.fal_wire import shape as video_shape


@pytest.mark.parametrize(
    ("endpoint", "changes", "usd"),
    [
        (WAN, {"resolution": "480p", "num_frames": 80}, "0.2"),
        (WAN, {"resolution": "580p", "num_frames": 80}, "0.3"),
        (WAN, {"resolution": "720p", "num_frames": 32, "frames_per_second": 32}, "0.16"),
        (TURBO, {"resolution": "480p"}, "0.05"),
        (TURBO, {"resolution": "720p"}, "0.1"),
    ],
)
def test_a_finished_request_costs_what_the_page_of_the_model_says(
    fal: FalSimulator, caller: Caller, endpoint: str, changes, usd: str
):
    result = caller.finish(endpoint, **changes)
    price = caller.api("models/pricing", endpoint_id=endpoint).json()["prices"][0]

    assert Decimal(fal.requests()[0]["billed"]) == Decimal(usd)
    units = Decimal(result.headers["x-fal-billable-units"])
    assert units * Decimal(str(price["unit_price"])) == Decimal(usd)


@pytest.mark.parametrize(
    "fate", ["fail_input", "fail_policy", "fail_download", "fail_internal", "fail_generation_timeout", "fail_runner"]
)
def test_what_failed_is_not_billed(fal: FalSimulator, caller: Caller, fate: str):
    fal.script(fate_next=[fate])
    answer = caller.finish()

    assert answer.status_code >= 400
    assert answer.json()["detail"]
    assert fal.requests()[0]["billed"] == "0"
    assert fal.state()["balance"] == "100.0"


def test_a_422_that_used_a_gpu_may_be_billed(fal: FalSimulator, caller: Caller):
    fal.script(fate_next=["fail_policy"], bill_failed=True)
    caller.finish()

    assert len(fal.paid_requests()) == 1


def test_an_exhausted_account_is_locked_until_it_is_topped_up(fal: FalSimulator, caller: Caller):
    fal.script(credit=0.01)
    caller.finish()
    locked = caller.submit()
    fal.top_up(5)

    assert (locked.status_code, "Exhausted balance" in locked.json()["detail"]) == (403, True)
    assert caller.submit().status_code == 200
    assert len(fal.requests()) == 2


def test_too_many_open_requests_are_refused(fal: FalSimulator, caller: Caller):
    fal.script(max_open=1)
    caller.begin()
    refused = caller.submit()

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert len(fal.requests()) == 1


def test_the_history_has_every_request_with_its_input_and_end(fal: FalSimulator, caller: Caller):
    fal.script(fate_next=["ok", "fail_policy", "stuck"])
    for prompt in ("first", "second", "third"):
        caller.begin(prompt=prompt)
        fal.advance(10)
    rows = caller.api("models/requests/by-endpoint", endpoint_id=WAN, expand="payloads").json()["items"]

    assert [(row["json_input"]["prompt"], row["status_code"]) for row in rows] == [
        ("third", None),
        ("second", 422),
        ("first", 200),
    ]
    assert rows[0]["ended_at"] is None
    assert rows[2]["json_output"]["video"]["url"].startswith(fal.media_url)


@pytest.mark.parametrize(("status", "count"), [("success", 1), ("user_error", 1), ("error", 1)])
def test_the_history_is_filtered_by_outcome(fal: FalSimulator, caller: Caller, status: str, count: int):
    fal.script(fate_next=["ok", "fail_policy", "fail_internal"])
    for _ in range(3):
        caller.finish()

    assert len(caller.api("models/requests/by-endpoint", endpoint_id=WAN, status=status).json()["items"]) == count


def test_the_history_has_pages_and_finds_one_request(fal: FalSimulator, caller: Caller):
    ids = [caller.begin()["request_id"] for _ in range(3)]
    fal.advance(10)
    first = caller.api("models/requests/by-endpoint", endpoint_id=WAN, limit=2).json()
    second = caller.api("models/requests/by-endpoint", endpoint_id=WAN, limit=2, cursor=first["next_cursor"]).json()
    one = caller.api("models/requests/by-endpoint", endpoint_id=WAN, request_id=ids[0]).json()

    assert {row["request_id"] for row in first["items"] + second["items"]} == set(ids)
    assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)
    assert [row["request_id"] for row in one["items"]] == [ids[0]]


def test_inputs_are_not_in_the_history_when_they_were_not_to_be_stored(caller: Caller):
    caller.finish(headers={"X-Fal-Store-IO": "0"})
    row = caller.api("models/requests/by-endpoint", endpoint_id=WAN, expand="payloads").json()["items"][0]

    assert "json_input" not in row


def test_the_history_can_lag_behind(fal: FalSimulator, caller: Caller):
    fal.script(history_lag_seconds=300)
    caller.finish()
    early = caller.api("models/billing-events").json()["billing_events"]
    fal.advance(300)

    assert early == []
    assert len(caller.api("models/billing-events").json()["billing_events"]) == 1


def test_charges_usage_and_balance_agree_with_the_ledger(fal: FalSimulator, caller: Caller):
    caller.finish()
    caller.finish(TURBO)
    billed = [Decimal(row["billed"]) for row in fal.paid_requests()]
    events = caller.api("models/billing-events").json()["billing_events"]
    used = caller.api("models/usage").json()["time_series"][0]["results"]
    account = caller.api("account/billing", expand="credits").json()["credits"]

    assert [Decimal(str(row["cost_total"])) for row in reversed(events)] == billed
    assert [row["cost_estimate_nano_usd"] for row in reversed(events)] == [int(usd * 10**9) for usd in billed]
    assert sum(Decimal(str(row["cost"])) for row in used) == sum(billed)
    assert Decimal(str(account["current_balance"])) == 100 - sum(billed)


def test_the_platform_needs_a_key_and_for_money_that_of_an_admin(fal: FalSimulator, caller: Caller):
    fal.script(admin_key=False)

    assert caller.api("models/billing-events").json()["error"]["type"] == "authorization_error"
    assert caller.api("account/billing").status_code == 403
    assert caller.api("models/pricing", endpoint_id=WAN).status_code == 200
    with Caller(fal, key="wrong") as stranger:
        assert stranger.api("models/pricing", endpoint_id=WAN).status_code == 401


def test_an_unknown_endpoint_has_no_price(caller: Caller):
    assert caller.api("models/pricing", endpoint_id="someone/else").status_code == 404


def test_the_observer_sees_options_and_webhook_of_every_request(fal: FalSimulator, caller: Caller):
    keep = json.dumps({"expiration_duration_seconds": 60})
    caller.begin(webhook="http://127.0.0.1:9/hook/n-17", headers={"X-Fal-Object-Lifecycle-Preference": keep})
    caller.begin(prompt="another")

    assert len(fal.requests_for("n-17")) == 1
    assert fal.requests_for("n-17")[0]["headers"] == {"x-fal-object-lifecycle-preference": keep}
    assert len(fal.requests_for(lambda row: row["input"]["prompt"] == "another")) == 1


@pytest.mark.parametrize(
    ("endpoint", "changes", "usd", "shape"),
    [
        ("fal-ai/wan-25-preview/image-to-video", {"duration": "10"}, "0.5", (640, 480, 241, 24)),
        ("fal-ai/kling-video/v2.5-turbo/standard/image-to-video", {"duration": "5"}, "0.21", (960, 720, 121, 24)),
        ("fal-ai/minimax/hailuo-02/standard/image-to-video", {"resolution": "512P"}, "0.102", (688, 512, 145, 24)),
        (
            "fal-ai/bytedance/seedance/v1/pro/fast/image-to-video",
            {"aspect_ratio": "16:9", "duration": "2"},
            "0.01908",
            (848, 480, 49, 24),
        ),
        (
            "fal-ai/ltx-2-19b/image-to-video",
            {"video_size": {"width": 640, "height": 352}, "num_frames": 25, "fps": 25},
            "0.010138",
            (640, 352, 25, 25),
        ),
    ],
)
def test_other_models_have_prices_and_shapes_of_their_own(
    fal: FalSimulator, caller: Caller, endpoint: str, changes, usd: str, shape: tuple[int, int, int, int]
):
    result = caller.finish(endpoint, **changes)
    found = video_shape(caller.get(result.json()["video"]["url"]).content)

    assert Decimal(fal.requests()[0]["billed"]) == Decimal(usd)
    assert (found.width, found.height, found.frames, found.fps) == shape


def test_a_model_that_takes_no_seed_tells_none(caller: Caller):
    assert set(caller.finish("fal-ai/kling-video/v2.5-turbo/standard/image-to-video").json()) == {"video"}


def test_wan_25_tells_the_prompt_that_it_made_and_refuses_long_ones(caller: Caller):
    endpoint = "fal-ai/wan-25-preview/image-to-video"
    told, long = caller.finish(endpoint).json(), caller.finish(endpoint, prompt="a" * 801)

    assert told["actual_prompt"].startswith("a cat ")
    assert (long.status_code, long.json()["detail"][0]["type"]) == (422, "string_too_long")
