"""What people keep with their videos: favourites and tags. Ids that are not the owner's match nothing."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from generation.errors import TagExists, TagRefused, TooManyTags
from generation.models import Tag, VideoJob, VideoJobQuerySet

MAX_TAGS = 500  # of one person
MAX_TAGS_PER_VIDEO = 20
MAX_NAME_CHARS = 40

Links: Any = VideoJob.tags.through


def _own(owner: User, ids: Iterable[UUID]) -> VideoJobQuerySet:
    return VideoJob.objects.owned_by(owner).filter(pk__in=list(ids))


def set_favourite(*, owner: User, ids: Iterable[UUID], on: bool) -> int:
    """Mark videos as favourites, or take the mark away; how many have changed."""
    rows = _own(owner, ids).filter(favourite_at__isnull=on)
    return rows.update(favourite_at=timezone.now() if on else None)


def tag_names(text: str) -> list[str]:
    """The names in what somebody typed, with commas between them. Raises TagRefused."""
    names = [" ".join(part.split()).removeprefix("#").strip() for part in text.split(",")]
    names = list(dict.fromkeys(name for name in names if name))
    if not names:
        raise TagRefused(_("Give the tag a name."), field="tag")
    if any(len(name) > MAX_NAME_CHARS for name in names):
        raise TagRefused(_("A tag has at most %(most)d characters.") % {"most": MAX_NAME_CHARS}, field="tag")
    if not all(name.isprintable() for name in names):
        raise TagRefused(_("A tag holds no control characters."), field="tag")
    return names


def add_tags(*, owner: User, ids: Iterable[UUID], names: Sequence[str]) -> list[Tag]:
    """Put tags on videos; new names become tags, others are reused whatever their case. Raises TooManyTags."""
    with transaction.atomic():
        jobs = list(_own(owner, ids).values_list("pk", flat=True))
        tags = [_tag(owner, name) for name in names] if jobs else []
        links = [Links(videojob_id=job, tag_id=tag.pk) for job in jobs for tag in tags]
        Links.objects.bulk_create(links, ignore_conflicts=True)
        _check_room(jobs)
    return tags


def _tag(owner: User, name: str) -> Tag:
    known = Tag.objects.filter(owner=owner, name__iexact=name).first()
    if known:
        return known
    if Tag.objects.filter(owner=owner).count() >= MAX_TAGS:
        raise TooManyTags(_("You have %(most)d tags. Delete one first.") % {"most": MAX_TAGS}, field="tag")
    return Tag.objects.get_or_create(owner=owner, name=name)[0]


def _check_room(jobs: Sequence[UUID]) -> None:
    counts: dict[UUID, int] = {}
    for job in Links.objects.filter(videojob_id__in=jobs).values_list("videojob_id", flat=True):
        counts[job] = counts.get(job, 0) + 1
    if any(count > MAX_TAGS_PER_VIDEO for count in counts.values()):
        text = _("A video has at most %(most)d tags.") % {"most": MAX_TAGS_PER_VIDEO}
        raise TooManyTags(text, field="tag")


def remove_tag(*, owner: User, ids: Iterable[UUID], name: str) -> int:
    """Take a tag off videos; from how many. The tag itself stays."""
    links = Links.objects.filter(videojob_id__in=_own(owner, ids).values("pk"), tag__owner=owner, tag__name=name)
    return int(links.delete()[0])


def set_tags(*, owner: User, job: VideoJob, names: Sequence[str]) -> None:
    """Make these the tags of one video. Raises TooManyTags."""
    with transaction.atomic():
        tags = add_tags(owner=owner, ids=[job.pk], names=names) if names else []
        Links.objects.filter(videojob_id=job.pk).exclude(tag__in=tags).delete()


def rename_tag(*, owner: User, tag: Tag, name: str, merge: bool = False) -> Tag:
    """Call a tag otherwise; the tag that remains.

    Raises TagExists when the owner has one of that name, unless `merge`: then its videos go over to that one.
    """
    [name] = tag_names(name)[:1]
    other = Tag.objects.filter(owner=owner, name__iexact=name).exclude(pk=tag.pk).first()
    if other is None:
        Tag.objects.filter(pk=tag.pk, owner=owner).update(name=name)
        tag.name = name
        return tag
    if not merge:
        raise TagExists(_("You have a tag “%(name)s” already.") % {"name": other.name}, field="name")
    with transaction.atomic():
        jobs = Links.objects.filter(tag=tag, tag__owner=owner).values_list("videojob_id", flat=True)
        moved = [Links(videojob_id=job, tag_id=other.pk) for job in jobs]
        Links.objects.bulk_create(moved, ignore_conflicts=True)
        Tag.objects.filter(pk=tag.pk, owner=owner).delete()
    return other
