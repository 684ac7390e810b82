"""200 submits at once with $5 left: 5 are accepted, whatever the database."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

PROCESSES, EACH = 4, 50
# PostgreSQL takes 100 connections by default, and other tests want some.
THREADS = {"sqlite": 50, "postgres": 8}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of processes that share a database of their own."""
    is_file = request.param == "sqlite"
    url = f"sqlite://{tmp_path}/money.sqlite3" if is_file else request.getfixturevalue("postgres_url")
    environment = {"DATABASE_URL": url, "I2V_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    return os.environ | environment | {"KIND": str(request.param)}


def start(database: dict[str, str], *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.gpu.parallel_submits", *map(str, words)]
    return subprocess.Popen(command, env=database, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str], line: str = "") -> str:
    out, _ = process.communicate(line, timeout=150)
    assert process.returncode == 0, out
    return out.strip().splitlines()[-1] if out.strip() else ""


def run(database: dict[str, str], *words: object) -> Any:
    answer = said(start(database, *words))
    return json.loads(answer) if answer else None


def all_at_once(database: dict[str, str], scope: str) -> dict[str, int]:
    threads = THREADS[database["KIND"]]
    workers = [start(database, "submit", scope, number * EACH + 1, EACH, threads) for number in range(PROCESSES)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline().strip() == "ready"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    answers = [json.loads(said(worker)) for worker in workers]
    return {word: sum(one[word] for one in answers) for word in ("accepted", "refused")}


@pytest.mark.timeout(300)
def test_of_200_submits_at_once_with_5_left_exactly_5_are_accepted(database: dict[str, str]) -> None:
    run(database, "prepare")
    for scope in ("person", "site"):
        before = run(database, "check", scope)
        assert Decimal(before["left"]) == 5
        assert all_at_once(database, scope) == {"accepted": 5, "refused": 195}
        after = run(database, "check", scope)
        assert (Decimal(after["left"]), Decimal(after["promised"])) == (Decimal(0), Decimal(6))
        assert after["problems"] == []
