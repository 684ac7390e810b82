"""Idempotency-Key: the first answer again, and never a second job."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, connection
from django.utils import timezone
from rest_framework.test import APIClient

from generation.models import IdempotencyKey, VideoJob
from tests import factories
from tests.generation.test_api_jobs import BODY


def post(api: APIClient, body: dict[str, Any], key: str = "one", path: str = "/api/jobs") -> Any:
    return api.post(path, body, format="json", HTTP_IDEMPOTENCY_KEY=key)


def test_the_same_request_gets_the_first_answer_again(api: APIClient) -> None:
    first, second = post(api, BODY), post(api, dict(reversed(BODY.items())))

    assert (second.status_code, second.content, second["Location"]) == (201, first.content, first["Location"])
    assert second["Idempotent-Replayed"] == "true"
    assert VideoJob.objects.count() == 1


@pytest.mark.parametrize("path", ["/api/jobs", "/api/swarmui/generate-video"])
def test_another_request_under_the_same_key_is_refused(api: APIClient, path: str) -> None:
    post(api, BODY)
    answer = post(api, BODY | {"prompt": "another"} if path == "/api/jobs" else BODY, path=path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert VideoJob.objects.count() == 1


def test_another_file_under_the_same_key_is_refused(api: APIClient) -> None:
    def upload(content: bytes) -> int:
        form = {"image": SimpleUploadedFile("a.png", content), "prompt": "pan"}
        return int(api.post("/api/jobs", form, format="multipart", HTTP_IDEMPOTENCY_KEY="one").status_code)

    picture, another = factories.png(), factories.png(160, 96)
    assert [upload(picture), upload(picture), upload(another)] == [201, 201, 422]


def test_two_people_may_use_the_same_key(api: APIClient, stranger: User) -> None:
    other = APIClient()
    other.force_authenticate(stranger)

    assert post(api, BODY).json()["id"] != post(other, BODY).json()["id"]


def test_a_refused_request_does_not_use_up_its_key(api: APIClient) -> None:
    assert post(api, BODY | {"num_frames": 9999}).status_code == 400
    assert not IdempotencyKey.objects.exists()
    assert post(api, BODY).status_code == 201


def test_an_old_key_is_free_again(api: APIClient) -> None:
    first = post(api, BODY).json()
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))

    assert post(api, BODY | {"prompt": "another"}).json()["id"] != first["id"]


def test_a_crash_before_the_commit_leaves_neither_job_nor_key(person: User) -> None:
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(person)

    def crash(execute: Any, sql: str, *args: Any) -> Any:
        if 'INSERT INTO "generation_idempotencykey"' in sql:
            raise DatabaseError
        return execute(sql, *args)

    with connection.execute_wrapper(crash):
        assert post(client, BODY).status_code == 500
    assert not VideoJob.objects.exists()
    assert post(client, BODY).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9", "a\tb"])
def test_an_unusable_key_is_refused(api: APIClient, key: str) -> None:
    answer = post(api, BODY, key)

    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "Idempotency-Key")
    assert not VideoJob.objects.exists()
