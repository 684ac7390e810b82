"""The rights statement, kept with each picture besides the job that it was confirmed for."""

from django.db.models import Q
from django.utils.translation import gettext_lazy

from generation.models import SourceImage, VideoJob

# The wording that people agree to. Change the version with the words: a job keeps the one it was made under.
RIGHTS_VERSION = "2026-11"
RIGHTS_TEXT = gettext_lazy("I have the rights to use this picture, and the people in it agree to this video.")


def note_on_pictures(job: VideoJob) -> None:
    """Store on the job's pictures which statement was confirmed for them and when, unless they hold a later one."""
    if not job.rights_version or job.rights_confirmed_at is None:
        return
    used = [pk for pk in (job.image_id, job.end_image_id) if pk]
    older = Q(rights_confirmed_at=None) | Q(rights_confirmed_at__lt=job.rights_confirmed_at)
    SourceImage.objects.filter(older, pk__in=used).update(
        rights_version=job.rights_version, rights_confirmed_at=job.rights_confirmed_at
    )
