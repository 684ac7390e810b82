"""What fal.ai's queue says, as progress: in line, rendering, finishing."""

import math
import time

from generation.engines.base import Phase, Progress, RenderRequest, Reporter
from generation.engines.fal_messages import Standing

# A model that tells no percentage is shown by its usual time; it stops short of the end.
MOST_GUESSED = 0.95


class Watch:
    """Turns looks at one request into progress."""

    def __init__(self, request: RenderRequest, reporter: Reporter) -> None:
        self._reporter = reporter
        self._typical_s = max(1.0, request.typical_seconds)
        self._began: float | None = None

    def sending(self) -> None:
        self._reporter.progress(Progress(Phase.SENDING, message="Sending the picture to fal.ai"))

    def searching(self) -> None:
        self._reporter.progress(Progress(Phase.SENDING, message="fal.ai's answer was lost: looking for the request"))

    def hear(self, standing: Standing) -> None:
        if standing.is_waiting:
            self._wait(standing.position)
        elif standing.is_over:
            self.finishing()
        else:
            self._reporter.progress(Progress(Phase.RENDERING, self._fraction(standing.percent), "Rendering at fal.ai"))

    def finishing(self) -> None:
        self._reporter.progress(Progress(Phase.FINISHING, 1.0, "Fetching the video from fal.ai"))

    def _wait(self, before_us: int | None) -> None:
        position = None if before_us is None else before_us + 1
        words = "In line at fal.ai" if position is None else f"Number {position} in line at fal.ai"
        self._reporter.progress(Progress(Phase.WAITING, message=words, position=position))

    def _fraction(self, percent: int | None) -> float:
        now = time.monotonic()
        self._began = self._began or now
        if percent is not None:
            return percent / 100
        return min(MOST_GUESSED, 1 - math.exp(-1.5 * (now - self._began) / self._typical_s))
