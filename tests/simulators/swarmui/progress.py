"""Progress as Comfy's nodes make it: jumpy, going back now and then, stopping short of the end."""

from collections.abc import Iterator
from typing import Any

NODES = 17


def messages(
    *, batch_index: str, request_id: str, steps: int, preview: str, odd_index: bool
) -> Iterator[dict[str, Any]]:
    """`steps` bursts of gen_progress objects, the last one the save node's fake 12346/12346."""
    head = {"batch_index": batch_index, "request_id": request_id}
    for step in range(steps):
        done = 1 + int((NODES - 4) * (step / steps) ** 2)
        current = step / steps * 2 % 1
        message: dict[str, Any] = head | {"overall_percent": done / (NODES + 1), "current_percent": round(current, 4)}
        if preview and step % 3 == 2:
            # A preview counts with another divisor, so the bar steps back.
            message |= {"preview": preview, "overall_percent": done / (NODES + 3)}
            if odd_index and step == 5:
                message["batch_index"] = int(batch_index) + 1
        yield message


def last(*, batch_index: str, request_id: str) -> dict[str, Any]:
    return {
        "batch_index": batch_index,
        "request_id": request_id,
        "overall_percent": (NODES - 2) / (NODES + 1),
        "current_percent": 1.0,
    }
