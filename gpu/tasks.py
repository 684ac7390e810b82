"""django-q entry points: one service call each. Their dotted paths are a stored format."""

from gpu.services import alarm_notices
from gpu.services import reconcile as rounds
from gpu.services import watch as watching


def reconcile() -> None:
    """Safe to deliver twice, late or at once: a round that another process is at is left to it."""
    rounds.reconcile()


def watch() -> None:
    watching.look()


def send_alarm(notice_id: str) -> None:
    alarm_notices.send(notice_id=notice_id)
