"""A wish looked at from all sides before anything is spent: which model, what it takes, what may go wrong."""

from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median

from django.contrib.auth.models import User

from generation.errors import BadSetting
from generation.models import Status, VideoJob, VideoModel
from generation.services.fitting import nearest_frames
from generation.services.jobs import JobRequest, check_settings, choose_model
from generation.services.options import Option, options
from generation.services.rules import Choice, choose, rule_of
from generation.services.warnings import Case, Caution, warnings
from gpu.services import charges

REMEMBERED = 20  # videos that say what a person usually pays


@dataclass(frozen=True, slots=True)
class Weighed:
    option: Option
    choice: Choice
    options: list[Option]
    warnings: list[Caution]


def weigh(*, owner: User, request: JobRequest, rule: str | None = None, family: str | None = None) -> Weighed:
    """The chosen model and all others for this wish, with warnings. Prompt and picture may be missing.

    Raises what a submit would raise for settings that the model does not take, but for a number of frames between
    those that it makes: that is a warning with the nearest number.
    """
    rule = rule_of(owner, rule)
    choice = choose(owner=owner, request=request, rule=rule, family=family)
    model = choose_model(owner=owner, slug=choice.slug)
    wish, first = _with_possible_frames(model, replace(request, model=choice.slug))
    found = options(owner, wish)
    option = next(row for row in found if row.model.pk == model.pk)
    case = Case(
        option=option,
        request=wish,
        others=found,
        headroom=charges.headroom(owner.pk),
        usual_usd=usual_usd(owner),
        rule=rule,
    )
    return Weighed(option, choice, found, [*first, *warnings(case)])


def _with_possible_frames(model: VideoModel, request: JobRequest) -> tuple[JobRequest, list[Caution]]:
    try:
        check_settings(model, request)
    except BadSetting as exc:
        frames = request.num_frames or 0
        if exc.field != "num_frames" or not model.min_frames <= frames <= model.max_frames:
            raise
        near = nearest_frames(model, frames)
        odd = Caution("odd_frame_count", exc.message, "num_frames", {"num_frames": near})
        return replace(request, num_frames=near), [odd]
    return request, []


def usual_usd(owner: User) -> Decimal | None:
    """What this person's paid videos usually cost; None when there were none."""
    paid = VideoJob.objects.filter(owner=owner, status=Status.SUCCEEDED, cost_usd__gt=0).order_by("-created_at")
    costs = list(paid.values_list("cost_usd", flat=True)[:REMEMBERED])
    return median(costs) if costs else None
