"""Batches at once, with room for three of them: three are there whole, and nothing of the others."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.gpu.test_parallel_submits import database, said  # noqa: F401 (a fixture)

PROCESSES, EACH, THREADS = 2, 4, 4


def start(environment: dict[str, str], *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.generation.parallel_batches", *map(str, words)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def all_at_once(environment: dict[str, str], model: str) -> dict[str, int]:
    workers = [start(environment, "submit", model, EACH, THREADS) for _ in range(PROCESSES)]
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
def test_of_eight_batches_at_once_those_that_fit_are_there_whole(database: dict[str, str]) -> None:  # noqa: F811
    said(start(database, "prepare"))

    assert all_at_once(database, "wan-cloud") == {"accepted": 3, "refused": 5}

    found: Any = json.loads(said(start(database, "check")))
    assert found == {"batches": ["1.60"] * 3, "videos": 12, "purse": "4.80", "problems": []}

    # 12 are unfinished and 26 may be: once more, three fit.
    assert all_at_once(database, "motion-preview") == {"accepted": 3, "refused": 5}
    assert json.loads(said(start(database, "check")))["videos"] == 24
