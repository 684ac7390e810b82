"""Real PostgreSQL and Redis for the tests that need them; a missing one is said loudly, or fails in CI."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import psycopg
import pytest
import redis

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379")


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """The address of an empty database of its own."""
    with postgres_database() as url:
        yield url


@contextmanager
def postgres_database() -> Iterator[str]:
    """The same for as long as a test or a fixture needs it."""
    try:
        server = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        missing("PostgreSQL", "TEST_POSTGRES_URL")
    name = f"test_{uuid.uuid4().hex}"
    with server:
        server.execute(f"CREATE DATABASE {name}")
        yield f"{POSTGRES.rsplit('/', 1)[0]}/{name}"
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def redis_url() -> Iterator[str]:
    """The address of an empty Redis database, emptied again afterwards."""
    try:
        free = next(number for number in range(15, 0, -1) if take(number))
    except redis.ConnectionError:
        missing("Redis", "TEST_REDIS_URL")
    url = f"{REDIS}/{free}"
    yield url
    with redis.Redis.from_url(url) as client:
        client.flushdb()


def take(number: int) -> bool:
    """Claim a database for this test; somebody's data is never touched."""
    with redis.Redis.from_url(f"{REDIS}/{number}") as client:
        return client.dbsize() == 0 and bool(client.set("taken-by-a-test", 1, nx=True, ex=600))


def missing(service: str, variable: str) -> NoReturn:
    give_up(f"{service} does not answer on 127.0.0.1 ({variable})")


def give_up(message: str) -> NoReturn:
    """Skip the test and say why; fail it where REQUIRE_SERVICES=1."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"{message}, and REQUIRE_SERVICES=1 asks for it.")
    pytest.skip(message)
