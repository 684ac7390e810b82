"""`manage.py fingerprint`: remembers the videos that are older than fingerprints."""

from typing import Any

from django.core.management.base import BaseCommand

from generation.services import fingerprints


class Command(BaseCommand):
    help = "Work out by what older videos are known again, for /check and takedowns. Safe to break off and run again."

    def handle(self, *_args: Any, **_options: Any) -> None:
        jobs = fingerprints.missing()
        done = 0
        for job, found in fingerprints.catch_up(jobs):
            done += found
            if not found:
                self.stderr.write(f"{job.pk}: its file is gone.")
        self.stdout.write(f"{done} of {len(jobs)} videos were remembered.")
