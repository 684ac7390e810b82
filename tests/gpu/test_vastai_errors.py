"""Every kind of refusal and trouble, from its raw answer; what is tried again, and how long after."""

import datetime
import json
import logging
import socket
from contextlib import ExitStack

import pytest

from gpu.clients.vastai import VastClient
from gpu.clients.vastai_errors import (
    NotFound,
    NotSent,
    PermissionMissing,
    SearchQuota,
    TwoFactorKey,
    VastError,
    VastProtocolError,
    VastRateLimited,
    VastRejected,
    VastUnauthorized,
    VastUnavailable,
)
from gpu.clients.vastai_offers import OfferQuery
from tests.gpu.vastai import KEY, FakeClock, hangs_up, says, vast, writes
from tests.simulators.wire import Handler, reply

USER = {"id": 7, "credit": 12.34, "email": "a@b.example", "api_key": KEY}
QUERY = OfferQuery(max_usd_per_hour=1, disk_gb=60)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (says({"success": False, "error": "auth_error", "msg": "Invalid user key"}, status=401), VastUnauthorized),
        (writes("", status=401), VastUnauthorized),
        (says({"success": False, "error": "auth_error", "msg": "Invalid user key"}, status=404), VastUnauthorized),
        (says({"error": "auth_error", "msg": "This action requires login."}, status=403), VastUnauthorized),
        (says({"error": "auth_error", "msg": "Who are you?"}, status=404), VastUnauthorized),
        (says({"error": "forbidden", "msg": "Missing permission user_read"}, status=403), PermissionMissing),
        (says({"error": "auth_error", "msg": "This key lacks user_read"}, status=403), PermissionMissing),
        (says({"msg": "Two Factor Authentication is required"}, status=401), TwoFactorKey),
        (says({"msg": "Your 2FA session expired"}, status=404), TwoFactorKey),
        (says({"success": False, "error": "not_found", "msg": "?"}, status=404), NotFound),
        (writes("<html>no such page</html>", status=404), VastProtocolError),
        (says({"error": "invalid_args", "msg": "bad"}, status=400), VastRejected),
        (says({"success": False, "error": "odd", "msg": "?"}), VastRejected),
        (says({"error": "odd"}), VastRejected),
        (writes("unparsable", status=483), VastRejected),
        (writes("<html>maintenance</html>"), VastProtocolError),
        (says([1]), VastProtocolError),
        (writes(""), VastProtocolError),
        (reply(b"", status="302 Found", Location="http://127.0.0.1:1/"), VastProtocolError),
        (reply(b"xx", Content_Encoding="gzip"), VastProtocolError),
        (reply(b"x" * 17 * 1024 * 1024), VastProtocolError),
        (writes("down", status=500), VastUnavailable),
        (writes("down", status=502), VastUnavailable),
        (writes("down", status=504), VastUnavailable),
        (writes("slow", status=408), VastUnavailable),
        (writes("slow down", status=429), VastRateLimited),
        (hangs_up, VastUnavailable),
        (says({"id": 7, "credit": "12"}), VastProtocolError),
        (reply(b'{"id": 7, "credit": 1e999}'), VastProtocolError),
        (reply(b'{"id": 7, "credit": NaN}'), VastProtocolError),
        (says({"id": 7}), VastProtocolError),
    ],
)
def test_each_bad_answer_is_an_error_of_its_own_kind(answer: Handler, kind: type[VastError]) -> None:
    with vast(answer) as server, pytest.raises(VastError) as caught:
        server.client.account()
    assert type(caught.value) is kind


def test_the_key_goes_in_one_header_and_nowhere_else() -> None:
    with vast(says(USER)) as server:
        account = server.client.account()
    (asked,) = server.asked
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert (asked.path, asked.query) == ("/api/v0/users/current", {})
    assert KEY not in repr(account) + repr(server.client)
    assert account.email == "a@b.example"
    assert account.email not in repr(account)


def test_the_credit_is_exactly_what_vast_says() -> None:
    with vast(says(USER)) as server:
        account = server.client.account()
    assert (account.id, str(account.credit_usd)) == (7, "12.34")


def test_a_key_that_is_echoed_stands_in_no_error_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    short = "short-key"
    with vast(says({"error": f"bad {short}", "msg": f"for {short} and {'f' * 64}"}, status=400)) as server:
        client = VastClient(f"http://{server.host}", short, limiter=server.clock.limiter())
        with pytest.raises(VastRejected) as caught:
            client.account()
    assert short not in str(caught.value) + caught.value.code + caplog.text
    assert "ffff" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "  ", "two words", "line\nbreak", "kéy"])
def test_a_key_that_cannot_stand_in_a_header_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="key is empty or has characters") as caught:
        VastClient("https://console.vast.ai", key)
    assert not key.strip() or key not in str(caught.value)


@pytest.mark.parametrize("url", ["http://console.vast.ai", "http://8.8.8.8", "ftp://127.0.0.1", "console.vast.ai"])
def test_the_key_never_goes_over_the_internet_in_clear(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        VastClient(url, KEY)


def test_a_redirect_is_not_followed() -> None:
    with ExitStack() as servers:
        target = servers.enter_context(vast(says(USER)))
        moved = reply(b"", status="308 Moved", Location=f"http://{target.host}/")
        server = servers.enter_context(vast(moved))
        with pytest.raises(VastProtocolError):
            server.client.account()
    assert target.asked == []


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with vast(says(USER)) as server:
        assert server.client.account().id == 7


def test_nobody_listening_means_that_nothing_was_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = VastClient(f"http://127.0.0.1:{unused.getsockname()[1]}", KEY, limiter=FakeClock().limiter())
        with pytest.raises(NotSent):
            client.account()


# --- trying again -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [hangs_up, writes("", status=502), writes("slow down", status=429)])
def test_trouble_that_passes_is_not_seen(trouble: Handler) -> None:
    with vast(trouble, trouble, says(USER)) as server:
        assert server.client.account().id == 7
    assert len(server.asked) == 3


def test_a_read_is_tried_three_times_with_growing_waits() -> None:
    with vast(writes("", status=503)) as server, pytest.raises(VastUnavailable):
        server.client.account()
    first, second = (later.at - sooner.at for sooner, later in zip(server.asked, server.asked[1:], strict=False))
    assert len(server.asked) == 3
    assert 1.0 <= first < 1.2  # the endpoint's own interval is longer than the first back-off
    assert 1.0 <= second <= 1.3
    assert server.clock.slept[0] <= 0.65 < 0.75 <= server.clock.slept[2]


@pytest.mark.parametrize(
    ("trouble", "least", "most"),
    [
        (writes("slow", status=429, Retry_After="7"), 7, 8),
        (says({"detail": "slow", "retry_after": 9}, status=429), 9, 10),
        (says({"retry_after": 9}, status=429, Retry_After="4"), 4, 5),
        (says({"retry_after": -3}, status=429), 2, 2.5),
        (reply(b'{"retry_after": NaN}', status="429 X"), 2, 2.5),
        (writes("slow", status=429), 2, 2.5),
        (writes("slow", status=429, Retry_After="soon"), 2, 2.5),
    ],
)
def test_a_429_is_waited_out_as_told_by_header_then_body_then_ourselves(
    trouble: Handler, least: float, most: float
) -> None:
    with vast(trouble, says(USER)) as server:
        server.client.account()
    assert least <= server.asked[1].at - server.asked[0].at <= most


def test_a_retry_after_may_be_a_date() -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=20)
    trouble = writes("slow", status=429, Retry_After=later.strftime("%a, %d %b %Y %H:%M:%S GMT"))
    with vast(trouble, says(USER)) as server:
        server.client.account()
    assert 15 <= server.asked[1].at - server.asked[0].at <= 23


def test_a_wait_that_is_too_long_for_a_worker_is_the_callers() -> None:
    with vast(writes("slow", status=429, Retry_After="45")) as server, pytest.raises(VastRateLimited) as caught:
        server.client.account()
    assert (len(server.asked), server.clock.slept) == (1, [])
    assert 44 < (caught.value.retry_after_s or 0) < 51


def test_a_silly_retry_after_does_not_stop_an_endpoint_for_a_day() -> None:
    with vast(writes("slow", status=429, Retry_After="86400"), says({"success": True})) as server:
        with pytest.raises(VastRateLimited):
            server.client.destroy(1)
        server.clock.now += 70
        server.client.destroy(1)
    assert len(server.asked) == 2


def test_the_daily_search_quota_is_not_asked_again() -> None:
    quota = says(
        {"success": False, "error": "search_quota_exceeded", "msg": "?"}, status=429, X_RateLimit_Reset="1793491200"
    )
    with vast(quota) as server, pytest.raises(SearchQuota) as caught:
        server.client.search_offers(QUERY)
    assert len(server.asked) == 1
    assert caught.value.reset_at == datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize("reset", ["", "soon", "nan", "1e300"])
def test_a_quota_without_a_usable_reset_time_is_still_a_quota(reset: str) -> None:
    quota = says({"error": "search_quota_exceeded"}, status=429, X_RateLimit_Reset=reset)
    with vast(quota) as server, pytest.raises(SearchQuota) as caught:
        server.client.search_offers(QUERY)
    assert caught.value.reset_at is None


def test_a_refusal_is_not_tried_again() -> None:
    with vast(writes("", status=401)) as server, pytest.raises(VastUnauthorized):
        server.client.account()
    assert len(server.asked) == 1


@pytest.mark.parametrize("action", ["reboot", "recycle"])
@pytest.mark.parametrize("trouble", [hangs_up, writes("", status=504)])
def test_what_cannot_be_done_twice_is_sent_once(action: str, trouble: Handler) -> None:
    with vast(trouble) as server, pytest.raises(VastUnavailable):
        getattr(server.client, action)(4242)
    assert [(asked.method, asked.path) for asked in server.asked] == [("PUT", f"/api/v0/instances/{action}/4242/")]


def test_texts_of_vast_are_short_and_one_line_in_errors() -> None:
    body = json.dumps({"error": "odd", "msg": "a\n" * 5000 + "\x00"})
    with vast(writes(body, status=400)) as server, pytest.raises(VastRejected) as caught:
        server.client.account()
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)
