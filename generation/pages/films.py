"""What a player needs to know of a video, wherever it stands (templates/generation/_player.html)."""

from dataclasses import dataclass, replace
from typing import Any

from django.urls import reverse
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from generation.models import Attempt, Clip, VideoJob


@dataclass(frozen=True, slots=True)
class Film:
    """`address` and `poster` are paths on this site; `label` is what a screen reader calls the video."""

    address: str
    poster: str
    width: int | None
    height: int | None
    frames: int
    fps: float
    label: str

    @property
    def last_frame(self) -> int:
        return max(0, self.frames - 1)

    def at(self, address: str, poster: str) -> "Film":
        """The same film at another address."""
        return replace(self, address=address, poster=poster)


def film_of(job: VideoJob, attempt: Attempt | None, *, shows_prompt: bool = True) -> Film:
    """The finished video of a job; `attempt` is its last one, which knows what the file really holds."""
    stored = stored_facts(attempt)
    return Film(
        address=reverse("job_media", args=[job.pk, "video"]),
        poster=reverse("job_media", args=[job.pk, "poster"]) if job.poster_key else "",
        width=stored.get("width") or job.width,
        height=stored.get("height") or job.height,
        frames=stored.get("frames") or job.frames * job.interpolate,
        fps=float(stored.get("fps") or job.fps * job.interpolate),
        label=label_of(job, shows_prompt=shows_prompt),
    )


def label_of(job: VideoJob, *, shows_prompt: bool = True) -> str:
    """Its person's own words for who cannot see it; without them the prompt, where that may be shown."""
    if job.alt_text:
        return job.alt_text
    if not shows_prompt:
        return _("A video made by software")
    return _("The video: %(prompt)s") % {"prompt": Truncator(job.prompt).chars(80)}


def stored_facts(attempt: Attempt | None) -> dict[str, Any]:
    """Width, height, frames and fps of the file that was stored; empty where nobody looked."""
    return attempt.engine_metadata.get("stored") or {} if attempt else {}


def clip_film(clip: Clip, *, address: str, poster: str, label: str) -> Film:
    """A finished clip that is a video."""
    return Film(
        address=address,
        poster=poster,
        width=clip.width,
        height=clip.height,
        frames=clip.frames or 0,
        fps=clip.fps or 0.0,
        label=label,
    )
