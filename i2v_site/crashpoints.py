"""Named places where a test may kill the process, to prove what survives (safety-rules 10)."""

import os
import signal
import sys

_ASKED = os.environ.get("I2V_CRASH_AT", "")


def crashpoint(name: str) -> None:
    """Die here with SIGKILL when I2V_CRASH_AT names this place; otherwise nothing."""
    if name == _ASKED:
        sys.stderr.write(f"crashpoint {name}\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)
