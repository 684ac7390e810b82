"""From a request's body to a job, once per Idempotency-Key."""

from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError
from django.urls import reverse
from rest_framework.response import Response

from generation import queries
from generation.api import describe, idempotency, waiting
from generation.api.base import UserRequest, checked
from generation.api.idempotency import Answer
from generation.api.serializers import VideoRequest
from generation.errors import UnknownPicture
from generation.models import SourceImage, VideoJob
from generation.services.intake import store_data_url, store_picture
from generation.services.jobs import JobRequest, submit_job


def submit(request: UserRequest, *, status: int, default_model: str | None = None) -> Response:
    """Create the job that the body asks for and answer with `status`; 200 when waiting for its end was worth it."""
    key = idempotency.key_of(request)
    answer = idempotency.recall(key) if key else None
    if answer is None:
        answer = _answer(request, key, status, default_model)
    return _response(request, answer)


def _answer(request: UserRequest, key: idempotency.Key | None, status: int, default_model: str | None) -> Answer:
    values = checked(VideoRequest, request.data)
    values["model"] = values.get("model") or default_model
    # Decoding a picture takes its time, so it happens before the transaction.
    wish = job_request(request, values)

    def create() -> VideoJob:
        return submit_job(owner=request.user, request=wish)

    def answered(job: VideoJob) -> Answer:
        return Answer(job.pk, status, describe.job(job, request))

    try:
        return idempotency.once(key, create, answered) if key else answered(create())
    except IntegrityError:
        # Deleted since it was looked up, which only the foreign key notices.
        if wish.image:
            own_picture(request, wish.image.pk)
        raise


def job_request(request: UserRequest, values: dict[str, Any]) -> JobRequest:
    """Checked values as a JobRequest; a picture in the body is stored. Raises PictureRefused, UnknownPicture."""
    picture, image_id = values.pop("image", None), values.pop("image_id", None)
    image = None
    if image_id:
        image = own_picture(request, image_id)
    elif isinstance(picture, UploadedFile):
        image = store_picture(owner=request.user, file=picture, name=picture.name or "")
    elif picture:
        image = store_data_url(owner=request.user, data_url=picture)
    return bare_request(values, image)


def own_picture(request: UserRequest, image_id: Any) -> SourceImage:
    try:
        return SourceImage.objects.get(owner=request.user, pk=image_id)
    except SourceImage.DoesNotExist as exc:
        raise UnknownPicture("There is no such picture. GET /api/images lists yours.", field="image_id") from exc


def bare_request(values: dict[str, Any], image: SourceImage | None) -> JobRequest:
    given = {name: value for name, value in values.items() if value is not None}
    return JobRequest(image=image, **given)


def _response(request: UserRequest, answer: Answer) -> Response:
    status, body, headers = answer.status, answer.body, {}
    seconds = waiting.wanted_s(request)
    if seconds and waiting.until_over(answer.job_id, seconds=seconds):
        headers["Preference-Applied"] = f"wait={seconds}"
        job = queries.jobs_of(request.user).filter(pk=answer.job_id).first()
        if job is not None:
            status, body = (200 if job.is_over else answer.status), describe.job(job, request)
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
    headers["Location"] = request.build_absolute_uri(reverse("api-job", args=[answer.job_id]))
    return Response(body, status=status, headers=headers)
