"""What SwarmUI's messages mean for the person who waits: sending, in line, loading the model, rendering, finishing."""

import time
from collections.abc import Callable

from generation.engines.base import Phase, Progress, Reporter
from gpu.clients.swarmui_messages import GenProgress, Message, Status, decode_preview

PREVIEW_EVERY_S = 1.0


class Line:
    """Renders of this process that SwarmUI has and has not begun, in the order of sending.

    SwarmUI counts per session and tells nobody's place. Another process that feeds the same server is not seen.
    """

    def __init__(self) -> None:
        self._moved: dict[str, Callable[[], None]] = {}

    def join(self, nonce: str, moved: Callable[[], None]) -> None:
        self._moved[nonce] = moved

    def leave(self, nonce: str) -> None:
        if self._moved.pop(nonce, None) is not None:
            for moved in list(self._moved.values()):
                moved()

    def position(self, nonce: str) -> int | None:
        """1 for the next one to begin; None when it is not in line."""
        if nonce not in self._moved:
            return None
        return list(self._moved).index(nonce) + 1


class Watch:
    """Turns the messages of one render into progress."""

    def __init__(self, nonce: str, reporter: Reporter, line: Line) -> None:
        self._nonce = nonce
        self._reporter = reporter
        self._line = line
        self._phase = Phase.SENDING
        self._fraction = 0.0
        self._next_preview = 0.0

    def sending(self) -> None:
        self._report("Sending the picture")

    def sent(self) -> None:
        self._line.join(self._nonce, self._moved)
        self._wait()

    def over(self) -> None:
        self._line.leave(self._nonce)

    def hear(self, message: Message) -> None:
        """Any message, also one without news: it is a sign of life."""
        if isinstance(message, GenProgress):
            self._render(message)
        elif isinstance(message, Status) and self._phase in (Phase.SENDING, Phase.WAITING, Phase.LOADING):
            self._count(message)
        else:
            self._repeat()

    def looked(self, status: Status) -> None:
        """What polling showed, when there is no socket: a live render may be drawing or next in line."""
        if status.live_gens and not status.waiting_backends and not status.loading_models:
            self._begin(Phase.RENDERING)
            self._report("Rendering")
        else:
            self.hear(status)

    def preparing(self) -> None:
        """Nothing was heard yet: at their first use SwarmUI reads whole model files before it answers."""
        self._phase = Phase.LOADING
        self._report("Preparing the model")

    def finishing(self) -> None:
        self._begin(Phase.FINISHING)
        self._fraction = 1.0
        self._report("Saving the video")

    def _count(self, status: Status) -> None:
        if status.loading_models:
            self._phase = Phase.LOADING
            self._report("Loading the model")
        else:
            # A live render may still stand behind another one inside ComfyUI: drawing shows only in gen_progress.
            self._wait()

    def _wait(self) -> None:
        self._phase = Phase.WAITING
        position = self._line.position(self._nonce)
        self._report("In line" if position is None else f"Number {position} in line", position=position)

    def _moved(self) -> None:
        if self._phase == Phase.WAITING:
            self._wait()

    def _begin(self, phase: Phase) -> None:
        self._phase = phase
        self._line.leave(self._nonce)

    def _render(self, news: GenProgress) -> None:
        # The save node reports itself as complete just before the result; a sampler's last step does so earlier.
        saving = news.overall >= 0.85 and news.current >= 1
        self._begin(Phase.FINISHING if saving else Phase.RENDERING)
        self._fraction = news.overall
        preview = None
        if news.preview and time.monotonic() >= self._next_preview:
            preview = decode_preview(news.preview)
            self._next_preview = time.monotonic() + PREVIEW_EVERY_S
        self._report("Saving the video" if saving else "Rendering", preview=preview)

    def _repeat(self) -> None:
        if self._phase == Phase.WAITING:
            self._wait()
        else:
            words = {Phase.LOADING: "Loading the model", Phase.FINISHING: "Saving the video"}
            self._report(words.get(self._phase, "Rendering"))

    def _report(self, message: str, *, position: int | None = None, preview: bytes | None = None) -> None:
        self._reporter.progress(Progress(self._phase, self._fraction, message, position, preview))
