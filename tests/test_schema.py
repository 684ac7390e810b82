"""The OpenAPI document is complete and true: a machine that reads it calls everything and believes every word."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator
from hypothesis import settings
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import (
    ensure_resource_availability,
    positive_data_acceptance,
    use_after_free,
)

from tests.web import Web, running_web

SCHEMA = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(public=True))
# What a model takes and which ids exist stands in the database, so a well-formed request may be refused.
DECIDED_BY_ROWS = [positive_data_acceptance, ensure_resource_availability, use_after_free]
load_all_checks()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    limits = dict.fromkeys(("THROTTLE_SUBMIT", "THROTTLE_UPLOAD", "THROTTLE_PROBE"), "100000/min")
    with running_web({"I2V_DATA_DIR": str(tmp_path_factory.mktemp("web"))} | limits) as people:
        yield next(people)


@SCHEMA.parametrize()
@settings(max_examples=10, deadline=None, derandomize=True, database=None)
def test_every_call_behaves_as_documented(case: "schemathesis.Case[Any]", web: Web) -> None:
    case.call_and_validate(
        base_url=f"http://127.0.0.1:{web.port}",
        headers={"Authorization": f"Token {web.token}"},
        excluded_checks=DECIDED_BY_ROWS,
    )


def test_the_document_is_valid_and_complete(tmp_path: Path) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def test_every_address_of_the_api_is_documented() -> None:
    documented = set(SCHEMA.raw_schema["paths"])
    served = {"/" + path for path in _paths(get_resolver()) if path.startswith("api/")}

    assert {path.count("/") for path in documented} == {
        path.count("/") for path in served - {"/api/schema", "/api/docs"}
    }
    assert len(documented) == len(served) - 2


def _paths(resolver: URLResolver, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        found |= {path} if isinstance(entry, URLPattern) else _paths(entry, path)
    return found


def test_the_document_says_how_to_sign_in() -> None:
    scheme = SCHEMA.raw_schema["components"]["securitySchemes"]["token"]

    assert (scheme["in"], scheme["name"]) == ("header", "Authorization")


def test_the_page_with_the_document_is_served_from_here(client: Client) -> None:
    page = client.get("/api/docs").content.decode()

    assert "swagger-ui-bundle.js" in page
    assert "https://" not in page


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/jobs", "/api/models", "/api/images", "/api/presets", "/api/tokens"])
def test_a_browser_gets_a_page_instead_of_json(client: Client, person: User, path: str) -> None:
    client.force_login(person)
    answer = client.get(path, HTTP_ACCEPT="text/html")

    assert (answer.status_code, answer["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<script>" not in answer.content.decode()
