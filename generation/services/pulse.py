"""Signs of life: rings the queue for a heartbeat and tells a hung worker or dispatcher from a busy one."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError
from django.utils import timezone
from django_q.tasks import async_task
from redis import RedisError

from generation.models import Heartbeat, Status, VideoJob

RING_EVERY = timedelta(seconds=20)
SILENT_AFTER = timedelta(seconds=90)


@dataclass(slots=True)
class Pulse:
    """Watches the heartbeat of one process that we run; `alive_s` is how long it has been running."""

    name: str
    rung_at: datetime | None = None

    def worker_is_stuck(self, alive_s: float) -> bool:
        """Ring, and see whether it is answered.

        A queue cluster whose idle worker was killed hangs for ever and looks healthy (django-q2 #23). One that
        stores a large video is silent too, but renews the job's lease meanwhile.
        """
        try:
            self._ring(alive_s)
            busy = VideoJob.objects.filter(status=Status.STORING, lease_until__gt=timezone.now())
            return self._is_silent(alive_s) and not busy.exists()
        except (DatabaseError, RedisError):
            # Nobody beats while the database or the queue is away; another start would not bring it back.
            return False

    def dispatcher_is_stuck(self, alive_s: float) -> bool:
        try:
            return self._is_silent(alive_s)
        except DatabaseError:
            return False

    def _ring(self, alive_s: float) -> None:
        now = timezone.now()
        born = now - timedelta(seconds=alive_s)
        unheard = self.rung_at is None or self.rung_at < born
        # A hung queue is not filled with more rings.
        if unheard or (self.rung_at and now - self.rung_at >= RING_EVERY and self._last() >= self.rung_at):
            async_task("generation.tasks.heartbeat")
            self.rung_at = now

    def _is_silent(self, alive_s: float) -> bool:
        born = timezone.now() - timedelta(seconds=alive_s)
        return timezone.now() - max(self._last(), born) > SILENT_AFTER

    def _last(self) -> datetime:
        beat = Heartbeat.objects.filter(name=self.name).values_list("beat_at", flat=True).first()
        return beat or datetime.min.replace(tzinfo=UTC)


def beat(name: str) -> None:
    """Record that `name` is alive."""
    Heartbeat.objects.update_or_create(name=name, defaults={"beat_at": timezone.now()})
