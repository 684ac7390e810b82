"""Walls around our own child processes: memory, CPU time, and death together with their parent."""

import ctypes
import os
import resource
import signal
import threading
from typing import BinaryIO

_PR_SET_PDEATHSIG = 1

# No secret of the platform is in the environment of a process that opens foreign files.
CHILD_ENVIRONMENT = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}


def limit_resources(*, memory_bytes: int, cpu_seconds: int) -> None:
    """Bind this process: more address space fails to allocate, more CPU time kills it; it leaves no core file."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def die_with_parent(parent_pid: int) -> None:
    """Make the kernel kill this process when the one that started it ends, however that ends (Linux only)."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (AttributeError, OSError):
        return  # another system: the end of stdin is the sign there (die_at_end_of)
    if os.getppid() != parent_pid:
        os._exit(3)  # it died before the wish was known


def die_at_end_of(stream: BinaryIO) -> None:
    """End this process when `stream`, a pipe that the parent keeps open, is closed."""

    handle = stream.fileno()

    def watch() -> None:
        # Straight from the pipe: a lock on the buffered reader would still be held when the interpreter ends.
        while os.read(handle, 4096):
            pass
        os._exit(3)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()
