"""django-q entry points: ids in, one service call each. Their dotted paths are a stored format."""

from generation.services import (
    clips,
    deleting,
    erasing,
    forgetting,
    intake,
    mails,
    outputs,
    pulse,
    reports,
    sweeping,
    webhooks,
)


def heartbeat() -> None:
    """Goes through scheduler, broker, worker and monitor: what hangs there shows here."""
    pulse.beat("worker")


def fetch_picture(job_id: str) -> None:
    intake.fetch_job_picture(job_id=job_id)


def store_result(attempt_id: str) -> None:
    outputs.store(attempt_id=attempt_id)


def purge_job(job_id: str) -> None:
    deleting.purge_job(job_id=job_id)


def make_clip(clip_id: str) -> None:
    clips.store_clip(clip_id=clip_id)


def purge_clip(clip_id: str) -> None:
    clips.purge_clip(clip_id=clip_id)


def sweep() -> None:
    sweeping.sweep()


def clean_up() -> None:
    sweeping.clean_up()


def deliver_webhook(delivery_id: str) -> None:
    webhooks.deliver(delivery_id=delivery_id)


def send_mail(person_id: str) -> None:
    mails.send(person_id=int(person_id))


def tell_people() -> None:
    """Rings for every webhook and mail that is due, whoever lost the first ring."""
    webhooks.ring_due()
    mails.ring_due()


def forget_notices() -> None:
    forgetting.forget()


def tell_staff_of_report(report_id: str) -> None:
    reports.tell_staff(report_id=report_id)


def erase_account(erasure_id: str) -> None:
    erasing.go_on(erasure_id=erasure_id)
