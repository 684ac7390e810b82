"""The doorbell. Rows are the truth: a ring that is lost or doubled does no harm."""

from functools import partial

from django.conf import settings
from django.db import transaction
from django_q.tasks import async_task


def ring(task: str, *ids: str) -> None:
    """Ask a worker to run `task` (a dotted path) with ids; call it inside the transaction that makes it due."""
    if "orm" in settings.Q_CLUSTER:
        # Same database: the ring commits or rolls back with the rows.
        async_task(task, *ids)
    else:
        transaction.on_commit(partial(async_task, task, *ids))
