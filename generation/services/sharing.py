"""Links at which other people see one video or clip, for as long as its owner lets them."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from generation.errors import LinkGone, LinkRefused, SignInFirst
from generation.models import Clip, Provider, ShareLink, Status, VideoJob

MAX_LINKS = 20  # of one video, with those of its clips' own counted apart
_PICTURES = (Clip.Kind.GIF, Clip.Kind.WEBP)


@dataclass(frozen=True, slots=True)
class Shared:
    """What stands behind a link that works. `by_ai`: a model made the pictures, not a camera moved over one."""

    link: ShareLink
    job: VideoJob | None
    clip: Clip | None
    by_ai: bool

    @property
    def is_picture(self) -> bool:
        return self.clip is not None and self.clip.kind in _PICTURES

    @property
    def key(self) -> str:
        return self.clip.key if self.clip else self.job.video_key if self.job else ""

    @property
    def poster_key(self) -> str:
        return self.clip.poster_key if self.clip else self.job.poster_key if self.job else ""

    @property
    def sha256(self) -> str:
        return self.clip.sha256 if self.clip else self.job.video_sha256 if self.job else ""


def share(
    *,
    owner: User,
    job: VideoJob | None = None,
    clip: Clip | None = None,
    audience: str = ShareLink.Audience.ANYONE,
    expires_at: datetime | None = None,
    shows_prompt: bool = False,
    allows_download: bool = False,
) -> ShareLink:
    """A new link to a finished video or clip of `owner`. Raises LinkRefused."""
    if job is not None and (job.status != Status.SUCCEEDED or job.deleted_at or job.hidden_at):
        raise LinkRefused(_("Only a finished video can be shared."))
    if clip is not None and (clip.state != Clip.State.DONE or clip.deleted_at or clip.hidden_at):
        raise LinkRefused(_("Only a finished clip can be shared."))
    if expires_at is not None and expires_at <= timezone.now():
        raise LinkRefused(_("The link would have run out already: choose a later time."), field="expires_at")
    if _unrevoked().filter(owner=owner, job=job, clip=clip).count() >= MAX_LINKS:
        raise LinkRefused(_("There are %(count)s links already. Take one back first.") % {"count": MAX_LINKS})
    return ShareLink.objects.create(
        owner=owner,
        job=job,
        clip=clip,
        audience=audience,
        expires_at=expires_at,
        shows_prompt=shows_prompt,
        allows_download=allows_download,
    )


def revoke(*, link: ShareLink) -> None:
    """The link stops to work at once and for good. Safe to do twice."""
    _unrevoked().filter(pk=link.pk).update(revoked_at=timezone.now())


def opened(*, token: str, viewer: User | AnonymousUser) -> Shared:
    """What `viewer` sees at this link.

    Raises LinkGone, whether it was never there, has run out, was revoked, or its video was deleted or hidden: one
    query with all conditions, so that neither words nor time tell which. Raises SignInFirst.
    """
    link = _working().filter(token=token).select_related("job__model", "clip").first()
    if link is None:
        raise LinkGone(_("This link does not work any more."))
    if link.audience == ShareLink.Audience.SIGNED_IN and not viewer.is_authenticated:
        raise SignInFirst(_("Sign in to see this video."))
    makers = VideoJob.objects.filter(parts_of_clips__clip=link.clip) if link.clip else None
    models = [link.job.model.provider] if link.job else list(makers.values_list("model__provider", flat=True))  # type: ignore[union-attr]  # one of the two is there
    return Shared(link, link.job, link.clip, by_ai=any(provider != Provider.PREVIEW for provider in models))


def count_view(*, link: ShareLink) -> None:
    ShareLink.objects.filter(pk=link.pk).update(views=F("views") + 1)


def links_of(job: VideoJob) -> QuerySet[ShareLink]:
    """The links to a video and to clips of it that nobody has taken back, the newest first."""
    of_clips = Clip.objects.filter(parts__job=job, owner=job.owner_id, deleted_at=None)
    rows = _unrevoked().filter(Q(job=job) | Q(clip__in=of_clips), owner=job.owner_id)
    return rows.select_related("clip").order_by("-created_at")


def _unrevoked() -> QuerySet[ShareLink]:
    return ShareLink.objects.filter(revoked_at=None)


def _working() -> QuerySet[ShareLink]:
    in_time = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    video = Q(job__status=Status.SUCCEEDED, job__deleted_at=None, job__hidden_at=None)
    clip = Q(clip__state=Clip.State.DONE, clip__deleted_at=None, clip__hidden_at=None)
    # A clip of a video that was taken down shows it as well.
    hidden = Clip.objects.filter(parts__job__hidden_at__isnull=False)
    return _unrevoked().filter(in_time, video | clip, owner__is_active=True).exclude(clip__in=hidden)
