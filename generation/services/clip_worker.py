"""Makes one clip, or takes one frame, in a limited process: `python -m generation.services.clip_worker`. No Django.

In on stdin: one line of JSON (Order).
Out on stdout: one line of JSON: {"made": {...}}, {"taken": number} or {"refused": code, "message"}.
"""

import errno
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from generation.limits import die_with_parent, limit_resources
from generation.services.media_worker import Refused

MEMORY_BYTES = 3 * 1024**3
# Below the time that the queue gives a task, with two threads at work.
CPU_SECONDS = 800


@dataclass(frozen=True, slots=True)
class Part:
    path: str
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """`kind` is one of the clips', with `out` and `poster`; or "frame": a PNG of frame `number` (None: the last)."""

    parent_pid: int
    kind: str
    parts: list[dict[str, Any]]
    out: str
    poster: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    max_frames: int = 0
    max_seconds: float = 0
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Made:
    width: int
    height: int
    frames: int
    fps: float
    sound: bool
    sound_dropped: bool
    looks: list[str]


def main() -> None:
    order = Order(**json.loads(sys.stdin.readline()))
    die_with_parent(order.parent_pid)
    limit_resources(memory_bytes=MEMORY_BYTES, cpu_seconds=CPU_SECONDS)
    try:
        answer = _done(order)
    except Refused as exc:
        answer = {"refused": exc.code, "message": str(exc)}
    except MemoryError:
        answer = {"refused": "too_large", "message": "This takes too much memory."}
    sys.stdout.write(json.dumps(answer) + "\n")


def _done(order: Order) -> dict[str, Any]:
    import av

    try:
        with ExitStack() as opened:
            from generation.services.clip_sources import Source

            sources = [opened.enter_context(Source(**part)) for part in order.parts]
            if order.kind == "frame":
                return {"taken": _take(sources[0], order)}
            return {"made": asdict(_make(sources, order))}
    except (av.FFmpegError, EOFError, ValueError, IndexError) as exc:
        code = getattr(exc, "errno", None)
        if code == errno.ENOSPC:
            raise  # our disk is full; the videos may be fine
        if code == errno.ENOMEM:
            raise MemoryError from exc
        raise Refused("damaged", "A video is damaged.") from exc


def _take(source: Any, order: Order) -> int:
    number = source.end - 1 if order.number is None else order.number
    if number >= source.end:
        raise Refused("no_such_frame", f"The video has only {source.end} frames.")
    for frame in source.frames(number, number + 1):
        frame.to_image().save(order.out, "PNG", compress_level=1)
    return number


def _make(sources: list[Any], order: Order) -> Made:
    from generation.services import clip_kinds
    from generation.services.clip_films import Film

    plan = clip_kinds.plan(order.kind, sources, order.options)
    if plan.count > order.max_frames or plan.count / plan.rate > order.max_seconds:
        raise Refused("too_long", f"It would be longer than {order.max_frames} frames or {order.max_seconds:g} s.")
    film = Film(order.out, order.poster, size=plan.size, rate=plan.rate)
    clip_kinds.write(order.kind, plan, film, sources)
    return Made(
        width=plan.size[0],
        height=plan.size[1],
        frames=film.frames,
        fps=float(plan.rate),
        sound=plan.sound is not None,
        sound_dropped=plan.sound_dropped,
        looks=film.looks(),
    )


if __name__ == "__main__":
    main()
