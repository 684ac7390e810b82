"""The simulated fal misbehaves on demand: answers that are lost, requests that get stuck, results that drift."""

import threading

import httpx
import pytest

from tests.simulators.fal import FalSimulator
from tests.simulators.fal.script import ANY_FAULT, OWN_FAULTS, Script
from tests.simulators.fal_wire import TURBO, WAN, Caller, Shape, shape

BEFORE = ("500", "502", "503", "504", "ingress", "garbage", "401", "403_balance", "429")
AFTER = ("500_after", "502_after", "503_after", "504_after", "ingress_after", "garbage_after", "empty_after")


@pytest.mark.parametrize("fault", BEFORE)
def test_a_fault_before_the_work_leaves_nothing_behind(fal: FalSimulator, caller: Caller, fault: str):
    fal.fail("submit", fault)
    answer = caller.submit()

    assert "request_id" not in answer.text
    assert fal.requests() == []
    assert fal.calls("submit")[0]["fault"] == fault


@pytest.mark.parametrize("fault", AFTER)
def test_a_fault_after_the_work_hides_a_request_that_is_paid(fal: FalSimulator, caller: Caller, fault: str):
    fal.fail("submit", fault)
    answer = caller.submit()
    fal.advance(60)

    assert "request_id" not in answer.text
    assert len(fal.paid_requests()) == 1
    assert fal.calls("submit")[0]["request_id"] == fal.requests()[0]["request_id"]


@pytest.mark.parametrize(("fault", "accepted"), [("lost", 0), ("lost_after", 1), ("hang", 0), ("hang_after", 1)])
def test_a_connection_is_cut_before_or_after_the_request_was_taken(
    fal: FalSimulator, caller: Caller, fault: str, accepted: int
):
    fal.script(hang_real_seconds=0.05)
    fal.fail("submit", fault)
    with pytest.raises(httpx.TransportError):
        caller.submit()

    assert len(fal.requests()) == accepted


def test_a_slow_answer_comes_in_the_end(fal: FalSimulator, caller: Caller):
    fal.script(slow_real_seconds=0.2)
    fal.fail("submit", "slow_after")
    answers: list[httpx.Response] = []
    patient = threading.Thread(target=lambda: answers.append(caller.submit()))
    patient.start()
    fal.wait_for(lambda state: state["accepted"] == 1)
    unanswered = list(answers)
    patient.join(10)

    assert unanswered == []
    assert answers[0].status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "word"),
    [("says_queued", 202, "IN_QUEUE"), ("says_progress", 202, "IN_PROGRESS"), ("unknown_word", 202, "ARCHIVED")],
)
def test_the_status_can_flap(fal: FalSimulator, caller: Caller, fault: str, status: int, word: str):
    url = caller.begin()["status_url"]
    fal.advance(60)
    fal.fail("status", fault, "503", "404")
    flapped = caller.get(url)

    assert (flapped.status_code, flapped.json()["status"]) == (status, word)
    assert [caller.get(url).status_code for _ in range(3)] == [503, 404, 200]


def test_submit_can_be_accepted_with_a_useless_answer(fal: FalSimulator, caller: Caller):
    fal.fail("submit", "no_request_id", "foreign_urls")

    assert "request_id" not in caller.submit().json()
    assert caller.submit().json()["status_url"].startswith("https://fal.example.com/")
    assert len(fal.requests()) == 2


def test_cancel_can_claim_that_it_came_too_late(fal: FalSimulator, caller: Caller):
    fal.fail("cancel", "completed")

    assert caller.http.put(caller.begin()["cancel_url"]).json() == {"status": "ALREADY_COMPLETED"}
    assert fal.requests()[0]["status"] == "IN_QUEUE"


@pytest.mark.parametrize(("fate", "word"), [("stuck", "IN_QUEUE"), ("stuck_running", "IN_PROGRESS")])
def test_a_request_gets_stuck_until_it_is_helped(fal: FalSimulator, caller: Caller, fate: str, word: str):
    fal.script(fate_next=[fate])
    told = caller.begin()
    fal.advance(86400)
    stuck = caller.get(told["status_url"]).json()["status"]
    fal.finish(told["request_id"])

    assert stuck == word
    assert caller.get(told["response_url"]).status_code == 200
    assert len(fal.paid_requests()) == 1


@pytest.mark.parametrize(
    ("fate", "status", "kind", "retryable"),
    [
        ("fail_policy", 422, "content_policy_violation", "false"),
        ("fail_internal", 500, "internal_server_error", "true"),
        ("fail_generation_timeout", 504, "generation_timeout", "true"),
    ],
)
def test_a_model_fails_with_a_list(
    fal: FalSimulator, caller: Caller, fate: str, status: int, kind: str, retryable: str
):
    fal.script(fate_next=[fate])
    answer = caller.finish()
    told = caller.get(f"{fal.queue_url}/fal-ai/wan/requests/{fal.requests()[0]['request_id']}/status").json()

    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (status, kind)
    assert answer.headers["x-fal-retryable"] == retryable
    assert (told["status"], told["error"]) == ("COMPLETED", f"Invalid status code: {status}")


def test_the_platform_fails_with_a_sentence_and_a_type(fal: FalSimulator, caller: Caller):
    fal.script(fate_next=["fail_runner"])
    answer = caller.finish()

    assert answer.json() == {"detail": "The runner disconnected.", "error_type": "runner_disconnected"}
    assert (answer.status_code, answer.headers["x-fal-error-type"]) == (503, "runner_disconnected")


@pytest.mark.parametrize(
    ("fate", "changed"),
    [
        ("drift_frames", Shape(640, 480, 5, 16)),
        ("drift_fps", Shape(640, 480, 17, 24)),
        ("drift_resolution", Shape(320, 240, 17, 16)),
    ],
)
def test_a_video_drifts_from_what_was_asked(fal: FalSimulator, caller: Caller, fate: str, changed: Shape):
    fal.script(fate_next=[fate])
    result = caller.finish()

    assert shape(caller.get(result.json()["video"]["url"]).content) == changed


def test_seed_and_prompt_drift_or_are_not_told(fal: FalSimulator, caller: Caller):
    fal.script(fate_next=["drift_seed+drift_prompt", "silent_seed+silent_prompt"])
    drifted, silent = caller.finish().json(), caller.finish().json()

    assert drifted["seed"] != 7
    assert (drifted["prompt"].startswith("a cat"), drifted["prompt"] == "a cat") == (True, False)
    assert set(silent) == {"video"}


def test_prompt_expansion_tells_the_prompt_that_was_used(caller: Caller):
    assert len(caller.finish(enable_prompt_expansion=True).json()["prompt"]) > len("a cat")


def test_an_endpoint_that_ignores_a_field_uses_and_bills_its_default(fal: FalSimulator, caller: Caller):
    fal.script(ignores={WAN: ["num_frames", "seed"]})
    result = caller.finish()

    assert shape(caller.get(result.json()["video"]["url"]).content).frames == 81
    assert result.json()["seed"] != 7
    assert fal.requests()[0]["billed"] == "0.202500"


def test_links_break_in_many_ways(fal: FalSimulator, caller: Caller):
    fates = ["link_404", "link_expired", "link_garbage", "link_wrong_host", "link_missing", "link_fails_once"]
    fal.script(fate_next=fates)
    results = {fate: caller.finish().json() for fate in fates}
    urls = {fate: result.get("video", {}).get("url", "") for fate, result in results.items()}

    assert caller.get(urls["link_404"]).status_code == 404
    assert caller.get(urls["link_expired"]).status_code == 404
    assert caller.get(urls["link_garbage"]).headers["content-type"] == "text/html"
    assert urls["link_wrong_host"].startswith("http://localhost:")
    assert urls["link_missing"] == ""
    assert [caller.get(urls["link_fails_once"]).status_code for _ in range(2)] == [404, 200]


def test_a_download_breaks_in_the_middle(fal: FalSimulator, caller: Caller):
    fal.script(fate_next=["link_truncated"])
    url = caller.finish().json()["video"]["url"]

    with pytest.raises(httpx.TransportError):
        caller.get(url)


def test_units_can_be_missing_or_more_than_expected(fal: FalSimulator, caller: Caller):
    fal.script(fate_next=["no_units", "double_units"])
    silent, double = caller.finish(TURBO, resolution="720p"), caller.finish(TURBO, resolution="720p")

    assert "x-fal-billable-units" not in silent.headers
    assert double.headers["x-fal-billable-units"] == "2"
    assert [row["billed"] for row in fal.paid_requests()] == ["0.100000", "0.200000"]


def test_faults_and_fates_follow_words_of_the_prompt(fal: FalSimulator, caller: Caller):
    fal.script(fail_by_prompt={"lose me": "504_after"}, fate_by_prompt={"break me": "fail_internal"})
    lost, fine, broken = (caller.submit(prompt=text) for text in ("please lose me", "a cat", "break me now"))
    fal.advance(60)

    assert [answer.status_code for answer in (lost, fine, broken)] == [504, 200, 200]
    assert [row["code"] for row in fal.requests()] == [200, 200, 500]


def test_chance_is_the_same_with_the_same_seed():
    def thrown(seed: int) -> list[str]:
        script = Script()
        script.update({"seed": seed, "fail_chance": {"submit": {"lost_after": 0.2, "503": 0.1}}})
        return [script.take_fault("submit") for _ in range(1000)]

    first = thrown(1)
    assert first == thrown(1)
    assert first != thrown(2)
    assert 150 < first.count("lost_after") < 250
    assert 60 < first.count("503") < 140


def test_fates_come_by_chance_too(fal: FalSimulator, caller: Caller):
    fal.script(fate_chance={"fail_internal": 0.5}, seed=3)
    for _ in range(20):
        caller.begin()
    fal.advance(60)

    assert 3 < fal.state()["by_code"]["500"] < 17


@pytest.mark.parametrize(
    "knobs",
    [
        {"colour": 1},
        {"fate_next": ["explode"]},
        {"fail_next": {"submit": ["explode"]}},
        {"fail_next": {"explode": ["500"]}},
        {"fail_chance": {"submit": {"explode": 1}}},
        {"fate_by_prompt": {"a": "ok+explode"}},
    ],
)
def test_a_knob_that_does_not_exist_is_an_error(fal: FalSimulator, knobs):
    with pytest.raises(ValueError, match="no such"):
        fal.script(**knobs)


def test_every_fault_can_be_scripted():
    script = Script()
    for call, own in OWN_FAULTS.items():
        script.add_faults(call, *ANY_FAULT, *own)

    assert script.take_fault("submit") == ""
    assert script.take_fault("submit") == "lost"


def test_the_doors_are_open_on_every_port(fal: FalSimulator, caller: Caller):
    for url in (fal.queue_url, fal.rest_url, fal.media_url, fal.api_url):
        assert caller.get(url + "/sim/state").json()["accepted"] == 0
    caller.http.post(fal.queue_url + "/sim/fail", json={"call": "submit", "faults": ["503"]})

    assert caller.submit().status_code == 503
    assert caller.http.post(fal.queue_url + "/sim/script", json={"colour": 1}).status_code == 400
    assert caller.get(fal.queue_url + "/sim/nowhere").status_code == 404


def test_open_connections_can_be_cut(fal: FalSimulator, caller: Caller):
    fal.script(hang_real_seconds=30)
    fal.fail("submit", "hang")
    errors: list[Exception] = []

    def submit() -> None:
        try:
            caller.submit()
        except httpx.TransportError as exc:
            errors.append(exc)

    waiting = threading.Thread(target=submit)
    waiting.start()
    fal.wait_for(lambda state: state["calls"].get("submit") == 1)
    fal.cut_connections()
    waiting.join(10)

    assert len(errors) == 1
