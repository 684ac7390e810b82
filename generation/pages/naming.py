"""Names under which files are saved."""

from django.utils.text import slugify

from generation.models import VideoJob

_WORDS_CHARS = 50


def file_name(job: VideoJob, ending: str, *, what: str = "") -> str:
    """ "push-in-slowly-seed-42.mp4", "push-in-slowly-seed-42-poster.jpg"; `what` says which file of the video."""
    words = slugify(job.prompt)[:_WORDS_CHARS].strip("-") or "video"
    return "-".join(filter(None, [words, "seed", str(job.seed), what])) + f".{ending}"
