"""Logs: asked for at vast.ai, fetched from wherever it says, and so with all the care for addresses of others."""

from contextlib import ExitStack

import httpx
import pytest

from gpu.clients.vastai_errors import VastProtocolError, VastUnavailable
from gpu.clients.vastai_logs import fetch_log
from tests.gpu.vastai import FakeClock, Vast, says, vast, writes
from tests.simulators.wire import Handler, reply

NOT_YET = writes("", status=404)


def with_log(stack: ExitStack, *answers: Handler) -> tuple[Vast, Vast]:
    """A vast.ai, and a storage beside it where the log appears."""
    storage = stack.enter_context(vast(*answers))
    result = says({"success": True, "result_url": f"http://{storage.host}/x.log?X-Amz-Signature=abc", "msg": "?"})
    return stack.enter_context(vast(result)), storage


def test_a_log_is_fetched_without_the_key_when_it_appears() -> None:
    with ExitStack() as stack:
        server, storage = with_log(stack, NOT_YET, writes("", status=403), writes("line 1\nline 2\x00\n"))
        text = server.client.logs(4242, tail=50)
    assert text == "line 1\nline 2\n"
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("PUT", "/api/v0/instances/request_logs/4242/")
    assert asked.body == {"tail": "50"}
    assert [fetch.query for fetch in storage.asked] == [{"X-Amz-Signature": "abc"}] * 3
    assert not any("authorization" in fetch.headers for fetch in storage.asked)


def test_an_empty_log_is_a_log() -> None:
    with ExitStack() as stack:
        server, _ = with_log(stack, writes(""))
        assert server.client.logs(4242) == ""


def test_a_log_that_never_appears_is_given_up_after_thirty_looks() -> None:
    with ExitStack() as stack:
        server, storage = with_log(stack, NOT_YET)
        with pytest.raises(VastUnavailable):
            server.client.logs(4242)
    assert len(storage.asked) == 30
    assert server.clock.slept == [0.3] * 29


def test_looking_for_a_log_ends_with_the_time_too() -> None:
    with ExitStack() as stack:
        server, storage = with_log(stack, NOT_YET)
        server.clock.sleep = lambda seconds: setattr(server.clock, "now", server.clock.now + 20)  # type: ignore[method-assign]  # a slow storage
        server.client._transport.limiter.sleep = server.clock.sleep
        with pytest.raises(VastUnavailable):
            server.client.logs(4242)
    assert len(storage.asked) == 3


def test_a_storage_that_redirects_is_not_followed() -> None:
    with ExitStack() as stack:
        other = stack.enter_context(vast(writes("secret")))
        server, _ = with_log(stack, reply(b"", status="302 X", Location=f"http://{other.host}/"))
        with pytest.raises(VastUnavailable):
            server.client.logs(4242)
    assert other.asked == []


def test_a_log_that_is_too_large_is_refused() -> None:
    with ExitStack() as stack:
        server, storage = with_log(stack, reply(b"x" * 5 * 1024 * 1024))
        with pytest.raises(VastProtocolError, match="larger than allowed"):
            server.client.logs(4242)
    assert len(storage.asked) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://storage.example/x.log",
        "https://127.0.0.1/x.log",
        "https://10.0.0.5/x.log",
        "https://169.254.169.254/latest",
        "https://2130706433/x.log",
        "https://localhost/x.log",
        "https://user@storage.example/x.log",
        "https://storage.example:22/x.log",
        "ftp://storage.example/x.log",
        "file:///etc/passwd",
        "/x.log",
        "",
        "https://[::1",
    ],
)
def test_a_log_is_only_fetched_over_https_from_the_public_internet(url: str) -> None:
    with pytest.raises(VastProtocolError) as caught:
        fetch_log(url, base_url=httpx.URL("https://console.vast.ai"), limiter=FakeClock().limiter())
    assert str(caught.value).startswith("logs: ")


def test_a_public_vast_cannot_send_us_to_a_server_on_our_own_side() -> None:
    with vast(writes("secret")) as inside:
        url = httpx.URL("https://console.vast.ai")
        with pytest.raises(VastProtocolError):
            fetch_log(f"http://{inside.host}/", base_url=url, limiter=inside.clock.limiter())
    assert inside.asked == []


@pytest.mark.parametrize("prefix", ["http://user:pass@", "http:\\\\", "ftp://", " http://", "http://\x00"])
def test_an_address_that_parsers_disagree_about_is_not_called(prefix: str) -> None:
    with vast(writes("log")) as server, pytest.raises(VastProtocolError):
        fetch_log(f"{prefix}{server.host}/", base_url=httpx.URL("http://127.0.0.1:1"), limiter=FakeClock().limiter())
    assert server.asked == []


def test_the_signed_address_stands_in_no_error() -> None:
    url = "https://127.0.0.1/x.log?X-Amz-Signature=abcdef"
    with pytest.raises(VastProtocolError) as caught:
        fetch_log(url, base_url=httpx.URL("https://console.vast.ai"), limiter=FakeClock().limiter())
    assert "abcdef" not in str(caught.value)


@pytest.mark.parametrize("answer", [{}, {"result_url": None}, {"result_url": 5}])
def test_an_answer_without_an_address_is_an_error(answer: dict[str, object]) -> None:
    with vast(says({"success": True} | answer)) as server, pytest.raises(VastProtocolError):
        server.client.logs(4242)
