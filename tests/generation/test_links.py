"""Signed links to local files: who may open them, for how long, and in which pieces."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone
from django.utils.http import http_date

from generation.services.links import link

CONTENT = bytes(range(256)) * 1000
SIZE = len(CONTENT)


@pytest.fixture
def key() -> str:
    return default_storage.save("out/job/attempt.mp4", ContentFile(CONTENT))


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


def test_a_link_opens_its_file_without_signing_in(client: Client, key: str) -> None:
    response = client.get(link(key))

    assert (response.status_code, body(response)) == (200, CONTENT)
    assert response["Content-Type"] == "video/mp4"
    assert response["Content-Length"] == str(SIZE)
    assert response["Content-Disposition"] == "inline"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Accept-Ranges"] == "bytes"
    assert "private" in response["Cache-Control"]


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-", 0, SIZE - 1),
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=70000-200000", 70000, 200000),
        ("bytes=255999-255999", 255999, 255999),
        ("bytes=255000-999999999", 255000, SIZE - 1),
        ("bytes=-1", SIZE - 1, SIZE - 1),
        ("bytes=-500", SIZE - 500, SIZE - 1),
        ("bytes=-999999999", 0, SIZE - 1),
    ],
)
def test_one_range_is_answered_with_just_these_bytes(
    client: Client, key: str, wanted: str, first: int, last: int
) -> None:
    response = client.get(link(key), headers={"Range": wanted})

    assert response.status_code == 206
    assert response["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert response["Content-Length"] == str(last - first + 1)
    assert body(response) == CONTENT[first : last + 1]


@pytest.mark.parametrize("wanted", ["bytes=256000-", "bytes=999999999-", "bytes=-0", "bytes=256000-256001"])
def test_a_range_behind_the_end_is_refused_with_the_size(client: Client, key: str, wanted: str) -> None:
    response = client.get(link(key), headers={"Range": wanted})

    assert (response.status_code, response["Content-Range"]) == (416, f"bytes */{SIZE}")


SEVERAL, OTHER_DIGITS, HUGE = "bytes=0-1,5-6", "bytes=\u0661-\u0662", "bytes=0-" + "9" * 30


@pytest.mark.parametrize(
    "wanted", ["", "bytes=", "bytes=-", "bytes=9-3", "bytes=a-b", "items=0-1", SEVERAL, OTHER_DIGITS, HUGE]
)
def test_what_is_not_one_simple_range_gets_the_whole_file(client: Client, key: str, wanted: str) -> None:
    response = client.get(link(key), headers={"Range": wanted})

    assert (response.status_code, len(body(response))) == (200, SIZE)


def test_if_range_gives_the_piece_only_of_the_same_file(client: Client, key: str) -> None:
    first = client.get(link(key))
    same = ({"If-Range": first["ETag"]}, {"If-Range": first["Last-Modified"]})
    other = ({"If-Range": '"other"'}, {"If-Range": f"W/{first['ETag']}"}, {"If-Range": http_date(0)}, {"If-Range": "x"})

    assert [client.get(link(key), headers={"Range": "bytes=0-9"} | given).status_code for given in same] == [206] * 2
    assert [client.get(link(key), headers={"Range": "bytes=0-9"} | given).status_code for given in other] == [200] * 4


def test_what_the_browser_has_already_is_not_sent_again(client: Client, key: str) -> None:
    etag = client.get(link(key))["ETag"]
    response = client.get(link(key), headers={"If-None-Match": f'"old", W/{etag}'})

    assert (response.status_code, response.content) == (304, b"")
    assert client.get(link(key), headers={"If-None-Match": '"old"'}).status_code == 200


def test_head_tells_all_and_sends_nothing(client: Client, key: str) -> None:
    response = client.head(link(key), headers={"Range": "bytes=0-9"})

    assert (response.status_code, response["Content-Length"], body(response)) == (200, str(SIZE), b"")


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_a_link_only_reads(client: Client, key: str, method: str) -> None:
    assert getattr(client, method)(link(key)).status_code == 405


def test_an_empty_file_is_empty(client: Client) -> None:
    key = default_storage.save("out/empty.mp4", ContentFile(b""))

    assert (client.get(link(key)).status_code, body(client.get(link(key)))) == (200, b"")
    assert client.get(link(key), headers={"Range": "bytes=0-"}).status_code == 416


def test_a_link_works_for_five_minutes_at_most(client: Client, key: str) -> None:
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        address = link(key)
    with time_machine.travel(now + timedelta(minutes=3, seconds=55), tick=False):
        assert client.get(address).status_code == 200
    with time_machine.travel(now + timedelta(minutes=5, seconds=1), tick=False):
        assert client.get(address).status_code == 403


def test_links_of_one_minute_are_the_same_so_that_browsers_cache() -> None:
    with time_machine.travel("2026-01-01T00:00:01Z", tick=False):
        first = link("out/a.mp4")
    with time_machine.travel("2026-01-01T00:00:59Z", tick=False):
        assert link("out/a.mp4") == first
    with time_machine.travel("2026-01-01T00:01:00Z", tick=False):
        assert link("out/a.mp4") != first


@pytest.mark.parametrize(
    "spoil", [lambda t: t[:-1], lambda t: "A" + t, lambda t: t.replace(":", ""), lambda _: "x", lambda _: "W10:x"]
)
def test_a_spoiled_link_is_not_found(client: Client, key: str, spoil: Callable[[str], str]) -> None:  # fmt: skip
    token = link(key).removeprefix("/files/")

    assert client.get(f"/files/{spoil(token)}").status_code == 404


@pytest.mark.parametrize("key", ["out/missing.mp4", "../secret_key", "/etc/passwd"])
def test_a_link_to_nothing_or_outside_is_not_found(client: Client, key: str) -> None:
    default_storage.save("out/x/y.mp4", ContentFile(b"x"))

    assert client.get(link(key)).status_code == 404


@pytest.mark.parametrize(
    ("key", "content_type"),
    [
        ("in/a.png", "image/png"),
        ("out/a.poster.jpg", "image/jpeg"),
        ("out/a.webp", "image/webp"),
        ("out/a.html", "application/octet-stream"),
        ("out/a.svg", "application/octet-stream"),
        ("out/noending", "application/octet-stream"),
    ],
)
def test_the_content_type_is_ours(client: Client, key: str, content_type: str) -> None:
    default_storage.save(key, ContentFile(b"<script>alert(1)</script>"))

    assert client.get(link(key))["Content-Type"] == content_type


def test_a_given_content_type_wins(client: Client, key: str) -> None:
    assert client.get(link(key, content_type="application/octet-stream"))["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("my video.mp4", 'attachment; filename="my video.mp4"'),
        ("m\u00e4dchen \U0001f3a5.mp4", "attachment; filename*=utf-8''m%C3%A4dchen%20%F0%9F%8E%A5.mp4"),
        ('a"b\\c/d\r\nX-Evil: 1.mp4', 'attachment; filename="abcdX-Evil: 1.mp4"'),
        ("\u202e4pm.exe", 'attachment; filename="4pm.exe"'),
    ],
)
def test_a_download_name_is_text_and_nothing_else(client: Client, key: str, name: str, header: str) -> None:
    assert client.get(link(key, download_name=name))["Content-Disposition"] == header


def test_no_key_no_link() -> None:
    assert link("") == ""


def test_a_link_says_nothing_that_breaks_an_address(key: str) -> None:
    assert re.fullmatch(r"/files/[A-Za-z0-9_:-]+", link(key, download_name="m\u00e4dchen/../x?.mp4"))
