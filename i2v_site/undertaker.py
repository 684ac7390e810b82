"""`python -m i2v_site.undertaker`: told process groups on its input, ends them when the input ends.

The kernel closes the pipe whatever way the supervisor dies, so this also works after kill -9, and it reaches
grandchildren, which a parent-death signal would not.
"""

import os
import signal
import sys
import time
from collections.abc import Callable

GRACE_S = 10.0


def main() -> None:
    # Only the end of the pipe ends this process, not the signals that a terminal or an operator sends around.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    end(groups)


def end(groups: set[int]) -> None:
    """Ask the first process of each group to end its own, wait, then kill what is left of the groups."""
    left = {group for group in groups if _reaches(os.kill, group, signal.SIGTERM)}
    deadline = time.monotonic() + GRACE_S
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        left = {group for group in left if _reaches(os.kill, group, 0)}
    for group in groups:
        _reaches(os.killpg, group, signal.SIGKILL)


def _reaches(send: Callable[[int, int], None], number: int, what: int) -> bool:
    """False when there is nobody left to send it to."""
    try:
        send(number, what)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
