"""What programs can do with a library: find, mark, tag. And that PostgreSQL finds what SQLite finds."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from generation.models import Batch, VideoJob
from generation.services.library import add_tags
from tests import factories
from tests.web import ROOT

DAY = datetime(2026, 3, 10, 12, tzinfo=UTC)


def found(api: APIClient, query: str) -> list[str]:
    return [job["prompt"] for job in api.get(f"/api/jobs?{query}").json()["results"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=runs+FOX", ["a fox runs"]),
        ("q=meadow", ["a bird"]),
        ("q=holi", ["a fox runs"]),
        ("favourite=true", ["a bird"]),
        ("favourite=false", ["a fox runs"]),
        ("tag=holiday", ["a fox runs"]),
        ("tag=holiday&tag=keep", ["a fox runs"]),
        ("tag=holiday&tag=other", []),
        ("from=2026-03-11", ["a bird"]),
        ("to=2026-03-10", ["a fox runs"]),
        ("from=2026-03-10&to=2026-03-10", ["a fox runs"]),
        ("from=2026-03-10&created_after=2026-03-10T13:00:00Z", ["a bird"]),
        ("to=9999-12-31", ["a bird", "a fox runs"]),
    ],
)
def test_jobs_are_found_by_each_filter(api: APIClient, person: User, query: str, expected: list[str]) -> None:
    fox = factories.job(person, prompt="a fox runs", created_at=DAY)
    factories.job(person, prompt="a bird", alt_text="over a meadow", favourite_at=DAY, created_at=DAY.replace(day=11))
    add_tags(owner=person, ids=[fox.pk], names=["holiday", "keep"])
    assert found(api, query) == expected


def test_jobs_are_found_by_their_batch(api: APIClient, person: User, stranger: User) -> None:
    mine, theirs = Batch.objects.create(owner=person), Batch.objects.create(owner=stranger)
    factories.job(person, prompt="in it", batch=mine)
    factories.job(person, prompt="alone")
    factories.job(stranger, prompt="theirs", batch=theirs)
    assert found(api, f"batch={mine.pk}") == ["in it"]
    assert found(api, f"batch={theirs.pk}") == []


@pytest.mark.parametrize(
    "query", ["favourite=maybe", "from=yesterday", "to=2026-02-30", "batch=x", "tag=" + "x" * 41, "from="]
)
def test_a_filter_that_does_not_fit_is_refused(api: APIClient, query: str) -> None:
    assert api.get(f"/api/jobs?{query}").status_code == 400


def test_a_video_is_marked_and_tagged(api: APIClient, person: User) -> None:
    job = factories.job(person)
    path = f"/api/jobs/{job.pk}"
    answer = api.patch(path, {"favourite": True, "tags": ["keep", "Holiday"]}, format="json")
    assert (answer.status_code, answer.json()["favourite"], answer.json()["tags"]) == (200, True, ["Holiday", "keep"])
    api.patch(path, {"tags": ["KEEP"]}, format="json")  # the favourite was left out, so it stays
    assert [api.get(path).json()[name] for name in ("favourite", "tags")] == [True, ["keep"]]
    assert api.get("/api/tags").json()["results"] == [{"name": "Holiday", "videos": 0}, {"name": "keep", "videos": 1}]
    assert api.patch(path, {"favourite": False, "tags": []}, format="json").json()["tags"] == []


@pytest.mark.parametrize(
    "body",
    [{"favourite": "yes"}, {"tags": "keep"}, {"tags": [""]}, {"tags": ["x" * 41]}, {"tags": [7]}, {"stars": 5}],
)
def test_bad_notes_are_refused_and_change_nothing(api: APIClient, person: User, body: dict[str, Any]) -> None:
    job = factories.job(person)
    assert api.patch(f"/api/jobs/{job.pk}", body, format="json").status_code == 400
    job.refresh_from_db()
    assert (job.favourite_at, job.tags.count()) == (None, 0)


def test_somebody_elses_video_and_tags_are_not_there(api: APIClient, stranger: User) -> None:
    theirs = factories.job(stranger)
    add_tags(owner=stranger, ids=[theirs.pk], names=["theirs"])
    assert api.patch(f"/api/jobs/{theirs.pk}", {"favourite": True}, format="json").status_code == 404
    assert api.get("/api/tags").json() == {"results": []}
    assert VideoJob.objects.get().favourite_at is None


SEARCH = """
from generation.library_queries import Cursor, Wanted, page_of
from tests import factories
from tests.generation.library_rows import seed
ada = factories.person("ada")
rows = seed(ada, 60)
def count(**values):
    return len(page_of(ada, Wanted(**values), size=100)[0])
print("found", count(words="FOX orbit"), count(words="LÄUFER"), count(words="holi fox"), count(words="%"),
      count(tags=("keep",)), count(draft=True, words="take"), count(favourite=True))
first, after = page_of(ada, Wanted(), size=50)
second, end = page_of(ada, Wanted(), size=50, after=after)
print("pages", [row.pk for row in first + second] == [row.pk for row in rows], end)
"""


def _searched(**environment: str) -> list[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    commands = (["migrate", "--verbosity", "0"], ["shell", "--verbosity", "0", "-c", SEARCH])
    for command in commands:
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=inherited | {"SECRET_KEY": "x" * 50} | environment,
            check=True,
            capture_output=True,
            text=True,
        )
    return [line for line in done.stdout.splitlines() if line.startswith(("found", "pages"))]


@pytest.mark.services
def test_postgresql_and_sqlite_find_the_same(tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    sqlite = _searched(I2V_DATA_DIR=str(tmp_path / "one"))
    assert sqlite == _searched(I2V_DATA_DIR=str(tmp_path / "two"), DATABASE_URL=postgres_url)
    assert sqlite[0].startswith("found 2 10 ")
    assert sqlite[1] == "pages True None"
