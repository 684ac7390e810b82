"""Rendering inside one command, for a machine where neither `serve` nor a dispatcher runs."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import connections
from django.utils import timezone

from generation.models import Heartbeat
from generation.services.dispatch import Dispatcher

# Dispatchers beat every 10 s, workers every 20 s under `serve` and every minute elsewhere.
FRESH = {"dispatcher": timedelta(seconds=30), "worker": timedelta(seconds=90)}


def is_alive(name: str) -> bool:
    """Whether a dispatcher or worker somewhere has reported lately."""
    return Heartbeat.objects.filter(name=name, beat_at__gt=timezone.now() - FRESH[name]).exists()


@contextmanager
def own_dispatcher() -> Iterator[None]:
    """A dispatcher in a thread of this process. It takes jobs like any other, and hands them over at the end."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    def work() -> None:
        try:
            loop.run_until_complete(Dispatcher().run(stop))
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()
            connections.close_all()

    thread = threading.Thread(target=work, name="dispatcher")
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        # Its last beat would tell the next command for half a minute that somebody renders.
        Heartbeat.objects.filter(name="dispatcher").delete()
