"""Brings the outbox of alarms to people: e-mail to staff, and a webhook that the operator names in the settings."""

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import httpx
from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from gpu.clients.guarded import GuardError, Policy, guarded_client
from gpu.models import AlarmNotice
from gpu.services.alarms import SEND_TASK, staff_addresses
from i2v_site.queue import ring

MAX_TRIES = 20
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)
# How long one try may take before somebody else makes the next.
HELD = timedelta(minutes=2)
WEBHOOK_TIMEOUT_S = 10.0
WEBHOOK_ANSWER_BYTES = 64 * 1024


class NotDelivered(Exception):
    """One try failed; the message is short and holds no address."""


def ring_due() -> int:
    """Ask workers to send what is due: notices whose try failed, and those whose first ring was lost."""
    due = AlarmNotice.objects.filter(next_try_at__lte=timezone.now()).values_list("pk", flat=True)
    for pk in due:
        ring(SEND_TASK, str(pk))
    return len(due)


def send(*, notice_id: str) -> None:
    """Try to deliver one notice. Safe to run twice: a try holds the notice, and one that was sent is left alone."""
    now = timezone.now()
    mine = AlarmNotice.objects.filter(pk=notice_id, next_try_at__lte=now)
    if not mine.update(next_try_at=now + HELD):
        return
    notice = AlarmNotice.objects.select_related("alarm").get(pk=notice_id)
    try:
        _SENDERS[AlarmNotice.Channel(notice.channel)](notice)
    except NotDelivered as exc:
        _try_later(notice, str(exc))
    else:
        AlarmNotice.objects.filter(pk=notice.pk).update(
            sent_at=timezone.now(), next_try_at=None, error="", tries=notice.tries + 1
        )


def _try_later(notice: AlarmNotice, error: str) -> None:
    tries = notice.tries + 1
    pause = min(FIRST_PAUSE * 2 ** min(tries - 1, 10), LONGEST_PAUSE)
    again = None if tries >= MAX_TRIES else timezone.now() + pause
    AlarmNotice.objects.filter(pk=notice.pk).update(tries=tries, next_try_at=again, error=error[:200])


def _mail(notice: AlarmNotice) -> None:
    alarm = notice.alarm
    message = EmailMessage(
        subject=f"[Image to Video] {alarm.get_kind_display()}",
        body=f"{alarm.message}\n\nSince {alarm.raised_at:%Y-%m-%d %H:%M} UTC.\n{settings.SITE_URL}/staff/fleet\n",
        bcc=staff_addresses(),
    )
    try:
        message.send()
    except OSError as exc:  # smtplib's errors are among them
        raise NotDelivered(f"mail: {type(exc).__name__}") from exc


def _call_webhook(notice: AlarmNotice) -> None:
    if not settings.ALARM_WEBHOOK_URL:
        return  # the operator took the address away: nobody is left to tell
    body = json.dumps(_payload(notice)).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "image-to-video"}
    if settings.ALARM_WEBHOOK_SECRET:
        signature = hmac.new(settings.ALARM_WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers["X-Signature-256"] = f"sha256={signature}"
    policy = Policy(private_hosts=frozenset(settings.ALARM_WEBHOOK_PRIVATE_HOSTS))
    client = guarded_client(policy, total_timeout_s=WEBHOOK_TIMEOUT_S, max_bytes=WEBHOOK_ANSWER_BYTES)
    try:
        with client:
            answer = client.post(settings.ALARM_WEBHOOK_URL, content=body, headers=headers)
    except (GuardError, httpx.HTTPError) as exc:
        raise NotDelivered(f"webhook: {type(exc).__name__}") from exc
    if not answer.is_success:
        raise NotDelivered(f"webhook: HTTP {answer.status_code}")


def _payload(notice: AlarmNotice) -> dict[str, Any]:
    """`id` is the same at every try, so the receiver can tell a repeated message."""
    alarm = notice.alarm
    return {
        "id": notice.pk,
        "event": notice.event,
        "kind": alarm.kind,
        "message": alarm.message,
        "instance": str(alarm.instance_id) if alarm.instance_id else None,
        "raised_at": alarm.raised_at.isoformat(),
        "cleared_at": alarm.cleared_at.isoformat() if alarm.cleared_at else None,
        "site": settings.SITE_URL,
    }


_SENDERS = {AlarmNotice.Channel.MAIL: _mail, AlarmNotice.Channel.WEBHOOK: _call_webhook}
