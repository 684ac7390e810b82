"""Shared fixtures. Fakes stand on the wire (tests/simulators), never in our own code."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection, connections
from django.utils import translation
from pytest_django import DjangoDbBlocker, Settings
from rest_framework.test import APIClient

from tests import factories
from tests.services import postgres_url, redis_url  # noqa: F401 (fixtures)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """The migrated test database, without the table that knox makes for its own token model although ours is used.

    Django does not know that table, and PostgreSQL cannot empty auth_user between tests while it refers to it.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS knox_authtoken")
    # Under Playwright's event loop Django opens another connection, which must know the seeded rows as well.
    seeded = getattr(connection, "_test_serialized_contents", None)
    type(connections["default"])._test_serialized_contents = seeded  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def own_folders(settings: Settings, tmp_path: Path) -> None:
    """Every test has its own files and an empty cache."""
    cache.clear()
    settings.SPOOL_DIR = tmp_path / "spool"
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "files"},
        }
    }


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """A request in another language leaves that language behind in its thread, which is the next test's as well."""
    yield
    translation.deactivate()


@pytest.fixture
def person(db: None) -> User:
    return factories.person("ada")


@pytest.fixture
def stranger(db: None) -> User:
    return factories.person("eve")


@pytest.fixture
def staff(db: None) -> User:
    return factories.person("root", is_staff=True, is_superuser=True)


@pytest.fixture
def api(person: User) -> APIClient:
    """The API as `person` sees it."""
    client = APIClient()
    client.force_authenticate(person)
    return client


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A skipped test is a hole in what was tested: nobody should have to look for it."""
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"NOT TESTED: {report.nodeid}: {reason}", red=True, bold=True)
