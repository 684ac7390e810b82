"""The operator's view."""

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.forms.models import model_to_dict
from django.test import Client
from django.utils import timezone

from generation.models import ApiToken, Heartbeat, Preset, Status, VideoJob, VideoModel
from tests import factories

JOBS = "/admin/generation/videojob/"
MODELS = "/admin/generation/videomodel/"


@pytest.fixture
def desk(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


def act(desk: Client, path: str, action: str, *rows: Any) -> str:
    chosen = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return desk.post(path, chosen, follow=True).content.decode()


def model_form(**changes: Any) -> dict[str, Any]:
    values = model_to_dict(factories.wan_model()) | changes
    as_text = {name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in values.items()}
    return {name: value for name, value in as_text.items() if value is not None and value is not False}


@pytest.mark.parametrize("page", ["videojob", "videomodel", "sourceimage", "preset", "apitoken", "heartbeat"])
def test_a_list_of_thirty_costs_as_many_queries_as_a_list_of_one(
    desk: Client, person: User, page: str, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        job = factories.job(person)
        factories.attempt(job)
        Preset.objects.create(owner=person, name=str(number), model=job.model)
        ApiToken.objects.create(user=person, name=str(number))
        Heartbeat.objects.create(name=str(number), beat_at=timezone.now())
    with django_assert_max_num_queries(15):
        assert desk.get(f"/admin/generation/{page}/").status_code == 200


def test_a_job_is_shown_with_its_attempts_and_links_to_its_neighbours(desk: Client, person: User) -> None:
    parent = factories.job(person)
    job = factories.job(person, parent=parent)
    factories.attempt(job, error_message="the GPU fell over")
    shown = desk.get(f"{JOBS}{job.pk}/change/").content.decode()
    assert "the GPU fell over" in shown
    for path in (f"auth/user/{person.pk}", f"sourceimage/{job.image_id}", f"videojob/{parent.pk}", "videomodel/"):
        assert path in shown


@pytest.mark.parametrize("search", ["fox", "ada", "ada@example.com"])
def test_jobs_are_found_by_prompt_and_owner(desk: Client, person: User, stranger: User, search: str) -> None:
    factories.job(person, prompt="the red fox")
    factories.job(stranger, prompt="a bird")
    shown = desk.get(JOBS, {"q": search}).content.decode()
    assert "the red fox" in shown
    assert "a bird" not in shown


def test_jobs_are_found_by_id_and_nonce(desk: Client, person: User) -> None:
    job = factories.job(person, prompt="the red fox")
    nonce = factories.attempt(job).nonce
    assert "the red fox" in desk.get(JOBS, {"q": str(job.pk)}).content.decode()
    assert "the red fox" in desk.get(JOBS, {"q": nonce}).content.decode()


def test_cancelling_goes_through_the_service_and_is_logged(desk: Client, person: User) -> None:
    job, over = factories.job(person), factories.job(person, status=Status.CANCELLED)
    shown = act(desk, JOBS, "cancel", job, over)
    job.refresh_from_db()
    assert job.status == Status.CANCELLED
    assert "1 cancelled." in shown
    assert "already ended" in shown
    assert LogEntry.objects.filter(object_id=str(job.pk)).count() == 1


def test_a_failed_job_is_made_again_for_its_owner(desk: Client, person: User) -> None:
    job = factories.job(person, status=Status.FAILED, error_code="engine_failed")
    act(desk, JOBS, "retry", job)
    assert VideoJob.objects.get(parent=job).owner == person


def test_deleting_takes_the_files_along(desk: Client, person: User) -> None:
    job = factories.job(person)
    act(desk, JOBS, "delete_with_files", job)
    job.refresh_from_db()
    assert job.deleted_at is not None
    assert desk.post(f"{JOBS}{job.pk}/delete/", {"post": "yes"}).status_code == 403


def test_jobs_cannot_be_edited(desk: Client, person: User) -> None:
    job = factories.job(person)
    assert desk.post(f"{JOBS}{job.pk}/change/", {"status": "succeeded"}).status_code == 403


def test_who_may_only_look_has_no_actions(client: Client, person: User) -> None:
    from django.contrib.auth.models import Permission

    viewer = factories.person("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_videojob"))
    job = factories.job(person)
    client.force_login(viewer)
    act(client, JOBS, "cancel", job)
    job.refresh_from_db()
    assert job.status == Status.QUEUED


def test_a_good_model_row_is_saved(desk: Client) -> None:
    row = factories.wan_model()
    assert desk.post(f"{MODELS}{row.pk}/change/", model_form(name="Wan, renamed")).status_code == 302
    row.refresh_from_db()
    assert row.name == "Wan, renamed"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sizes": []}, "This field is required."),
        ({"sizes": {"832x480": 1}}, "A list of sizes"),
        ({"sizes": ["832 x 480"]}, "does not look like"),
        ({"sizes": ["830x480"]}, "multiples of 16"),
        ({"sizes": ["4096x4096"]}, "larger than the limits"),
        ({"loras": ["just a name"]}, "exactly"),
        ({"loras": [{"name": "", "weight": 1, "stage": "high"}]}, "name"),
        ({"loras": [{"name": "x", "weight": "1", "stage": "high"}]}, "weight"),
        ({"loras": [{"name": "x", "weight": 1, "stage": "middle"}]}, "stage"),
        ({"high_noise_model": ""}, "needs the name of its model file"),
        ({"default_frames": 999}, "default_frames_in_range"),
    ],
)
def test_a_model_row_that_could_not_work_is_refused_with_the_reason(
    desk: Client, changes: dict[str, Any], sentence: str
) -> None:
    row = factories.wan_model()
    answer = desk.post(f"{MODELS}{row.pk}/change/", model_form(**changes))
    assert answer.status_code == 200
    assert sentence in answer.content.decode()


def test_a_model_is_switched_on_in_the_list(desk: Client) -> None:
    rows = list(VideoModel.objects.order_by("position"))
    data: dict[str, Any] = {"form-TOTAL_FORMS": len(rows), "form-INITIAL_FORMS": len(rows), "_save": "Save"}
    for number, row in enumerate(rows):
        data |= {f"form-{number}-id": row.pk, f"form-{number}-position": row.position}
    desk.post(MODELS, data)
    assert not VideoModel.objects.filter(enabled=True).exists()


def test_no_secret_of_a_token_is_shown(desk: Client, person: User) -> None:
    token, secret = ApiToken.objects.create(user=person, name="script")
    shown = desk.get(f"/admin/generation/apitoken/{token.pk}/change/").content.decode()
    assert "script" in shown
    assert secret[:15] not in shown


def test_a_picture_is_deleted_with_its_files_unless_a_job_needs_it(desk: Client, person: User) -> None:
    needed, free = factories.job(person).image, factories.source_image(person)
    shown = act(desk, "/admin/generation/sourceimage/", "delete_with_files", needed, free)
    assert list(person.source_images.all()) == [needed]
    assert "unfinished" in shown or "use" in shown
