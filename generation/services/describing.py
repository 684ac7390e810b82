"""What a video shows, in its person's own words, for people who cannot see it."""

from generation.models import VideoJob

ALT_TEXT_MAX = 500


def describe_video(*, job: VideoJob, text: str) -> None:
    """Keep `text`, at most ALT_TEXT_MAX characters, as one line; empty takes the description away."""
    job.alt_text = " ".join(text.split())
    VideoJob.objects.filter(pk=job.pk).update(alt_text=job.alt_text)
