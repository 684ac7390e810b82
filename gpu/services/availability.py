"""Whether a server answers now: a live look that is shared, short and remembered for a few seconds."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock


class LiveLook:
    """One look per address at a time in this process, however many ask; everybody waits at most `wait_s` seconds."""

    def __init__(self, look: Callable[[str], bool], *, wait_s: float, fresh_s: float) -> None:
        self._look = look
        self._wait_s = wait_s
        self._fresh_s = fresh_s
        self._lock = Lock()
        self._looks: dict[str, tuple[float, Future[bool]]] = {}
        # In threads of its own: a name service that hangs would hold the caller's thread for half a minute.
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="live-look")

    def answer(self, address: str) -> bool:
        """The last answer while it is fresh, else a new one; False when none comes in time."""
        with self._lock:
            started, future = self._looks.get(address, (0.0, None))
            stale = time.monotonic() - started > self._fresh_s
            if future is None or (future.done() and stale):
                # Only one address is configured at a time; old ones need not be kept.
                self._looks = {key: value for key, value in self._looks.items() if not value[1].done()}
                future = self._threads.submit(self._look, address)
                self._looks[address] = (time.monotonic(), future)
        try:
            return future.result(timeout=self._wait_s)
        except TimeoutError:
            return False
