"""django-q entry points: ids in, one service call each. Their dotted paths are a stored format."""

from generation.services import intake, outputs, pulse, sweeping


def heartbeat() -> None:
    """Goes through scheduler, broker, worker and monitor: what hangs there shows here."""
    pulse.beat("worker")


def fetch_picture(job_id: str) -> None:
    intake.fetch_job_picture(job_id=job_id)


def store_result(attempt_id: str) -> None:
    outputs.store(attempt_id=attempt_id)


def purge_job(job_id: str) -> None:
    outputs.purge_job(job_id=job_id)


def sweep() -> None:
    sweeping.sweep()


def clean_up() -> None:
    sweeping.clean_up()
