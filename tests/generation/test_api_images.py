"""Pictures in the API: uploaded once, listed, linked, deleted."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from generation.models import SourceImage, Status
from tests import factories
from tests.generation.test_api_jobs import data_url


def upload(api: APIClient, **more: Any) -> Any:
    return api.post("/api/images", {"image": SimpleUploadedFile("cat.png", factories.png())} | more, format="multipart")


def test_an_uploaded_picture_is_found_and_can_be_fetched(api: APIClient) -> None:
    made = upload(api)
    found = api.get(made["Location"]).json()
    file = api.get(found["url"])

    assert (made.status_code, found["name"], found["width"], found["height"]) == (201, "cat.png", 128, 96)
    assert file["Content-Type"] == found["content_type"]
    assert api.get(found["thumbnail_url"])["Content-Type"] == "image/jpeg"


def test_the_same_picture_is_kept_once_whichever_way_it_comes(api: APIClient) -> None:
    first = upload(api).json()
    second = api.post("/api/images", {"image": data_url(), "name": "again"}, format="json").json()

    assert first["id"] == second["id"]
    assert [row["id"] for row in api.get("/api/images").json()["results"]] == [first["id"]]


def test_a_picture_is_deleted_unless_a_job_needs_it(api: APIClient, person: User) -> None:
    job = factories.job(person)
    address = f"/api/images/{job.image_id}"
    assert api.delete(address).status_code == 409

    type(job).objects.update(status=Status.CANCELLED)
    assert api.delete(address).status_code == 204
    assert api.get(address).status_code == 404


def test_somebody_elses_picture_is_not_found(api: APIClient, stranger: User) -> None:
    theirs = factories.source_image(stranger)

    assert api.get(f"/api/images/{theirs.pk}").status_code == 404
    assert api.delete(f"/api/images/{theirs.pk}").status_code == 404
    assert api.get("/api/images").json()["results"] == []
    assert SourceImage.objects.count() == 1


@pytest.mark.parametrize(
    "body", [{}, {"image": "cat.png"}, {"image": data_url(b"no picture")}, {"image": data_url(), "x": 1}]
)
def test_what_is_no_picture_is_refused(api: APIClient, body: dict[str, Any]) -> None:
    answer = api.post("/api/images", body, format="json")

    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "x" if "x" in body else "image")
    assert not SourceImage.objects.exists()


def test_a_list_takes_the_same_queries_however_long_it_is(
    api: APIClient, person: User, django_assert_max_num_queries: Any
) -> None:
    for _ in range(10):
        factories.source_image(person)
    with django_assert_max_num_queries(1):
        assert len(api.get("/api/images").json()["results"]) == 10
