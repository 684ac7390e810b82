"""Several videos asked for at once: variations of a wish, or pictures by prompts. All of them, or none."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from generation.errors import AlreadyOver, BadSetting, TooManyOpenJobs
from generation.models import Batch, Provider, SourceImage, Status, VideoJob
from generation.services import checks, estimate, rules
from generation.services.asking import MAX_SEED, JobRequest, check_settings
from generation.services.jobs import cancel_job, choose_model, retry_job
from generation.services.repeating import request_of
from gpu.errors import CapReached
from gpu.services import booking, gpus
from gpu.services.charges import Book

MAX_BATCH = 64
MAX_VARIATIONS = 8
USUAL_VARIATIONS = 4
NAME_CHARS = 120

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Total:
    """What all of them will take: dollars in sum, and seconds until the last is made once the first has begun."""

    count: int
    usd: Decimal
    usd_low: Decimal
    usd_high: Decimal  # what a submit promises
    seconds: float
    seconds_low: float
    seconds_high: float


def expanded(
    *, request: JobRequest, images: Sequence[SourceImage], prompts: Sequence[str], variations: int
) -> list[JobRequest]:
    """`request` for each picture with each prompt, `variations` times with other seeds.

    Without pictures or prompts the request's own is used. A seed that was asked for is the first of each: s, s+1, ...;
    otherwise all are drawn and differ. Raises BadSetting for more than MAX_VARIATIONS, or MAX_BATCH in all.
    """
    if not 1 <= variations <= MAX_VARIATIONS:
        raise BadSetting(
            _("Choose 1 to %(most)d variations.") % {"most": MAX_VARIATIONS},
            field="variations",
        )
    pictures: Sequence[SourceImage | None] = images or [request.image]
    texts = prompts or [request.prompt]
    _check_count(len(pictures) * len(texts) * variations)
    found = [replace(request, image=picture, prompt=text) for picture in pictures for text in texts]
    if images:
        found = [replace(one, image_url="") for one in found]
    seeds = _seeds(request.seed, variations, len(found))
    return [replace(one, seed=seeds[place][turn]) for place, one in enumerate(found) for turn in range(variations)]


def _seeds(seed: int, variations: int, wishes: int) -> list[list[int]]:
    """The seeds of each wish's variations; the same ones for all wishes when the first was asked for."""
    if seed >= 0:
        return [[(seed + turn) % (MAX_SEED + 1) for turn in range(variations)]] * wishes
    drawn = secrets.SystemRandom().sample(range(2**31), variations * wishes)
    return [drawn[place * variations : (place + 1) * variations] for place in range(wishes)]


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_BATCH:
        text = ngettext(
            "This would be %(count)d video at once; at most %(most)d are taken.",
            "These would be %(count)d videos at once; at most %(most)d are taken.",
            count,
        )
        raise BadSetting(text % {"count": count, "most": MAX_BATCH}, field="variations")


def total_of(*, owner: User, requests: Sequence[JobRequest]) -> Total:
    """What these would take and cost if they were submitted now. Raises what a submit raises for bad settings."""
    _check_count(len(requests))
    models = {slug: choose_model(owner=owner, slug=slug) for slug in {request.model for request in requests}}
    rented = any(model.provider == Provider.SWARMUI for model in models.values())
    servers = gpus.now() if rented else None
    found = [
        estimate.estimate_for(models[one.model], check_settings(models[one.model], one), servers=servers)
        for one in requests
    ]
    lanes = max(estimate.lanes(model) for model in models.values())

    def until_all(times: list[float]) -> float:
        return round(max(*times, sum(times) / lanes), 1)

    return Total(
        count=len(found),
        usd=sum((one.usd for one in found), ZERO),
        usd_low=sum((one.usd_low for one in found), ZERO),
        usd_high=sum((one.usd_high for one in found), ZERO),
        seconds=until_all([one.seconds for one in found]),
        seconds_low=until_all([one.seconds_low for one in found]),
        seconds_high=until_all([one.seconds_high for one in found]),
    )


def submit_batch(
    *,
    owner: User,
    requests: Sequence[JobRequest],
    name: str = "",
    because: str = "",
    parent: VideoJob | None = None,
) -> Batch:
    """Queue all of them and promise what all may cost, in one transaction: nothing is left of a batch that fails.

    Raises TooManyOpenJobs and CapReached, which say how many would fit, and what `submit_job` raises.
    """
    _check_count(len(requests))
    for prompt in {request.prompt for request in requests}:
        checks.check_prompt(person=owner, prompt=prompt)  # outside: what it notes must not be taken back
    with transaction.atomic():
        # Two batches at once would both find the same room; the purse is the first lock of every promise anyway.
        booking.locked_purse(booking.account_of(Book.PERSON, owner.pk))
        _check_open(owner, len(requests))
        batch = Batch.objects.create(owner=owner, name=(name or requests[0].prompt)[:NAME_CHARS])
        made: list[VideoJob] = []
        for request in requests:
            try:
                made.append(
                    rules.submit_by_rule(
                        owner=owner, request=replace(request, batch=batch), because=because, parent=parent
                    )
                )
            except CapReached as exc:
                raise CapReached(_how_many_fit(exc.message, len(made), len(requests)), field=exc.field) from exc
        batch.promised_usd = sum((job.reserved_usd for job in made), ZERO)
        batch.save(update_fields=["promised_usd"])
    return batch


def _check_open(owner: User, count: int) -> None:
    most = settings.MAX_OPEN_JOBS
    free = max(0, most - VideoJob.objects.unfinished().filter(owner=owner).count())
    if count > free:
        text = ngettext(
            "You may have %(most)d unfinished videos, and %(free)d more is free; this batch needs %(count)d.",
            "You may have %(most)d unfinished videos, and %(free)d more are free; this batch needs %(count)d.",
            free,
        )
        raise TooManyOpenJobs(text % {"most": most, "free": free, "count": count}, field="variations")


def _how_many_fit(message: str, fit: int, count: int) -> str:
    if count == 1:
        return message
    text = ngettext(
        "%(fit)d of these %(count)d videos would fit; none was made. %(why)s",
        "%(fit)d of these %(count)d videos would fit; none was made. %(why)s",
        fit,
    )
    return text % {"fit": fit, "count": count, "why": message}


def vary(*, job: VideoJob, count: int = USUAL_VARIATIONS) -> Batch:
    """A batch of `variations_of` this video; `parent` of each is the video. Raises what `submit_batch` raises."""
    return submit_batch(owner=job.owner, requests=variations_of(job=job, count=count), parent=job)


def variations_of(*, job: VideoJob, count: int) -> list[JobRequest]:
    """`count` requests like that of `job`, each with another seed than it and than each other. Raises BadSetting."""
    first = replace(request_of(job), batch=None, seed=-1)
    wanted = expanded(request=first, images=[], prompts=[], variations=count)
    # 1 in 2 billion, but "another" is what was promised.
    return [replace(one, seed=one.seed + 2**31) if one.seed == job.seed else one for one in wanted]


def cancel_batch(*, batch: Batch) -> int:
    """Cancel all that have not ended; how many there were. Safe to run twice."""
    cancelled = 0
    for job in VideoJob.objects.unfinished().filter(batch=batch):
        try:
            cancel_job(job=job)
        except AlreadyOver:
            continue  # it ended meanwhile
        cancelled += 1
    return cancelled


def retry_failed(*, batch: Batch) -> list[VideoJob]:
    """Ask again for all that failed and were not asked for again yet, in the same batch; all of them or none.

    Raises what `submit_job` raises.
    """
    rows = VideoJob.objects.visible().filter(batch=batch, status=Status.FAILED).exclude(variants__batch=batch)
    failed = list(rows.select_related("owner", "model", "image", "end_image", "batch"))
    for prompt in {job.prompt for job in failed}:
        checks.check_prompt(person=batch.owner, prompt=prompt)  # outside: what it notes must not be taken back
    with transaction.atomic():
        return [retry_job(job=job) for job in failed]
