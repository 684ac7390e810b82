"""A picture to end with: who takes one, how it is cropped, and that it is there until the video is made."""

import io
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image

from generation.engines.fal_request import image_fields, problems
from generation.errors import BadSetting, PictureInUse
from generation.models import Provider, SourceImage, Status, VideoJob, VideoModel
from generation.services import claims, intake, jobs, rendering
from generation.services.claims import Room
from generation.services.held import Held
from generation.services.jobs import JobRequest
from gpu.services import config
from tests import factories

SERVER = "https://8.8.8.8"


def wish(person: User, **values: Any) -> JobRequest:
    config.save_config(swarmui_url=SERVER)
    request = JobRequest(prompt="the dog runs", model="wan-2-2", image=factories.source_image(person), size="832x480")
    return replace(request, **values)


def striped(owner: User) -> SourceImage:
    """A wide picture: red, green in the middle, blue."""
    picture = Image.new("RGB", (300, 100), "red")
    picture.paste("green", (100, 0, 200, 100))
    picture.paste("blue", (200, 0, 300, 100))
    out = io.BytesIO()
    picture.save(out, "PNG")
    row = factories.source_image(owner, width=300, height=100)
    default_storage.delete(row.key)
    default_storage.save(row.key, ContentFile(out.getvalue()))
    return row


def test_a_model_that_takes_none_refuses_it(person: User) -> None:
    with pytest.raises(BadSetting) as refused:
        jobs.submit_job(
            owner=person, request=wish(person, model="motion-preview", end_image=factories.source_image(person))
        )

    assert refused.value.field == "end_image"
    assert not VideoJob.objects.exists()


def test_somebody_elses_picture_is_refused(person: User, stranger: User) -> None:
    with pytest.raises(BadSetting) as refused:
        jobs.submit_job(owner=person, request=wish(person, end_image=factories.source_image(stranger)))

    assert refused.value.field == "end_image"


def test_it_is_stored_and_kept_by_a_retry(person: User) -> None:
    end = factories.source_image(person)
    job = jobs.submit_job(owner=person, request=wish(person, end_image=end))

    assert VideoJob.objects.get(pk=job.pk).end_image == end
    assert jobs.retry_job(job=job, new_seed=True).end_image == end


def test_a_picture_is_not_deleted_while_a_video_shall_end_with_it(person: User) -> None:
    end = factories.source_image(person)
    job = jobs.submit_job(owner=person, request=wish(person, end_image=end))

    with pytest.raises(PictureInUse):
        intake.delete_picture(image=end)

    VideoJob.objects.filter(pk=job.pk).update(status=Status.CANCELLED)
    intake.delete_picture(image=end)
    assert not SourceImage.objects.filter(pk=end.pk).exists()


async def picture_of(read: Any) -> Image.Image:
    return Image.open(io.BytesIO(await read())).convert("RGB")


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
async def test_the_engine_gets_its_middle_in_the_size_of_the_video() -> None:
    from asgiref.sync import sync_to_async

    def claim() -> Held:
        person = factories.person("ada")
        request = wish(person, end_image=striped(person), size="480x832", focus_x=0.0)
        jobs.submit_job(owner=person, request=request)
        (found,) = claims.claim_jobs(owner="me", room=Room(total=1, preview=0, endpoints=[SERVER]))
        return Held(found)

    # Here no row may be read any more: whoever renders sits on the event loop.
    asked = rendering.request_of(await sync_to_async(claim)())

    assert asked.end_picture is not None
    end = await picture_of(asked.end_picture)
    assert end.size == (480, 832)
    assert end.getpixel((240, 416)) == (0, 128, 0)


def test_rows_that_take_one_know_how_their_endpoint_calls_it(db: None) -> None:
    taking = VideoModel.objects.filter(takes_end_image=True)

    assert set(taking.values_list("slug", flat=True)) == {
        *("wan-2-2", "fal-wan-2-2", "fal-wan-2-2-turbo", "fal-hailuo-02", "fal-ltx-2"),
    }
    for row in VideoModel.objects.filter(provider=Provider.FAL):
        assert problems(row.parameters) == []
        assert row.takes_end_image == ("end_image" in row.parameters)
        assert len(image_fields(row.parameters)) == (2 if row.takes_end_image else 1)
