"""Our own keeping of vast.ai's rate limits."""

import threading

import pytest

from gpu.clients.vastai_errors import VastRateLimited
from gpu.clients.vastai_limits import Endpoint, shared_limiter
from tests.gpu.vastai import FakeClock, says, vast


@pytest.mark.parametrize(
    ("endpoint", "seconds"),
    [
        (Endpoint.SEARCH, 6.0),
        (Endpoint.CREATE, 4.5),
        (Endpoint.DESTROY, 3.0),
        (Endpoint.SHOW, 2.0),
        (Endpoint.LIST, 1.0),
        (Endpoint.UPDATE, 1.0),
        (Endpoint.REBOOT, 1.0),
        (Endpoint.RECYCLE, 1.0),
        (Endpoint.CHARGES, 1.0),
    ],
)
def test_calls_of_one_endpoint_keep_its_published_distance(endpoint: Endpoint, seconds: float) -> None:
    clock = FakeClock()
    limiter = clock.limiter()
    for _ in range(3):
        limiter.wait(endpoint)
    assert 2 * seconds < clock.now - 1000 < 2 * seconds + 0.5


def test_endpoints_do_not_wait_for_each_other() -> None:
    clock = FakeClock()
    limiter = clock.limiter()
    for endpoint in Endpoint:
        limiter.wait(endpoint)
    assert clock.slept == []


def test_time_that_has_passed_anyway_is_not_waited_again() -> None:
    clock = FakeClock()
    limiter = clock.limiter()
    limiter.wait(Endpoint.SHOW)
    clock.now += 1.5
    limiter.wait(Endpoint.SHOW)
    assert sum(clock.slept) == pytest.approx(0.6)


def test_a_turn_too_far_away_is_refused_at_once() -> None:
    clock = FakeClock()
    limiter = clock.limiter()
    limiter.hold(Endpoint.DESTROY, 31)
    with pytest.raises(VastRateLimited) as caught:
        limiter.wait(Endpoint.DESTROY)
    assert clock.slept == []
    assert caught.value.retry_after_s == pytest.approx(31)


def test_a_hold_that_comes_while_somebody_waits_counts_for_them_too() -> None:
    clock = FakeClock()
    limiter = clock.limiter()
    limiter.wait(Endpoint.SHOW)
    at_once = clock.sleep

    def sleep(seconds: float) -> None:
        at_once(seconds)
        limiter.sleep = at_once
        limiter.hold(Endpoint.SHOW, 5)

    limiter.sleep = sleep
    limiter.wait(Endpoint.SHOW)
    assert clock.now - 1000 == pytest.approx(7.1)


def test_threads_get_their_turns_one_by_one() -> None:
    clock = FakeClock()
    limiter, turns = clock.limiter(), list[float]()

    def take() -> None:
        limiter.wait(Endpoint.LIST)
        turns.append(clock.now)

    threads = [threading.Thread(target=take) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(turns) == 5
    assert clock.now - 1000 >= 4.4


def test_an_account_has_one_limiter_in_the_process() -> None:
    assert shared_limiter("https://a", "key") is shared_limiter("https://a", "key")
    assert shared_limiter("https://a", "key") is not shared_limiter("https://a", "other")
    assert shared_limiter("https://a", "key") is not shared_limiter("https://b", "key")


def test_the_client_waits_for_its_turn_before_a_call() -> None:
    with vast(says({"success": True})) as server:
        for _ in range(3):
            server.client.destroy(1)
    assert [round(asked.at - 1000, 1) for asked in server.asked] == [0.0, 3.1, 6.2]
