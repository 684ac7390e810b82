"""How long a video is: people say seconds, models make frames."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from generation.errors import BadSetting
from generation.models import VideoModel
from generation.services.fitting import nearest_frames


@dataclass(frozen=True, slots=True)
class Span:
    """The shortest and the longest video of a model at so many frames a second."""

    least_frames: int
    most_frames: int
    fps: int

    @property
    def least_s(self) -> float:
        return self.least_frames / self.fps

    @property
    def most_s(self) -> float:
        return self.most_frames / self.fps


def span_of(model: VideoModel, fps: int | None = None) -> Span:
    return Span(nearest_frames(model, 0), nearest_frames(model, model.max_frames), fps or model.default_fps)


def frames_of(model: VideoModel, seconds: float, fps: int | None = None) -> int:
    """The number of frames nearest to `seconds` that the model makes. Raises BadSetting (field "seconds")."""
    span = span_of(model, fps)
    # Half a frame of tolerance: what is shown was rounded.
    if not span.least_frames - 0.5 <= seconds * span.fps <= span.most_frames + 0.5:
        raise BadSetting(
            _("%(model)s makes %(least)s to %(most)s seconds at %(fps)d frames a second.")
            % {
                "model": model.name,
                "least": f"{span.least_s:.3g}",
                "most": f"{span.most_s:.3g}",
                "fps": span.fps,
            },
            field="seconds",
        )
    return nearest_frames(model, round(seconds * span.fps))


def seconds_text(model: VideoModel, frames: int, fps: int | None = None) -> str:
    """The shortest decimal number of seconds that means these frames: "5.1" for 81 at 16 a second in steps of 4."""
    shown_at = fps or model.default_fps
    for digits in range(4):
        text = f"{frames / shown_at:.{digits}f}"
        if nearest_frames(model, round(float(text) * shown_at)) == nearest_frames(model, frames) and digits:
            return text.rstrip("0").rstrip(".")
    return text
