"""E-mail about videos: one to a person and period, with everything that happened since the last."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import F, QuerySet
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from generation.models import Delivery, DeliveryTry, Notice, Preferences
from generation.services import retrying, words_of_notices
from generation.services.addresses import mail_address
from generation.services.preferences import mail_off_token, preferences_of
from i2v_site.crashpoints import crashpoint
from i2v_site.queue import ring

SEND_TASK = "generation.tasks.send_mail"
# Longer than any mail server is waited for (EMAIL_TIMEOUT); then somebody else sends.
HELD = timedelta(minutes=10)
LISTED = 50
# How long after a mail the next one may follow.
PERIODS = {
    Preferences.Mail.EACH: timedelta(),
    Preferences.Mail.HOURLY: timedelta(hours=1),
    Preferences.Mail.DAILY: timedelta(days=1),
}
State = Delivery.State


def ring_due() -> int:
    """Ask workers to write to everybody who has something waiting and may be written to now."""
    now, people = timezone.now(), set()
    chosen = ("notice__owner", "notice__owner__preferences__mail", "notice__owner__preferences__mailed_at")
    for person, mail, mailed_at in _due(now).order_by().values_list(*chosen).distinct():
        if _may_write(mail or Preferences().mail, mailed_at, now):
            people.add(person)
    with transaction.atomic():
        for person in people:
            ring(SEND_TASK, str(person))
    return len(people)


def send(*, person_id: int) -> None:
    """Write one mail with all that waits for this person. Safe to run twice or at once: the rows are held first.

    Killed between the sending and its mark, the mail is sent again when the hold ends: with the same Message-ID when
    nothing was added, so that most programs show it once.
    """
    person = User.objects.get(pk=person_id)
    rows = _hold(person)
    if not rows:
        return
    address = mail_address(person)
    if not address:
        _give_up(rows, gettext_noop("There is no address to write to."))
        return
    try:
        with translation.override(preferences_of(person).language or settings.LANGUAGE_CODE):
            message = _message(person, address, [row.notice for row in rows])
        message.send()
    except OSError as exc:  # smtplib's errors are among them
        _try_later(rows, f"The mail server did not take it ({type(exc).__name__}).")
        return
    crashpoint("mail.sent")
    _arrived(person, rows)


def _due(now: datetime) -> QuerySet[Delivery]:
    return Delivery.objects.filter(channel=Delivery.Channel.MAIL, state=State.DUE, next_try_at__lte=now)


def _may_write(mail: str, mailed_at: datetime | None, now: datetime) -> bool:
    # "Off" too: what waited when it was switched off is to be closed.
    period = PERIODS.get(Preferences.Mail(mail), timedelta())
    return mailed_at is None or mailed_at + period <= now


def _hold(person: User) -> list[Delivery]:
    """What is due for this person, held for this try alone; [] when it is not the time, or another worker was first."""
    Preferences.objects.get_or_create(person=person)
    with transaction.atomic():
        # The row is the lock: of two workers the second finds nothing due any more.
        chosen = Preferences.objects.select_for_update().get(person=person)
        now = timezone.now()
        if not _may_write(chosen.mail, chosen.mailed_at, now):
            return []
        due = _due(now).filter(notice__owner=person).select_related("notice").order_by("notice__created_at")
        rows = list(due)
        if chosen.mail == Preferences.Mail.OFF:
            _give_up(rows, gettext_noop("E-mail was switched off."))
            return []
        mine = Delivery.objects.filter(pk__in=[row.pk for row in rows])
        mine.update(next_try_at=now + HELD, tries=F("tries") + 1)
        for row in rows:
            row.tries += 1
            row.next_try_at = now + HELD
        return rows


def _arrived(person: User, rows: Sequence[Delivery]) -> None:
    now = timezone.now()
    with transaction.atomic():
        Preferences.objects.filter(person=person).update(mailed_at=now)
        _mine(rows).update(state=State.DELIVERED, next_try_at=None, delivered_at=now)
        _log(rows, "")


def _try_later(rows: Sequence[Delivery], error: str) -> None:
    again = retrying.next_try(max(row.tries for row in rows))
    if again is None:
        _give_up(rows, error)
        return
    with transaction.atomic():
        _mine(rows).update(next_try_at=again)
        _log(rows, error)


def _give_up(rows: Sequence[Delivery], why: str) -> None:
    with transaction.atomic():
        _mine(rows).update(state=State.GIVEN_UP, next_try_at=None)
        _log(rows, why)


def _mine(rows: Sequence[Delivery]) -> QuerySet[Delivery]:
    """The rows as long as no later try holds them."""
    held = {row.next_try_at for row in rows}
    return Delivery.objects.filter(pk__in=[row.pk for row in rows], state=State.DUE, next_try_at__in=held)


def _log(rows: Sequence[Delivery], error: str) -> None:
    DeliveryTry.objects.bulk_create(DeliveryTry(delivery=row, error=error) for row in rows)


# --- what it says -----------------------------------------------------------------------------------------------------


def _message(person: User, address: str, notices: Sequence[Notice]) -> EmailMultiAlternatives:
    off = settings.SITE_URL + reverse("mail_off", args=[mail_off_token(person.pk)])
    context = {
        "name": person.get_username(),
        "items": [words_of_notices.told(notice) for notice in notices[:LISTED]],
        "more": max(0, len(notices) - LISTED),
        "site": settings.SITE_URL,
        "off": off,
        "library": settings.SITE_URL + reverse("library"),
        "preferences": settings.SITE_URL + reverse("preferences"),
    }
    message = EmailMultiAlternatives(
        subject=_subject(notices),
        body=render_to_string("generation/mail/digest.txt", context),
        to=[address],
        headers={
            "Message-ID": _message_id(notices),
            "List-Unsubscribe": f"<{off}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Auto-Submitted": "auto-generated",
        },
    )
    message.attach_alternative(render_to_string("generation/mail/digest.html", context), "text/html")
    return message


def _subject(notices: Sequence[Notice]) -> str:
    if len(notices) == 1:
        return words_of_notices.told(notices[0]).title
    kinds = Counter(notice.kind for notice in notices)
    done, failed = kinds[Notice.Kind.SUCCEEDED], kinds[Notice.Kind.FAILED]
    if done and failed:
        return _("Your videos: %(done)s done, %(failed)s failed") % {"done": done, "failed": failed}
    if done:
        return _("Your videos: %(done)s done") % {"done": done}
    if failed:
        return _("Your videos: %(failed)s failed") % {"failed": failed}
    return _("%(count)s notices") % {"count": len(notices)}


def _message_id(notices: Sequence[Notice]) -> str:
    ids = ".".join(sorted(notice.pk.hex for notice in notices))
    return f"<{hashlib.sha256(ids.encode()).hexdigest()[:40]}@{urlsplit(settings.SITE_URL).hostname}>"
