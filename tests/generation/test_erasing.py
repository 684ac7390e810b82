"""Erasing an account really does it, whatever breaks on the way; and what a person takes along is complete."""

import io
import json
import os
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.apps import apps
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connections, models
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from generation.errors import LastOfStaff
from generation.models import (
    ApiToken,
    Attempt,
    AuditEntry,
    Batch,
    Clip,
    Erasure,
    Notice,
    Preferences,
    Preset,
    ShareLink,
    SourceImage,
    Tag,
    VideoJob,
    WebhookEndpoint,
)  # fmt: skip
from generation.services import erasing, exporting, fal_forgetting, sweeping
from generation.services.stored_files import stored
from gpu.models import LedgerEntry
from gpu.services import charges
from gpu.services.charges import JobMoney
from i2v_site import crashpoints
from tests import factories
from tests.simulators.fal import FalSimulator

POINTS = ["erase.closed", *(f"erase.{name}" for name, _step in erasing._STEPS), "erase.finished"]


@pytest.fixture
def full(db: None) -> User:
    """Somebody with a row in every table that a person can fill."""
    person = factories.person("ada")
    model = factories.preview_model()
    job = factories.job(
        person, status="succeeded", video_key="out/x.mp4", prompt="my words", finished_at=timezone.now()
    )
    attempt = factories.attempt(job, ended_at=timezone.now(), outcome="stored")
    key = default_storage.save(f"out/{job.pk}/{attempt.pk}.mp4", ContentFile(b"video bytes"))
    VideoJob.objects.filter(pk=job.pk).update(video_key=key)
    clip = Clip.objects.create(owner=person, kind="trim", state="done", key=f"clip/{job.pk}/1.mp4")
    default_storage.save(clip.key, ContentFile(b"clip bytes"))
    clip.parts.create(job=job, position=0)
    Clip.objects.create(owner=person, kind="gif")
    Batch.objects.create(owner=person, name="mine")
    job.tags.add(Tag.objects.create(owner=person, name="sea"))
    Preset.objects.create(owner=person, name="usual", model=model)
    Preferences.objects.create(person=person)
    ShareLink.objects.create(owner=person, job=job)
    WebhookEndpoint.objects.create(owner=person, url="https://me.example", secret="sealed-secret", secret_end="cret")
    ApiToken.objects.create(user=person, name="laptop")
    Notice.objects.create(owner=person, kind="webhook.test", key="x")
    money = JobMoney(job_id=job.pk, person_id=person.pk, cloud=False)
    charges.reserve_job(money, Decimal("0.5"))
    charges.settle_job(money, charged=Decimal("0.25"))
    factories.job(person)
    return person


def forked(point: str, act: Any) -> None:
    """Run `act` in a process of its own that is killed at `point`."""
    connections.close_all()
    child = os.fork()
    if child == 0:
        crashpoints._ASKED = point
        act()
        os._exit(7)
    _pid, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"{point} was not reached"


def is_gone(number: int) -> bool:
    files = [key for prefix in ("in", "out", "clip", "spool") for key, _ in stored(prefix)]
    return not User.objects.filter(pk=number).exists() and not files


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("point", POINTS)
def test_an_erasure_killed_anywhere_is_completed_by_the_sweep(full: User, point: str) -> None:
    number = full.pk

    def all_of_it() -> None:
        erasing.go_on(erasure_id=str(erasing.close_account(person=full).pk))

    forked(point, all_of_it)
    erasure = Erasure.objects.get()
    sweeping.sweep()
    erasing.go_on(erasure_id=str(erasure.pk))
    erasing.go_on(erasure_id=str(erasure.pk))

    erasure.refresh_from_db()
    assert is_gone(number)
    assert (erasure.finished_at is not None, erasure.left) == (True, {"ledger_entries_without_a_name": 3})
    assert LedgerEntry.objects.filter(person=None).count() == 3
    call_command("ledger")


def test_the_account_is_dead_at_once(full: User, client: Client) -> None:
    client.force_login(full)
    _row, secret = ApiToken.objects.create(user=full, name="phone")
    token = ShareLink.objects.get().token
    erasing.close_account(person=full)

    assert client.get("/settings").status_code == 302
    assert APIClient().get("/api/jobs", headers={"Authorization": f"Token {secret}"}).status_code == 401
    assert Client().get(f"/s/{token}").status_code in (404, 410)
    assert not WebhookEndpoint.objects.filter(enabled=True).exists()


def test_asking_twice_is_one_erasure(full: User) -> None:
    assert erasing.close_account(person=full) == erasing.close_account(person=full)


def test_an_erasure_touches_nobody_else(full: User, stranger: User) -> None:
    hook = WebhookEndpoint.objects.create(owner=stranger, url="https://b.example", secret="sealed", secret_end="led")
    link = ShareLink.objects.create(owner=stranger, job=factories.job(stranger))
    EmailAddress.objects.create(user=stranger, email="bob@example.com")
    ApiToken.objects.create(user=stranger, name="laptop")
    open_one = Erasure.objects.create(person=factories.person("carl"))
    deleted_by_hand = Erasure.objects.create(person=None)
    for erasure in (erasing.close_account(person=full), deleted_by_hand):
        erasing.go_on(erasure_id=str(erasure.pk))
        erasure.refresh_from_db()
        assert erasure.finished_at is not None

    for row in (stranger, hook, link, open_one):
        row.refresh_from_db()
    assert (stranger.is_active, hook.enabled, link.revoked_at, open_one.finished_at) == (True, True, None, None)
    assert (EmailAddress.objects.count(), ApiToken.objects.count()) == (1, 1)


def test_the_last_administrator_cannot_leave(staff: User) -> None:
    with pytest.raises(LastOfStaff):
        erasing.close_account(person=staff)

    factories.person("second", is_staff=True, is_superuser=True)
    assert erasing.close_account(person=staff).person == staff


def test_what_somebody_still_works_on_waits_without_a_name_and_goes_later(full: User) -> None:
    until = timezone.now() + timedelta(minutes=2)
    held = factories.job(full, status="rendering", lease_token="held", lease_until=until)
    EmailAddress.objects.create(user=full, email="ada@example.com")
    erasure = erasing.close_account(person=full)
    erasing.go_on(erasure_id=str(erasure.pk))

    full.refresh_from_db()
    erasure.refresh_from_db()
    assert not EmailAddress.objects.exists()
    assert (full.username, full.email, erasure.finished_at) == (f"erased-{full.pk}", "", None)
    assert erasing.ring_open() == 0
    VideoJob.objects.filter(pk=held.pk).update(lease_token="", lease_until=None)
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        assert erasing.ring_open() == 1
        erasing.go_on(erasure_id=str(erasure.pk))
    assert is_gone(full.pk)


def people_columns() -> Iterator[tuple[type[models.Model], Any]]:
    for model in apps.get_models():
        for field in model._meta.get_fields():
            if isinstance(field, models.ForeignKey) and field.related_model is User:
                yield model, field


def test_no_table_that_names_a_person_keeps_the_account_from_being_deleted() -> None:
    kept = [model.__name__ for model, field in people_columns() if field.remote_field.on_delete is models.PROTECT]

    assert kept == []


def test_every_table_that_names_a_person_is_in_the_export() -> None:
    exported = {table.model for table in exporting.TABLES}
    # Who may do what is the operator's, and knox keeps a table of its own that is never written here.
    nothing_of_theirs = {"User_groups", "User_user_permissions", "AuthToken", "ShareView"}
    named = {model for model, _field in people_columns() if model.__name__ not in nothing_of_theirs}

    assert {model.__name__ for model in named - exported} == set()


def unzipped(answer: Any) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))


def test_the_export_holds_all_rows_and_files_and_no_secret(full: User, stranger: User, client: Client) -> None:
    factories.job(stranger, prompt="not mine")
    client.force_login(full)
    archive = unzipped(client.post("/settings/data/export"))

    assert archive.testzip() is None
    names = archive.namelist()
    assert {f"{table.name}.json" for table in exporting.TABLES} <= set(names)
    tables = {name: json.loads(archive.read(name)) for name in names if name.endswith(".json")}
    empty = {name for name, rows in tables.items() if not rows}
    assert not empty & {"account.json", "videos.json", "pictures.json", "clips.json", "money.json", "webhooks.json"}
    assert sorted(row["prompt"] for row in tables["videos.json"]) == ["my words", "slow zoom in"]
    assert [archive.read(name) for name in names if name.startswith("videos/")] == [b"video bytes"]
    assert [archive.read(name) for name in names if name.startswith("clips/")] == [b"clip bytes"]
    assert (
        len([name for name in names if name.startswith("pictures/")]) == SourceImage.objects.filter(owner=full).count()
    )
    everything = b"".join(archive.read(name) for name in names if name.endswith(".json")).decode()
    assert not any(word in everything for word in ("sealed-secret", "not mine", full.password, "token_key"))


def test_a_file_that_is_missing_is_named_in_the_export(full: User, client: Client) -> None:
    client.force_login(full)
    default_storage.delete(Clip.objects.get(kind="trim").key)

    assert b"clips/" in unzipped(client.post("/settings/data/export")).read("files-that-are-missing.txt")


def test_the_page_erases_only_with_the_password_and_the_typed_name(full: User, client: Client) -> None:
    client.force_login(full)
    assert client.get("/settings/data").status_code == 200
    for wrong in ({"name": "ada", "password": "guess"}, {"name": "eve", "password": "correct horse"}, {}):
        assert client.post("/settings/data/erase", wrong).status_code == 403
        assert not Erasure.objects.exists()

    answer = client.post("/settings/data/erase", {"name": "ada", "password": "correct horse"})
    assert (answer.status_code, Erasure.objects.get().person) == (200, full)
    assert AuditEntry.objects.get().actor == f"person:{full.pk}"  # no name, which would outlive the account
    assert "_auth_user_id" not in client.session
    assert client.get("/settings").status_code == 302


def test_an_operator_exports_and_erases_by_command(full: User, tmp_path: Path) -> None:
    call_command("export", "ada", str(tmp_path / "ada.zip"))
    assert zipfile.ZipFile(tmp_path / "ada.zip").testzip() is None
    with pytest.raises(CommandError, match="exists already"):
        call_command("export", "ada", str(tmp_path / "ada.zip"))

    call_command("erase", "ada", "--yes")
    assert Erasure.objects.get().person == full
    with pytest.raises(CommandError, match="no account"):
        call_command("erase", "nobody", "--yes")


@pytest.fixture(scope="module")
def fal() -> Iterator[FalSimulator]:
    with FalSimulator(seconds=0.1) as simulator:
        yield simulator


def sent(person: User, request_id: str) -> Attempt:
    job = factories.job(person, status="cancelled")
    return factories.attempt(
        job, engine="fal", sent_at=timezone.now(), ended_at=timezone.now(), provider_ref={"request_id": request_id}
    )


def test_what_fal_keeps_is_deleted_or_said_to_stay(person: User, fal: FalSimulator, settings: Any) -> None:
    settings.FAL_KEY, settings.FAL_API_URL = fal.api_key, fal.api_url
    settings.FAL_PRIVATE_HOSTS = [fal.api_url.removeprefix("http://")]
    attempt = sent(person, "00000000-0000-0000-0000-000000000001")
    assert fal_forgetting.forget(person_id=person.pk) == {}
    attempt.refresh_from_db()
    assert attempt.engine_metadata["forgotten"]

    sent(person, "00000000-0000-0000-0000-000000000002")
    settings.FAL_KEY = "another:key"
    assert fal_forgetting.forget(person_id=person.pk) == {"calls": 1, "kept_by_fal_for_days": 30}


def test_fal_out_of_reach_does_not_stop_an_erasure(full: User, settings: Any) -> None:
    settings.FAL_KEY, settings.FAL_API_URL = "a:b", "http://127.0.0.1:9"
    settings.FAL_PRIVATE_HOSTS = ["127.0.0.1:9"]
    sent(full, "00000000-0000-0000-0000-000000000003")
    erasure = erasing.close_account(person=full)
    erasing.go_on(erasure_id=str(erasure.pk))

    erasure.refresh_from_db()
    assert erasure.finished_at is not None
    assert erasure.left["fal"] == {"calls": 1, "kept_by_fal_for_days": 30}
