"""What goes out compressed: whole texts, and nothing else."""

import gzip
from typing import TypeVar

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client
from django.test.client import RequestFactory

from i2v_site.compress import TextGZipMiddleware

Answer = TypeVar("Answer", HttpResponse, StreamingHttpResponse)

LONG = b"a long text " * 100


def sent(answer: Answer, accepts: str = "gzip") -> Answer:
    """The answer as it leaves; the middleware changes the very one that it is given."""
    TextGZipMiddleware(lambda _request: answer)(RequestFactory().get("/", headers={"Accept-Encoding": accepts}))
    return answer


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json", "application/manifest+json"])
def test_a_whole_text_is_compressed_for_who_takes_it(kind: str) -> None:
    answer = sent(HttpResponse(LONG, content_type=kind))
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.content) == LONG
    assert "Accept-Encoding" in answer.headers["Vary"]

    assert sent(HttpResponse(LONG, content_type=kind), "identity").content == LONG


@pytest.mark.parametrize(
    "answer",
    [
        HttpResponse(LONG, content_type="video/mp4"),
        HttpResponse(LONG, content_type="image/png"),
        HttpResponse(LONG, content_type="text/csv", status=206),
    ],
    ids=["video", "picture", "part"],
)
def test_media_and_parts_go_out_as_they_are(answer: HttpResponse) -> None:
    assert "Content-Encoding" not in sent(answer).headers
    assert answer.content == LONG


def test_streams_go_out_piece_by_piece() -> None:
    answer = sent(StreamingHttpResponse(iter([LONG, LONG]), content_type="text/csv"))
    assert "Content-Encoding" not in answer.headers
    assert b"".join(answer) == LONG + LONG


def test_a_page_of_the_site_is_compressed(person: User, client: Client) -> None:
    client.force_login(person)
    answer = client.get("/settings", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert b"</html>" in gzip.decompress(answer.content)
