"""From a request's body to a job, once per Idempotency-Key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError
from django.urls import reverse
from django.utils.translation import gettext as _
from rest_framework.response import Response

from generation import queries
from generation.api import describe, idempotency, waiting
from generation.api.base import UserRequest, checked
from generation.api.idempotency import Answer
from generation.api.serializers import VideoRequest
from generation.errors import BadSetting, UnknownPicture
from generation.models import SourceImage, VideoJob
from generation.services import checks, labels, rules
from generation.services.intake import store_data_url, store_picture
from generation.services.jobs import JobRequest
from generation.services.rights import RIGHTS_VERSION
from generation.services.trying import picture_shape, try_out
from generation.services.weighing import weigh


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A request as the body gives it, with the rule that may choose its model."""

    request: JobRequest
    rule: str | None = None
    family: str | None = None
    unkept: SourceImage | None = None  # the picture of a dry run, which only has a shape

    def chosen(self, owner: User) -> tuple[JobRequest, str]:
        """The request with a model, and why it is this one. Raises what `rules.choose` raises."""
        choice = rules.choose(owner=owner, request=self.request, rule=self.rule, family=self.family)
        return replace(self.request, model=choice.slug), choice.because


# From the request's body (its rule is known by then) to the model that is used when none is named, or to its family.
Default = Callable[[UserRequest, dict[str, Any]], None]


def submit(request: UserRequest, *, status: int, default: Default | None = None) -> Response:
    """Create the job that the body asks for and answer with `status`; 200 when waiting for its end was worth it.

    `default` may fill in a model or a family where the body names no model. A dry run is a 200 and leaves no trace.
    """
    if _is_dry(request):
        return _dry_run(request, _values(request, default))
    key = idempotency.key_of(request)
    answer = idempotency.recall(key) if key else None
    if answer is None:
        answer = _answer(request, key, status, _values(request, default))
    return _response(request, answer)


def _is_dry(request: UserRequest) -> bool:
    # Looked up before the body is checked: a repeated request is recalled without checking it again.
    return isinstance(request.data, Mapping) and request.data.get("dry_run") in (True, "true")


def _values(request: UserRequest, default: Default | None) -> dict[str, Any]:
    values = checked(VideoRequest, request.data)
    if default is not None and not values.get("model"):
        default(request, values)
    return values


def _answer(request: UserRequest, key: idempotency.Key | None, status: int, values: dict[str, Any]) -> Answer:
    # Decoding a picture takes its time, so it happens before the transaction.
    wish = wish_of(request, values)
    chosen, because = wish.chosen(request.user)
    checks.check_prompt(person=request.user, prompt=chosen.prompt)  # outside of the transaction of the key

    def create() -> VideoJob:
        return rules.submit_by_rule(owner=request.user, request=chosen, because=because)

    def answered(job: VideoJob) -> Answer:
        return Answer(job.pk, status, describe.new_job(job, request))

    try:
        return idempotency.once(key, create, answered) if key else answered(create())
    except IntegrityError:
        # Deleted since it was looked up, which only the foreign key notices.
        if chosen.image:
            own_picture(request, chosen.image.pk)
        raise


def _dry_run(request: UserRequest, values: dict[str, Any]) -> Response:
    wish = wish_of(request, values, keep=False)
    chosen, because = wish.chosen(request.user)

    def submitted() -> VideoJob:
        return rules.submit_by_rule(owner=request.user, request=chosen, because=because)

    def look(job: VideoJob) -> dict[str, Any]:
        return describe.would(job, random_seed=chosen.seed == -1)

    would = try_out(submitted, look, wish.unkept)
    found = weigh(owner=request.user, request=chosen, rule=wish.rule)
    warnings = [warning.as_json() for warning in found.warnings]
    answer = {"dry_run": True, "estimate": found.option.estimate.as_json(), "warnings": warnings, "would": would}
    return Response(answer)


def wish_of(request: UserRequest, values: dict[str, Any], *, keep: bool = True) -> Wish:
    """Checked values as a wish; a picture in the body is stored, or only looked at. Raises PictureRefused."""
    rule, family = values.pop("rule", None), values.pop("family", None)
    values.pop("dry_run", None)
    if values.pop("rights_confirmed", False):
        values["rights_version"] = RIGHTS_VERSION
    take_rows(request, values)
    if values.get("visible_label") is None:
        values["visible_label"] = labels.usual_for(request.user)
    picture = values.get("image")
    if keep or not picture:
        return Wish(request=job_request(request, values), rule=rule, family=family)
    unkept = picture_shape(request.user, values.pop("image"))
    return Wish(request=bare_request(values, unkept), rule=rule, family=family, unkept=unkept)


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


def take_rows(request: UserRequest, values: dict[str, Any]) -> None:
    """Put the caller's own rows in the place of ids. Raises UnknownPicture, BadSetting."""
    if end_image_id := values.pop("end_image_id", None):
        values["end_image"] = own_picture(request, end_image_id, field="end_image_id")
    if continued := values.get("continues"):
        values["continues"] = queries.jobs_of(request.user).filter(pk=continued).first()
        if values["continues"] is None:
            raise BadSetting(_("Only a finished video of yours can be continued."), field="continues")


def own_picture(request: UserRequest, image_id: Any, *, field: str = "image_id") -> SourceImage:
    try:
        return SourceImage.objects.get(owner=request.user, hidden_at=None, pk=image_id)
    except SourceImage.DoesNotExist as exc:
        raise UnknownPicture(_("There is no such picture. GET /api/images lists yours."), field=field) from exc


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
