"""The signed mark of a clip: made from which kind of videos and how, with their own marks kept inside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from generation.services import provenance
from generation.services.provenance_worker import CREATED, FORMAT, MODEL

_OPENED, _PLACED, _EDITED = "c2pa.opened", "c2pa.placed", "c2pa.edited"
_FORMATS = {".gif": "image/gif", ".webp": "image/webp"}
_SAYS = {
    "trim": "Cut to a part of a video",
    "join": "Several videos one after the other",
    "boomerang": "A video played forth and back",
    "smooth": "Frames between those of a video were worked out by motion estimation",
    "enlarge": "A video scaled to a larger size",
    "gif": "A video as a GIF",
    "webp": "A video as a WebP",
}


@dataclass(frozen=True, slots=True)
class About:
    """What the mark says; `generated`: AI made at least one of the videos, with these `models`."""

    kind: str
    models: str
    generated: bool


def sign_clip(path: Path, *, sources: Sequence[Path], about: About) -> None:
    """Replace the MP4, GIF or WebP by its signed copy, checked after signing. Raises SigningFailed, OSError."""
    media_type = _FORMATS.get(path.suffix, FORMAT)
    ingredients = [_ingredient(number, source, len(sources)) for number, source in enumerate(sources)]
    manifest = _manifest(media_type, about, len(sources))
    provenance.sign_as([path], manifest=manifest, media_type=media_type, ingredients=ingredients)


def _ingredient(number: int, source: Path, count: int) -> dict[str, str]:
    # One video that was changed is the parent of the clip; of several each is a component.
    relationship = "parentOf" if count == 1 else "componentOf"
    return {"path": str(source), "label": _label(number), "relationship": relationship}


def _label(number: int) -> str:
    return f"video-{number}"


def _manifest(media_type: str, about: About, count: int) -> dict[str, Any]:
    ours = {"name": provenance.NAME, "version": settings.VERSION}
    # Of the videos: nothing that is seen comes from anywhere else.
    telling = {
        "digitalSourceType": provenance.GENERATED if about.generated else provenance.ALTERED,
        "softwareAgent": ours,
        "description": _SAYS[about.kind],
        "parameters": {MODEL: about.models},
    }
    if count == 1:
        actions = [{"action": _OPENED, "parameters": {"ingredientIds": [_label(0)]}}, {"action": _EDITED} | telling]
    else:
        actions = [{"action": CREATED} | telling]
        actions += [{"action": _PLACED, "parameters": {"ingredientIds": [_label(place)]}} for place in range(count)]
    said = {"label": "c2pa.actions", "created": True, "data": {"actions": actions}}
    return {"claim_generator_info": [ours], "format": media_type, "assertions": [said]}
