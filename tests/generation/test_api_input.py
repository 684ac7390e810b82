"""Bad input: a clear 4xx in the one shape, and nothing stored."""

import json
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import override_settings
from rest_framework.test import APIClient

from generation.models import IdempotencyKey, SourceImage, VideoJob
from tests import factories
from tests.generation.test_api_jobs import BODY, data_url


@pytest.fixture(autouse=True)
def nothing_stored(api: APIClient) -> Any:
    """Whatever a test of this file sends, no row may remain of it."""
    yield
    assert not VideoJob.objects.exists()
    assert not IdempotencyKey.objects.exists()


def refused(
    api: APIClient, body: Any, content_type: str = "application/json", **more: Any
) -> tuple[int, dict[str, str]]:
    raw = body if isinstance(body, bytes | str) else json.dumps(body)
    answer = api.post("/api/jobs", raw, content_type=content_type, **more)
    error = answer.json()["error"]
    assert set(error) <= {"code", "message", "field"}
    assert error["message"]
    return answer.status_code, error


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", ""),
        ("prompt", "   \n "),
        ("prompt", None),
        ("prompt", 5),
        ("prompt", ["a"]),
        ("prompt", {"a": 1}),
        ("prompt", True),
        ("prompt", "x" * 20_000),
        ("prompt", "zero\x00byte"),
        ("prompt", "bell\x07"),
        ("prompt", "delete\x7f"),
        ("prompt", "lone \ud800 surrogate"),
        ("prompt", "safe \u202egnp.exe"),
        ("prompt", "isolate \u2066x\u2069"),
        ("prompt", "replaced \ufffd"),
        ("negative_prompt", "\x1b[31m"),
        ("negative_prompt", 0),
        ("num_frames", "81"),
        ("num_frames", 81.0),
        ("num_frames", 81.5),
        ("num_frames", True),
        ("num_frames", -1),
        ("num_frames", 0),
        ("num_frames", 10**30),
        ("num_frames", [81]),
        ("steps", {}),
        ("steps", 10_000),
        ("fps", "fast"),
        ("fps", 0),
        ("cfg_scale", "3.5"),
        ("cfg_scale", False),
        ("cfg_scale", -1),
        ("cfg_scale", 10**400),
        ("seed", -2),
        ("seed", 2**63),
        ("seed", 1.5),
        ("seed", "7"),
        ("seed", None),
        ("model", "no such model"),
        ("model", "unheard-of"),
        ("model", 3),
        ("size", "big"),
        ("size", "0x0"),
        ("size", "-16x16"),
        ("size", "832x480x1"),
        ("size", "99999x99999"),
        ("size", 832),
        ("width", 832),
        ("focus_x", 1.1),
        ("focus_y", "0.5"),
        ("focus_y", None),
        ("image_url", ""),
        ("image_url", "http://example.com/a.png"),
        ("image_url", "https://127.0.0.1/a.png"),
        ("image_url", "https://[::1]/a.png"),
        ("image_url", "https://2130706433/a.png"),
        ("image_url", "https://user:secret@example.com/a.png"),
        ("image_url", "https://example.com:8443/a.png"),
        ("image_url", "ftp://example.com/a.png"),
        ("image_url", "file:///etc/passwd"),
        ("image_url", "https://example.com/" + "a" * 3000),
        ("image_url", "https://exa mple.com/"),
        ("image_url", "https://example.com/\r\nHost: evil"),
        ("image_url", 7),
        ("image_id", "not-an-id"),
        ("image_id", 12),
        ("colour", "blue"),
        ("Prompt", "x"),
    ],
)
def test_a_wrong_value_is_refused_and_named(api: APIClient, field: str, value: Any) -> None:
    status, error = refused(api, BODY | {field: value})

    assert status == 400
    expected = {"width": {"height"}, "image_url": {"image_url", "image"}}.get(field, {field})
    assert error.get("field") in expected


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e309", "-1e309", "1" * 5000])
def test_numbers_that_are_none_are_refused(api: APIClient, number: str) -> None:
    body = json.dumps(BODY)[:-1] + f', "cfg_scale": {number}}}'

    assert refused(api, body)[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"prompt": "cut off',
        b"[]",
        b"[1, 2]",
        b"null",
        b'"text"',
        b"5",
        b"{'prompt': 'single'}",
        b'{"prompt": "bad \xff utf-8"}',
        b"\xff\xfe{\x00}\x00",
        b"[" * 100_000,
        b'{"":1}',
    ],
)
def test_bodies_that_are_no_json_object_are_refused(api: APIClient, body: bytes) -> None:
    assert refused(api, body)[0] == 400


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "@"])
def test_other_media_types_are_refused(api: APIClient, content_type: str) -> None:
    status, error = refused(api, json.dumps(BODY), content_type)

    assert (status, error["code"]) == (415, "unsupported_media_type")


def test_a_body_over_the_limit_is_refused(api: APIClient) -> None:
    status, error = refused(api, b" " * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1))

    assert (status, error["code"]) == (413, "body_too_large")


@override_settings(PICTURE_MAX_BYTES=1000)
def test_a_form_over_the_limit_is_refused_before_it_is_kept(api: APIClient) -> None:
    form = {"image": SimpleUploadedFile("big.png", b"x" * 500_000), "prompt": "pan"}
    answer = api.post("/api/jobs", form, format="multipart")

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "change",
    [
        {"num_frames": "many"},
        {"num_frames": "1e3"},
        {"cfg_scale": "nan"},
        {"cfg_scale": "inf"},
        {"prompt": "nul\0"},
        {"colour": "blue"},
        {"image": "no file"},
        {"image_url": "https://example.com/two.png"},
    ],
)
def test_a_wrong_form_is_refused_and_its_picture_not_kept(api: APIClient, change: dict[str, Any]) -> None:
    form = {"image": SimpleUploadedFile("cat.png", factories.png()), "prompt": "pan"}
    answer = api.post("/api/jobs", form | change, format="multipart")

    assert (answer.status_code, answer.json()["error"]["field"]) == (400, next(iter(change)))
    assert not SourceImage.objects.exists()


def test_a_form_with_bad_utf_8_or_cut_off_is_refused(api: APIClient) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nbad \xff text\r\n'
    for body in (part + b"--x--\r\n", part[:40], b"", b"--x"):
        assert refused(api, body, "multipart/form-data; boundary=x")[0] == 400
    assert refused(api, part, "multipart/form-data")[0] == 400


@pytest.mark.parametrize("content", [b"", b"GIF89a not a picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_what_is_no_picture_is_refused_and_not_kept(api: APIClient, content: bytes) -> None:
    form = {"image": SimpleUploadedFile("cat.png", content), "prompt": "pan"}
    answer = api.post("/api/jobs", form, format="multipart")

    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "image")
    assert not SourceImage.objects.exists()


@pytest.mark.parametrize(
    "image", ["", "cat.png", "data:,", "data:image/png;base64,!!!!", "data:image/png;base64,QUJD", 5]
)
def test_a_bad_data_url_is_refused(api: APIClient, image: Any) -> None:
    status, error = refused(api, {"prompt": "pan", "image": image})

    assert (status, error["field"]) == (400, "image")


def test_exactly_one_picture_is_needed(api: APIClient) -> None:
    assert refused(api, {"prompt": "pan"})[1]["field"] == "image"
    assert refused(api, BODY | {"image": data_url()})[1]["field"] == "image_url"


def test_somebody_elses_picture_is_not_found(api: APIClient, stranger: User) -> None:
    theirs = factories.source_image(stranger)
    status, error = refused(api, {"prompt": "pan", "image_id": str(theirs.pk)})

    assert (status, error["code"], error["field"]) == (404, "not_found", "image_id")


def test_refusals_leave_no_words_of_the_person_in_the_log(api: APIClient, caplog: pytest.LogCaptureFixture) -> None:
    refused(api, BODY | {"prompt": "my secret wish\x00"})
    refused(api, BODY | {"image_url": "https://user:hush@example.com/"})

    assert "secret wish" not in caplog.text
    assert "hush" not in caplog.text


@pytest.mark.parametrize("path", ["/api/nothing", "/api/", "/api/jobs/", "/api/gpu/nothing"])
def test_unknown_addresses_are_not_found_in_the_same_shape(api: APIClient, path: str) -> None:
    answer = api.get(path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_a_wrong_method_is_named_with_the_right_ones(api: APIClient) -> None:
    answer = api.put("/api/jobs", {}, format="json")

    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert "POST" in answer["Allow"]


def test_an_unexpected_failure_is_a_500_in_the_same_shape(person: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(person)
    monkeypatch.setattr("generation.queries.visible_models", None)
    answer = client.get("/api/models")

    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "server_error")


def test_a_host_that_is_not_ours_is_a_400_in_the_same_shape(api: APIClient) -> None:
    with override_settings(ALLOWED_HOSTS=["ours.example"]):
        answer = api.get("/api/jobs", HTTP_HOST="evil.example")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


def test_too_many_submits_are_held_off_but_looking_is_not(api: APIClient) -> None:
    rates = settings.REST_FRAMEWORK | {"DEFAULT_THROTTLE_RATES": {"submit": "2/min", "upload": None, "probe": None}}
    with override_settings(REST_FRAMEWORK=rates):
        answers = [api.post("/api/jobs", {}, format="json") for _ in range(3)]
        assert api.get("/api/jobs").status_code == 200

    assert [answer.status_code for answer in answers] == [400, 400, 429]
    assert answers[2].json()["error"]["code"] == "throttled"
    assert int(answers[2]["Retry-After"]) <= 60
