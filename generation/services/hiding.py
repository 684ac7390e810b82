"""Whether a stored file is hidden: links that were given out before it was live for minutes."""

from uuid import UUID

from generation.models import Clip, SourceImage, VideoJob


def is_hidden(key: str) -> bool:
    """One look by primary key; a file of nobody's is not hidden."""
    folder, _, rest = key.partition("/")
    try:
        pk = UUID(rest.partition("/")[0])
    except ValueError:
        return False
    if folder == "in":
        return SourceImage.objects.filter(pk=pk).exclude(hidden_at=None).exists()
    if folder == "out":
        return VideoJob.objects.filter(pk=pk).exclude(hidden_at=None).exists()
    return folder == "clip" and Clip.objects.filter(pk=pk).exclude(hidden_at=None).exists()
