"""Settings that a person keeps under a name."""

from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from generation.errors import PresetExists, UnknownModel
from generation.models import Preset, VideoModel
from generation.services.jobs import JobRequest, check_settings


def create_preset(*, owner: User, name: str, model: str, values: dict[str, Any]) -> Preset:
    """Keep `values`, by their API names. Raises UnknownModel, BadSetting (with the field), PresetExists."""
    return _save(Preset(owner=owner, name=name, model=_fitting(owner, model, values), values=values))


def change_preset(*, preset: Preset, name: str, model: str, values: dict[str, Any]) -> Preset:
    """Replace everything but the owner. Raises what `create_preset` raises."""
    preset.name, preset.model, preset.values = name, _fitting(preset.owner, model, values), values
    return _save(preset)


def _fitting(owner: User, slug: str, values: dict[str, Any]) -> VideoModel:
    # Not `choose_model`: settings may be kept for a model that cannot run at the moment.
    model = VideoModel.objects.visible_to(owner).filter(slug=slug).first()
    if model is None:
        raise UnknownModel(_("There is no such model. GET /api/models lists them."), field="model")
    given = {name: value for name, value in values.items() if value is not None}
    check_settings(model, JobRequest(prompt="", model=slug, **given))
    return model


def _save(preset: Preset) -> Preset:
    try:
        # Its own savepoint: in a caller's transaction a refused row must not spoil what came before.
        with transaction.atomic():
            preset.save()
    except IntegrityError as exc:
        raise PresetExists(_("You have a preset of this name already."), field="name") from exc
    return preset
