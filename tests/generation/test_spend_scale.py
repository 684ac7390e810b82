"""The pages about money ask as many questions of ten thousand videos as of thirty, and stay quick."""

import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests import factories
from tests.generation import spend_rows

PATHS = ("/spend", "/spend?page=2", "/staff/spend", "/api/spend", "/api/spend?scope=site")


@pytest.fixture
def desk(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


def asked(client: Client, path: str) -> int:
    """How many queries the answer took."""
    with CaptureQueriesContext(connection) as queries:
        answer: Any = client.get(path)
        assert answer.status_code == 200
    return len(queries)


def test_ten_thousand_videos_take_as_many_queries_as_a_few(desk: Client, staff: User) -> None:
    spend_rows.many_videos([staff], 30)
    spend_rows.promised(staff, "0.1")
    spend_rows.video(staff, "0.1", machine=spend_rows.machine("1"))
    for path in PATHS:
        desk.get(path)  # what is remembered between requests is remembered now
    few = {path: asked(desk, path) for path in PATHS}
    for number in range(20):
        spend_rows.video(staff, "0.1", machine=spend_rows.machine("1"))
        spend_rows.promised(factories.person(f"person-{number}"), "0.1")
    spend_rows.promised(staff, "0.1")
    spend_rows.many_videos([staff], 10_000)
    started = time.monotonic()
    assert {path: asked(desk, path) for path in PATHS} == few
    assert max(few.values()) <= 30
    assert time.monotonic() - started < 30  # five answers, well under a second each where nothing else runs
    a_file_is_read_in_parts(desk)


def a_file_is_read_in_parts(desk: Client) -> None:
    answer: Any = desk.get("/spend/videos.csv")
    with CaptureQueriesContext(connection) as queries:
        lines = answer.getvalue().decode().splitlines()
    assert len(lines) > 10_000
    assert len(queries) <= 10_000 / 500 + 3
