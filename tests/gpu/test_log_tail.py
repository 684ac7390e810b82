"""What staff read of a machine's log."""

import pytest

from gpu.models import InstanceState
from gpu.services import log_tail, machines
from tests.gpu import machine_rows


@pytest.mark.django_db
def test_the_machines_own_secret_is_never_kept() -> None:
    row = machine_rows.instance(InstanceState.PROVISIONING)
    log_tail.keep(row, f"started\nWEB {machines.secret_of(row)} set\nready")
    row.refresh_from_db()
    assert row.log_tail == "started\nWEB … set\nready"


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        ("get https://r2.example/a.gguf?X-Amz-Signature=abcdef1 now", "get https://r2.example/a.gguf?… now"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer …"),
        ("\x1b[31mred\x1b[0m \x00end", "red end"),
        ("1 %\r50 %\r99 %\r\ndone", "99 %\ndone"),
        ("half \udcff pair", "half ? pair"),
    ],
)
def test_is_clean(log: str, shown: str) -> None:
    assert log_tail.readable(log) == shown


def test_only_the_end_is_kept() -> None:
    lines = [f"line {number}" for number in range(500)]
    assert log_tail.readable("\n".join(lines)).split("\n") == lines[-log_tail.LINES :]
    assert len(log_tail.readable("x" * 100_000)) == log_tail.MAX_CHARS
