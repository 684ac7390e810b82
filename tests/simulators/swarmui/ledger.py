"""The outside observer's book: which renders were asked for, started, finished; how busy the GPUs were."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

QUEUED, RUNNING, FINISHED, FAILED, INTERRUPTED, LOST = (
    "queued",
    "running",
    "finished",
    "failed",
    "interrupted",
    "lost",
)


@dataclass(kw_only=True)
class Render:
    """One image task. Times are `time.time()`; `path` is the asked output path, `result` what was answered."""

    session: str
    request_id: str
    params: dict[str, Any]
    picture_sha256: str = ""
    end_picture_sha256: str = ""
    path: str = ""
    state: str = QUEUED
    asked_at: float = field(default_factory=time.time)
    started_at: float | None = None
    ended_at: float | None = None
    result: str = ""
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Ledger:
    def __init__(self) -> None:
        self.renders: list[Render] = []

    def open(self, render: Render) -> Render:
        self.renders.append(render)
        return render

    def start(self, render: Render) -> None:
        render.state, render.started_at = RUNNING, time.time()

    def end(self, render: Render, state: str, *, result: str = "", error: str = "") -> None:
        render.state, render.ended_at, render.result, render.error = state, time.time(), result, error

    def summary(self) -> dict[str, Any]:
        states = Counter(render.state for render in self.renders)
        started = [render for render in self.renders if render.started_at is not None]
        return {
            "asked": len(self.renders),
            "started": len(started),
            "queued": states[QUEUED],
            "in_flight": states[RUNNING],
            "finished": states[FINISHED],
            "failed": states[FAILED],
            "interrupted": states[INTERRUPTED],
            "lost": states[LOST],
            "started_by_path": _count(started, "overrideoutpathformat"),
            "started_by_note": _count(started, "personalnote"),
            "started_by_prompt": _count(started, "prompt"),
            "started_by_session": dict(Counter(render.session for render in started)),
        }


def _count(renders: list[Render], name: str) -> dict[str, int]:
    return dict(Counter(str(render.params[name]) for render in renders if render.params.get(name)))
