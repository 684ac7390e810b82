"""Erasing an account: closed at once, then emptied in steps that may break off anywhere and go on later.

What stays, and why, stands in the Erasure row: entries of the ledger, which the law wants kept, without the person;
entries of the audit, which name a number that is nobody's any more; and what a provider keeps for a while.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from allauth.account.models import EmailAddress
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from generation.errors import LastOfStaff
from generation.models import (
    UNFINISHED,
    ApiToken,
    Clip,
    Erasure,
    Notice,
    ShareLink,
    SourceImage,
    VideoJob,
    WebhookEndpoint,
)
from generation.services import audit, deleting, fal_forgetting, jobs, settling
from generation.services.stored_files import delete_keys
from gpu.services import personal
from i2v_site.crashpoints import crashpoint
from i2v_site.queue import ring

log = logging.getLogger(__name__)
TASK = "generation.tasks.erase_account"
# Something still holds a row of theirs: the dispatcher for seconds, a machine's bill for days.
LOOK_AGAIN = timedelta(minutes=5)


def close_account(*, person: User, actor: str = "") -> Erasure:
    """Shut the account at once and have everything of it erased. Raises LastOfStaff. Repeating it does nothing more.

    Sessions, tokens, share links and webhooks are dead when it returns, and nothing more is made.
    """
    with transaction.atomic():
        row = User.objects.select_for_update().get(pk=person.pk)
        begun = Erasure.objects.filter(person=row, finished_at=None).first()
        if begun:
            return begun
        others = User.objects.filter(is_superuser=True, is_active=True).exclude(pk=row.pk)
        if row.is_superuser and not others.exists():
            raise LastOfStaff(_("You are the last administrator. Make somebody else one first."))
        User.objects.filter(pk=row.pk).update(is_active=False, is_staff=False, is_superuser=False)
        ApiToken.objects.filter(user=row).delete()
        ShareLink.objects.filter(owner=row, revoked_at=None).update(revoked_at=timezone.now())
        WebhookEndpoint.objects.filter(owner=row).update(enabled=False)
        erasure = Erasure.objects.create(person=row)
        audit.note("erasure_asked", f"person:{row.pk}", actor=actor, erasure=str(erasure.pk))
        ring(TASK, str(erasure.pk))
    crashpoint("erase.closed")
    return erasure


def go_on(*, erasure_id: str) -> None:
    """Take every step that can be taken now. Safe to run twice, at once, late, and after any crash."""
    erasure = Erasure.objects.select_related("person").filter(pk=erasure_id, finished_at=None).first()
    if erasure is None:
        return
    if erasure.person is None:  # deleted by hand meanwhile
        Erasure.objects.filter(pk=erasure.pk).update(finished_at=timezone.now())
        return
    for name, step in _STEPS:
        step(erasure, erasure.person)
        crashpoint(f"erase.{name}")
    _finish(erasure, erasure.person)
    crashpoint("erase.finished")


def ring_open() -> int:
    """Ask workers to go on with every erasure whose task was lost, or that had to wait; how many."""
    now, due = timezone.now().isoformat(), []
    for pk, left in Erasure.objects.filter(finished_at=None).values_list("pk", "left"):
        if left.get("again_at", "") <= now:
            due.append(pk)
    for pk in due:
        with transaction.atomic():
            ring(TASK, str(pk))
    return len(due)


# --- steps ------------------------------------------------------------------------------------------------------------


def _stop_jobs(_erasure: Erasure, person: User) -> None:
    for job in VideoJob.objects.filter(owner=person, status__in=UNFINISHED):
        settling.end(VideoJob.objects.unfinished().filter(pk=job.pk), jobs.cancelled())


def _forget_at_providers(erasure: Erasure, person: User) -> None:
    left = fal_forgetting.forget(person_id=person.pk)
    if left:
        _note(erasure, fal=left)


def _delete_jobs(_erasure: Erasure, person: User) -> None:
    # Deleted before the time in which that could be taken back.
    over = timezone.now() - timedelta(seconds=deleting.UNDO_SECONDS + 1)
    mine = VideoJob.objects.filter(owner=person)
    mine.exclude(deleted_at__lte=over).update(deleted_at=over, updated_at=timezone.now())
    for pk in list(mine.values_list("pk", flat=True)):
        deleting.purge_job(job_id=str(pk))


def _delete_clips(_erasure: Erasure, person: User) -> None:
    for clip in Clip.objects.filter(owner=person):
        delete_keys([key for key in (clip.key, clip.poster_key) if key])
        clip.delete()


def _delete_pictures(_erasure: Erasure, person: User) -> None:
    for image in SourceImage.objects.filter(owner=person):
        delete_keys([key for key in (image.key, image.thumbnail_key) if key])
        image.delete()


def _forget_sign_ins(_erasure: Erasure, person: User) -> None:
    """Rows that know the person by name instead of by number, and open sessions."""
    names = {person.username.lower(), person.email.lower()}
    names |= {email.lower() for email in EmailAddress.objects.filter(user=person).values_list("email", flat=True)}
    for model in (AccessAttempt, AccessFailureLog, AccessLog):
        model.objects.filter(username__in=names - {""}).delete()
    for session in Session.objects.filter(expire_date__gte=timezone.now()).iterator(chunk_size=500):
        if session.get_decoded().get("_auth_user_id") == str(person.pk):
            session.delete()


def _anonymise(_erasure: Erasure, person: User) -> None:
    """No name is left even while the row must stay."""
    EmailAddress.objects.filter(user=person).delete()
    Notice.objects.filter(owner=person).delete()
    User.objects.filter(pk=person.pk).update(
        username=f"erased-{person.pk}", email="", first_name="", last_name="", last_login=None
    )


_STEPS: tuple[tuple[str, Callable[[Erasure, User], None]], ...] = (
    ("jobs_stopped", _stop_jobs),
    ("providers_told", _forget_at_providers),
    ("clips_deleted", _delete_clips),
    ("jobs_deleted", _delete_jobs),
    ("pictures_deleted", _delete_pictures),
    ("sign_ins_forgotten", _forget_sign_ins),
    ("anonymised", _anonymise),
)


def _finish(erasure: Erasure, person: User) -> None:
    """Delete the account's row with all that hangs on it, unless jobs are still held or counted."""
    waiting = VideoJob.objects.filter(owner=person).count()
    if waiting:
        again = timezone.now() + LOOK_AGAIN
        _note(erasure, waiting_jobs=waiting, again_at=again.isoformat())
        return
    with transaction.atomic():
        kept = personal.entries_of(person.pk)
        left: dict[str, Any] = {key: value for key, value in erasure.left.items() if key == "fal"}
        if kept:
            left["ledger_entries_without_a_name"] = kept
        number = person.pk
        User.objects.filter(pk=number).delete()
        Erasure.objects.filter(pk=erasure.pk).update(finished_at=timezone.now(), left=left)
        audit.note("erased", f"person:{number}", erasure=str(erasure.pk))


def _note(erasure: Erasure, **values: Any) -> None:
    erasure.left |= values
    Erasure.objects.filter(pk=erasure.pk).update(left=erasure.left)
