"""The fleet in a process of its own, which may be killed: `python -m tests.gpu.fleet_process live|end <market>`.

live: rent a machine, let it do nothing, give it back; one line for each round. end: one more round, then everything
is given back; prints how many rounds that took.
"""

import sys
from contextlib import suppress
from datetime import UTC, datetime
from unittest import mock

import django
import httpx

MOST_ROUNDS = 40


class Market:
    """The simulated market as seen from another process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now = 0.0
        self.advance(0)

    def advance(self, seconds: float) -> None:
        answer = httpx.post(f"{self.url}/sim/advance", json={"seconds": seconds}, timeout=60)
        self.now = float(answer.raise_for_status().json()["now"])


def main(command: str, url: str) -> None:
    django.setup()
    from django.conf import settings
    from django.utils import timezone

    from tests.gpu import renting

    market = Market(url)
    renting.no_waiting(settings.VASTAI_URL, settings.VASTAI_API_KEY)
    with mock.patch.object(timezone, "now", side_effect=lambda: datetime.fromtimestamp(market.now, UTC)):
        live(market) if command == "live" else end(market)


def live(market: Market) -> None:
    from gpu.models import Instance
    from gpu.services import machines, reconcile
    from tests.gpu import renting

    renting.allow_renting(idle_minutes=2)
    machines.request_machine(reason="a test wants one")
    for _ in range(MOST_ROUNDS):
        reconcile.reconcile()
        if not Instance.objects.alive().exists():
            return
        market.advance(60)


def end(market: Market) -> None:
    from gpu.models import GpuConfig, Instance
    from gpu.services import machines, reconcile
    from i2v_site.errors import DomainError

    market.advance(60)
    reconcile.reconcile()
    GpuConfig.objects.update(renting=False)
    for row in Instance.objects.alive():
        with suppress(DomainError):
            machines.destroy(instance=row, reason="the test is over")
    for number in range(MOST_ROUNDS):
        if not Instance.objects.alive().exists():
            sys.stdout.write(f"{number} {' '.join(Instance.objects.values_list('state', flat=True))}\n")
            return
        market.advance(60)
        reconcile.reconcile()


if __name__ == "__main__":
    main(*sys.argv[1:])
