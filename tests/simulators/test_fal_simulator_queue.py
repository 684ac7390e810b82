"""The simulated fal's queue: what clients see from submit to result."""

import pytest

from tests.simulators.fal import FalSimulator
from tests.simulators.fal_wire import TURBO, WAN, Caller, asked, shape


def test_a_submit_answers_with_the_addresses_of_the_request_without_its_subpath(fal: FalSimulator, caller: Caller):
    answer = caller.submit()
    told = answer.json()
    base = f"{fal.queue_url}/fal-ai/wan/requests/{told['request_id']}"

    assert answer.headers["x-fal-request-id"] == told["request_id"]
    assert (told["status"], told["queue_position"]) == ("IN_QUEUE", 0)
    assert (told["response_url"], told["status_url"]) == (base, base + "/status")
    assert told["cancel_url"] == base + "/cancel"


def test_a_request_waits_runs_and_completes_as_the_clock_moves(fal: FalSimulator, caller: Caller):
    fal.script(queue_seconds=10, seconds=100)
    url = caller.begin()["status_url"]
    waiting = caller.get(url, logs=1)
    fal.advance(60)
    running = caller.get(url, logs=1)
    fal.advance(60)
    over = caller.get(url, logs=1)

    assert (waiting.status_code, waiting.json()["status"], waiting.json()["queue_position"]) == (202, "IN_QUEUE", 0)
    assert (running.status_code, running.json()["status"]) == (202, "IN_PROGRESS")
    assert len(running.json()["logs"]) == 6
    assert "50%" in running.json()["logs"][-1]["message"]
    assert (over.status_code, over.json()["status"]) == (200, "COMPLETED")
    assert over.json()["metrics"] == {"inference_time": 100}
    assert "error" not in over.json()


def test_logs_are_told_only_when_asked_for(fal: FalSimulator, caller: Caller):
    fal.script(seconds=100)
    url = caller.begin()["status_url"]
    fal.advance(50)

    assert caller.get(url).json()["logs"] is None
    assert caller.get(url, logs="true").json()["logs"]


def test_the_result_is_a_real_video_of_the_asked_shape(caller: Caller):
    result = caller.finish()
    video = result.json()["video"]
    data = caller.get(video["url"]).content

    assert (shape(data).width, shape(data).height, shape(data).frames, shape(data).fps) == (640, 480, 17, 16)
    assert (video["content_type"], video["file_size"]) == ("video/mp4", len(data))
    assert (result.json()["seed"], result.json()["prompt"]) == (7, "a cat")


def test_frames_are_interpolated_unless_that_is_turned_off(caller: Caller):
    data = caller.get(caller.finish(num_interpolated_frames=1).json()["video"]["url"]).content

    assert (shape(data).frames, shape(data).fps) == (33, 32)


def test_every_result_is_a_file_of_its_own(caller: Caller):
    first, second = (caller.get(caller.finish().json()["video"]["url"]).content for _ in range(2))

    assert first != second


def test_the_picture_is_in_the_video_when_it_is_not_cheap(fal: FalSimulator, caller: Caller):
    fal.script(cheap=False)
    url = caller.finish().json()["video"]["url"]

    assert shape(caller.get(url).content).frames == 17


def test_a_result_before_the_end_is_refused(caller: Caller):
    answer = caller.get(caller.begin()["response_url"])

    assert (answer.status_code, answer.json()) == (400, {"detail": "Request is still in progress"})


@pytest.mark.parametrize(
    ("changes", "kind", "where"),
    [
        ({"num_frames": 16}, "greater_than_equal", "num_frames"),
        ({"num_frames": "many"}, "int_type", "num_frames"),
        ({"num_frames": True}, "int_type", "num_frames"),
        ({"resolution": "8k"}, "literal_error", "resolution"),
        ({"image_url": "data:,"}, "file_download_error", "image_url"),
        ({"image_url": "https://pictures.example.com/a.png"}, "file_download_error", "image_url"),
        ({"image_url": None}, "string_type", "image_url"),
    ],
)
def test_bad_input_is_accepted_and_fails_as_the_result(fal: FalSimulator, caller: Caller, changes, kind, where):
    answer = caller.finish(**changes)
    entry = answer.json()["detail"][0]

    assert (answer.status_code, entry["type"], entry["loc"]) == (422, kind, ["body", where])
    assert answer.headers["x-fal-retryable"] == "false"
    assert fal.paid_requests() == []


def test_a_missing_field_is_named(caller: Caller):
    told = caller.http.post(f"{caller.fal.queue_url}/{WAN}", json={"prompt": "a cat"}).json()
    caller.fal.advance(60)
    detail = caller.get(told["response_url"]).json()["detail"]

    assert [(entry["loc"], entry["type"]) for entry in detail] == [(["body", "image_url"], "missing")]


def test_bad_input_can_be_refused_at_once(fal: FalSimulator, caller: Caller):
    fal.script(validate_at_submit=True)

    assert caller.submit(num_frames=5).status_code == 422
    assert fal.requests() == []


def test_an_unknown_endpoint_takes_anything(caller: Caller):
    result = caller.finish("someone/new-model/image-to-video", resolution="720p", duration="2", num_frames=None)
    found = shape(caller.get(result.json()["video"]["url"]).content)

    assert (found.height, found.frames, found.fps) == (720, 32, 16)


def test_turbo_has_frames_of_its_own(caller: Caller):
    result = caller.finish(TURBO, num_frames=17)

    assert shape(caller.get(result.json()["video"]["url"]).content).frames == 81


def test_requests_above_the_limit_wait_in_line(fal: FalSimulator, caller: Caller):
    fal.script(concurrency=1, seconds=100)
    urls = [caller.begin()["status_url"] for _ in range(3)]
    fal.advance(50)
    seen = [caller.get(url).json() for url in urls]
    fal.advance(100)

    assert [row["status"] for row in seen] == ["IN_PROGRESS", "IN_QUEUE", "IN_QUEUE"]
    assert [row.get("queue_position") for row in seen] == [None, 0, 1]
    assert caller.get(urls[1]).json()["status"] == "IN_PROGRESS"


def test_what_is_not_started_in_time_is_given_up(fal: FalSimulator, caller: Caller):
    fal.script(queue_seconds=100)
    told = caller.begin(headers={"X-Fal-Request-Timeout": "30"})
    fal.advance(40)
    answer = caller.get(told["response_url"])

    assert (answer.status_code, answer.json()["error_type"]) == (504, "request_timeout")
    assert answer.headers["x-fal-request-timeout-type"] == "user"
    assert caller.get(told["status_url"]).json()["error_type"] == "request_timeout"
    assert fal.paid_requests() == []


def test_a_request_in_the_queue_is_cancelled_and_costs_nothing(fal: FalSimulator, caller: Caller):
    told = caller.begin()
    answer = caller.http.put(told["cancel_url"])
    fal.advance(60)
    result = caller.get(told["response_url"])

    assert (answer.status_code, answer.json()) == (202, {"status": "CANCELLATION_REQUESTED"})
    assert (result.status_code, result.headers["x-fal-error-type"]) == (499, "client_cancelled")
    assert fal.paid_requests() == []


def test_a_cancel_in_the_queue_can_be_answered_as_newer_pages_have_it(fal: FalSimulator, caller: Caller):
    fal.script(cancel_says_ok=True)
    answer = caller.http.put(caller.begin()["cancel_url"])

    assert (answer.status_code, answer.json()) == (200, {"status": "OK"})
    assert fal.requests()[0]["code"] == 499


def test_a_running_request_ends_and_is_billed_although_it_was_to_be_cancelled(fal: FalSimulator, caller: Caller):
    fal.script(seconds=100)
    told = caller.begin()
    fal.advance(50)
    answer = caller.http.put(told["cancel_url"])
    fal.advance(100)

    assert answer.status_code == 202
    assert caller.get(told["response_url"]).status_code == 200
    assert len(fal.paid_requests()) == 1


def test_a_model_that_heeds_the_signal_stops_and_is_not_billed(fal: FalSimulator, caller: Caller):
    fal.script(seconds=100, cancel_running=True)
    told = caller.begin()
    fal.advance(50)
    caller.http.put(told["cancel_url"])
    fal.advance(100)

    assert caller.get(told["response_url"]).status_code == 499
    assert fal.paid_requests() == []


def test_what_is_over_or_unknown_cannot_be_cancelled(fal: FalSimulator, caller: Caller):
    told = caller.begin()
    fal.advance(60)
    unknown = told["cancel_url"].replace(told["request_id"], "0" * 32)

    assert caller.http.put(told["cancel_url"]).json() == {"status": "ALREADY_COMPLETED"}
    assert caller.http.put(told["cancel_url"]).status_code == 400
    assert caller.http.put(unknown).status_code == 404


def test_a_status_is_not_found_under_the_subpath_or_another_app(caller: Caller):
    told = caller.begin()
    deep = told["status_url"].replace("fal-ai/wan/", f"{WAN}/")
    other = told["status_url"].replace("fal-ai/wan/", "fal-ai/flux/")

    assert caller.get(deep).status_code == 405
    assert caller.get(other).status_code == 404


@pytest.mark.parametrize("words", ["Key wrong", "Bearer sim-id:sim-secret", ""])
def test_without_the_right_key_nothing_is_accepted(fal: FalSimulator, caller: Caller, words: str):
    assert caller.submit(headers={"Authorization": words}).status_code == 401
    assert fal.requests() == []


def test_the_body_has_to_be_an_object(fal: FalSimulator, caller: Caller):
    url = f"{fal.queue_url}/{WAN}"

    assert caller.http.post(url, content=b"{").status_code == 400
    assert caller.http.post(url, json=[asked()]).status_code == 400
    assert fal.requests() == []


def test_an_application_that_does_not_exist_is_a_404(fal: FalSimulator, caller: Caller):
    fal.script(unknown_apps=["fal-ai/gone"])

    assert caller.submit("fal-ai/gone").status_code == 404


def test_others_are_answered_while_a_long_video_is_encoded():
    with FalSimulator(seconds=0, queue_seconds=0) as fal, Caller(fal) as caller:
        big = caller.begin("fal-ai/wan-25-preview/image-to-video", resolution="1080p", duration="5")
        status = caller.get(big["status_url"]).json()["status"]
        fal.wait_for(lambda state: state["paid"] == 1, timeout_s=90)

    assert status in ("IN_QUEUE", "IN_PROGRESS")
