"""Asks the limited process for a clip or for one frame."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Any

from generation.limits import CHILD_ENVIRONMENT
from generation.services.clip_worker import Made, Order, Part
from generation.services.media import MAX_FRAMES, MAX_SECONDS, MediaTrouble, NotAVideo

__all__ = ["Abandoned", "Made", "Part", "make", "take"]

WORKER = "generation.services.clip_worker"
# The queue ends a task after 600 s; fetching, signing and putting need some of them.
TIMEOUT_S = 480.0
_LOOK_S = 0.5
_ROOT = Path(__file__).resolve().parents[2]


class Abandoned(Exception):
    """Nobody wants it any more."""


def make(
    kind: str, parts: Sequence[Part], options: dict[str, Any], *, out: Path, poster: Path, given_up: Event
) -> Made:
    """Write the clip to `out` and a JPEG of its first frame to `poster`.

    Raises NotAVideo with a code and a sentence, MediaTrouble, and Abandoned soon after `given_up` is set.
    """
    answer = _ask(
        Order(
            parent_pid=os.getpid(),
            kind=kind,
            parts=[asdict(part) for part in parts],
            out=str(out),
            poster=str(poster),
            options=options,
            max_frames=MAX_FRAMES,
            max_seconds=MAX_SECONDS,
        ),
        given_up,
    )
    return Made(**answer["made"])


def take(path: Path, number: int | None, *, out: Path) -> int:
    """Write frame `number` (None: the last) to `out` as PNG; which one it is. Raises NotAVideo, MediaTrouble."""
    order = Order(
        parent_pid=os.getpid(), kind="frame", parts=[asdict(Part(str(path)))], out=str(out), poster="", number=number
    )
    taken: int = _ask(order, Event())["taken"]
    return taken


def _ask(order: Order, given_up: Event) -> dict[str, Any]:
    with subprocess.Popen(
        [sys.executable, "-m", WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=_ROOT,
        env=CHILD_ENVIRONMENT,
        text=True,
    ) as process:
        try:
            answer = _answer(process, json.dumps(asdict(order)) + "\n", given_up)
        finally:
            process.kill()
    if "refused" in answer:
        raise NotAVideo(answer["refused"], answer["message"])
    return answer


def _answer(process: subprocess.Popen[str], line: str, given_up: Event) -> dict[str, Any]:
    waited = 0.0
    given: str | None = line
    while True:
        try:
            out, _ = process.communicate(given, timeout=_LOOK_S)
            break
        except subprocess.TimeoutExpired:
            given, waited = None, waited + _LOOK_S
            if given_up.is_set():
                raise Abandoned from None
            if waited >= TIMEOUT_S:
                return {"refused": "too_slow", "message": "It takes too long on this server. Try a shorter part."}
    if (process.returncode or 0) < 0:
        return {"refused": "too_large", "message": "It takes more time or memory than allowed. Try a shorter part."}
    try:
        answer: dict[str, Any] = json.loads(out)
    except ValueError as exc:
        raise MediaTrouble("The process that makes clips failed.") from exc
    return answer
