"""Run a dispatcher until SIGTERM or Ctrl-C."""

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand

from generation.services.dispatch import Dispatcher


class Command(BaseCommand):
    help = "Drive renders: claim queued jobs, follow them at their engines, hand results to the workers."
    # They load every page: more than a third of what a start takes, in a process that comes back after each crash.
    requires_system_checks = ()

    def handle(self, *_args: Any, **_options: Any) -> None:
        asyncio.run(_run())


async def _run() -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await Dispatcher().run(stop)
