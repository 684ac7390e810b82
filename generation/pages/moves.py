"""What is put into a prompt with one click. The phrases are English: so are the prompts that models learnt from."""

from dataclasses import dataclass

from django.utils.translation import gettext as _


@dataclass(frozen=True, slots=True)
class Move:
    """`phrase` goes into the prompt. Of those with the same `axis` only one can be meant."""

    label: str
    phrase: str
    axis: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    label: str
    moves: tuple[Move, ...]


def groups() -> list[Group]:
    """All of them, in the person's language."""
    return [_camera(), _subject(), _light()]


def _camera() -> Group:
    return Group(
        _("Camera"),
        (
            Move(_("Push in"), "the camera pushes in slowly", "camera"),
            Move(_("Pull out"), "the camera pulls out slowly", "camera"),
            Move(_("Pan left"), "the camera pans left", "camera"),
            Move(_("Pan right"), "the camera pans right", "camera"),
            Move(_("Tilt up"), "the camera tilts up", "camera"),
            Move(_("Tilt down"), "the camera tilts down", "camera"),
            Move(_("Orbit left"), "the camera orbits to the left", "camera"),
            Move(_("Orbit right"), "the camera orbits to the right", "camera"),
            Move(_("Crane up"), "crane shot, the camera rises", "camera"),
            Move(_("Handheld"), "handheld camera, slight shake", "hold"),
            Move(_("Static"), "static camera, locked-off shot", "camera"),
        ),
    )


def _subject() -> Group:
    return Group(
        _("Subject"),
        (
            Move(_("Turns the head"), "turns the head and looks at the camera"),
            Move(_("Smiles"), "smiles gently"),
            Move(_("Walks"), "walks forward"),
            Move(_("Blinks, breathes"), "blinks and breathes naturally"),
            Move(_("Hair in the wind"), "hair moves in the wind"),
            Move(_("Leaves in the wind"), "leaves move in the wind"),
            Move(_("Water ripples"), "the water ripples"),
            Move(_("Slow motion"), "in slow motion"),
        ),
    )


def _light() -> Group:
    return Group(
        _("Light"),
        (
            Move(_("Soft light"), "soft natural light", "light"),
            Move(_("Golden hour"), "golden hour light", "light"),
            Move(_("Neon"), "flickering neon light", "light"),
            Move(_("Candle light"), "flickering candle light", "light"),
            Move(_("Clouds pass"), "shadows of clouds pass by"),
            Move(_("Fog drifts"), "light fog drifts by"),
            Move(_("Lens flare"), "a subtle lens flare"),
        ),
    )
