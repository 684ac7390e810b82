"""The outbox: a notice and its deliveries are rows of the same transaction as what they tell."""

import uuid
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from generation.models import Delivery, Notice, Preferences, Status, VideoJob, WebhookEndpoint
from generation.services.addresses import mail_address
from i2v_site.queue import ring

DELIVER_TASK = "generation.tasks.deliver_webhook"
# Videos that end together come in one mail.
MAIL_GATHERS = timedelta(seconds=30)

_KINDS = {
    Status.SUCCEEDED: Notice.Kind.SUCCEEDED,
    Status.FAILED: Notice.Kind.FAILED,
    Status.CANCELLED: Notice.Kind.CANCELLED,
}
# What people did themselves, or asked for to test a program, is no news to them.
_OWN_DOING = {Notice.Kind.CANCELLED, Notice.Kind.PING}


def job_ended(job: VideoJob) -> None:
    """Write down that the owner must be told how `job` ended. Call it inside the transaction that ended it.

    Repeating it does nothing. The row is read again, because callers move it by UPDATE. ValueError: it has not ended.
    """
    row = VideoJob.objects.select_related("model", "owner").get(pk=job.pk)
    kind = _KINDS.get(Status(row.status))
    if kind is None:
        raise ValueError(f"The job {row.pk} is {row.status}: there is nothing to tell yet.")
    tell(owner=row.owner, kind=kind, key=f"job:{row.pk}:{row.status}", data=_job_data(row), job=row)


def budget_warning(  # each of them stands in the message
    person_id: int, *, scope: str, period: str, starts: date, used_usd: Decimal, cap_usd: Decimal
) -> None:
    """Tell a person, once a period, that a budget is nearly used up. Call it inside a transaction.

    `scope` is "person" or "site", `period` "day" or "month", `starts` its first day (UTC).
    `used_usd` is what is spent and promised.
    """
    data = {
        "scope": scope,
        "period": period,
        "starts": starts.isoformat(),
        "used_usd": float(round(used_usd, 4)),
        "cap_usd": float(round(cap_usd, 4)),
    }
    owner = User.objects.get(pk=person_id)
    tell(owner=owner, kind=Notice.Kind.BUDGET, key=f"budget:{person_id}:{scope}:{period}:{starts}", data=data)


def tell(
    *, owner: User, kind: Notice.Kind, key: str, data: dict[str, Any], job: VideoJob | None = None
) -> Notice | None:
    """Write a notice with its deliveries; None when one with this key exists. Call it inside a transaction."""
    seen_at = timezone.now() if kind in _OWN_DOING else None
    values = {"owner": owner, "kind": kind, "data": data, "job": job, "seen_at": seen_at}
    notice, is_new = Notice.objects.get_or_create(key=key, defaults=values)
    if not is_new:
        return None
    endpoints = WebhookEndpoint.objects.filter(owner=owner, enabled=True)
    _call(notice, [row for row in endpoints if not row.kinds or kind in row.kinds])
    if kind not in _OWN_DOING and _wants_mail(owner):
        due = timezone.now() + MAIL_GATHERS
        Delivery.objects.create(notice=notice, channel=Delivery.Channel.MAIL, next_try_at=due)
    return notice


def ping(endpoint: WebhookEndpoint) -> Delivery:
    """Write a test notice for this receiver alone. Call it inside a transaction."""
    notice = Notice.objects.create(
        owner_id=endpoint.owner_id,
        kind=Notice.Kind.PING,
        key=f"ping:{uuid.uuid4()}",
        data={"webhook_id": str(endpoint.pk), "message": "This is a test that you asked for."},
        seen_at=timezone.now(),
    )
    return _call(notice, [endpoint])[0]


def _call(notice: Notice, endpoints: Iterable[WebhookEndpoint]) -> list[Delivery]:
    rows = Delivery.objects.bulk_create(
        Delivery(notice=notice, channel=Delivery.Channel.WEBHOOK, endpoint=endpoint) for endpoint in endpoints
    )
    for row in rows:
        ring(DELIVER_TASK, str(row.pk))
    return rows


def _wants_mail(owner: User) -> bool:
    if not mail_address(owner):
        return False
    chosen = Preferences.objects.filter(person=owner).values_list("mail", flat=True).first()
    return (chosen or Preferences().mail) != Preferences.Mail.OFF


def _job_data(row: VideoJob) -> dict[str, Any]:
    """What programs are told; no link to a file stands here, because those live for minutes only."""
    return {
        "job_id": str(row.pk),
        "status": row.status,
        "model": row.model.slug,
        "prompt": row.prompt,
        "seed": row.seed,
        "error": {"code": row.error_code, "message": row.error_message} if row.status == Status.FAILED else None,
        "cost_usd": float(round(row.cost_usd, 4)),
        "cost_is_final": row.cost_is_final,
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        "url": settings.SITE_URL + reverse("api-job", args=[row.pk]),
        "page_url": settings.SITE_URL + reverse("job", args=[row.pk]),
    }
