"""The simulated fal's files: three ways up, one way down, and their end."""

import json

import pytest

from tests.simulators.fal import FalSimulator
from tests.simulators.fal_wire import Caller, png, shape


def test_a_file_goes_up_by_a_signed_address(fal: FalSimulator, caller: Caller):
    wanted = {"file_name": "a b.png", "content_type": "image/png"}
    told = caller.http.post(fal.rest_url + "/storage/upload/initiate?storage_type=gcs", json=wanted).json()
    early = caller.get(told["file_url"]).status_code
    unsigned = caller.http.put(told["file_url"], content=b"x").status_code
    put = caller.http.put(told["upload_url"], content=png(), headers={"content-type": "image/png"})
    found = caller.get(told["file_url"])

    assert (early, unsigned, put.status_code) == (404, 403, 200)
    assert (found.content, found.headers["content-type"]) == (png(), "image/png")


def test_a_file_goes_up_with_a_token(fal: FalSimulator, caller: Caller):
    token = caller.http.post(fal.rest_url + "/storage/auth/token?storage_type=fal-cdn-v3", json={}).json()
    headers = {"Authorization": f"{token['token_type']} {token['token']}", "X-Fal-File-Name": "a.png"}
    url = token["base_url"] + "/files/upload"
    told = caller.http.post(url, content=png(), headers=headers | {"content-type": "image/png"}).json()
    refused = caller.http.post(url, content=png(), headers={"Authorization": "Bearer wrong"})

    assert caller.get(told["access_url"]).content == png()
    assert refused.status_code == 401


def test_a_file_goes_up_in_pieces(fal: FalSimulator, caller: Caller):
    begun = caller.http.post(fal.media_url + "/files/upload/multipart").json()
    base = f"{begun['access_url']}/multipart/{begun['uploadId']}"
    etags = {
        number: caller.http.put(f"{base}/{number}", content=bytes([number]) * 3).headers["etag"] for number in (2, 1)
    }
    parts = [{"partNumber": number, "etag": etag} for number, etag in etags.items()]
    early = caller.get(begun["access_url"]).status_code
    caller.http.post(base + "/complete", json={"parts": parts})

    assert early == 404
    assert caller.get(begun["access_url"]).content == bytes([1, 1, 1, 2, 2, 2])


def test_an_uploaded_picture_is_what_the_video_is_made_of(fal: FalSimulator, caller: Caller):
    headers = {"X-Fal-File-Name": "a.png", "content-type": "image/png"}
    told = caller.http.post(fal.media_url + "/files/upload", content=png(200, 400), headers=headers).json()
    video = caller.finish(image_url=told["access_url"]).json()["video"]
    found = shape(caller.get(video["url"]).content)

    assert (found.width, found.height) == (480, 960)


def test_uploads_need_a_key(fal: FalSimulator):
    with Caller(fal, key="wrong") as stranger:
        assert stranger.http.post(fal.rest_url + "/storage/upload/initiate", json={}).status_code == 401
        assert stranger.http.post(fal.rest_url + "/storage/auth/token", json={}).status_code == 401


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [("bytes=0-9", 206, 0, 10), ("bytes=10-", 206, 10, None), ("bytes=-5", 206, -5, None), ("lines=1-2", 200, 0, None)],
)
def test_parts_of_a_result_are_served(caller: Caller, asked: str, status: int, start: int, end: int | None):
    url = caller.finish().json()["video"]["url"]
    whole = caller.get(url).content
    part = caller.http.get(url, headers={"range": asked})

    assert (part.status_code, part.content) == (status, whole[start:end])
    if status == 206:
        assert part.headers["content-range"].endswith(f"/{len(whole)}")


def test_a_range_behind_the_end_is_refused(caller: Caller):
    url = caller.finish().json()["video"]["url"]

    assert caller.http.get(url, headers={"range": "bytes=99999999-"}).status_code == 416


def test_a_result_needs_no_key(fal: FalSimulator, caller: Caller):
    url = caller.finish().json()["video"]["url"]
    with Caller(fal, key="wrong") as stranger:
        assert stranger.get(url).status_code == 200


def test_a_result_is_gone_when_its_time_is_over(fal: FalSimulator, caller: Caller):
    keep = json.dumps({"expiration_duration_seconds": 3600})
    url = caller.finish(headers={"X-Fal-Object-Lifecycle-Preference": keep}).json()["video"]["url"]
    fal.advance(3500)
    there = caller.get(url).status_code
    fal.advance(101)

    assert (there, caller.get(url).status_code) == (200, 404)


def test_a_result_without_a_wish_lives_as_long_as_the_account_says(fal: FalSimulator, caller: Caller):
    fal.script(media_seconds=1000)
    url = caller.finish().json()["video"]["url"]
    fal.advance(1000)

    assert caller.get(url).status_code == 404


def test_a_broken_lifecycle_wish_is_noticed(fal: FalSimulator, caller: Caller):
    caller.finish(headers={"X-Fal-Object-Lifecycle-Preference": "1h"})

    assert fal.state()["violations"] == ["a lifecycle preference that is no JSON object"]


def test_the_observer_sees_who_was_read(fal: FalSimulator, caller: Caller):
    url = caller.finish().json()["video"]["url"]
    caller.get(url)

    assert fal.files()[url.removeprefix(fal.media_url)]["reads"] == 1
