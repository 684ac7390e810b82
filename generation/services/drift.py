"""Whether a video is what was asked for: providers drop settings without a word."""

from collections.abc import Mapping
from typing import Any, Protocol

from django.utils.translation import gettext_noop

from i2v_site.sentences import Sentence

# Encoders round sides up to multiples of 16; a model's own grid is coarser than ours.
SIDE_TOLERANCE = 0.1
ASPECT_TOLERANCE = 0.06
FPS_TOLERANCE = 0.5
SECONDS_TOLERANCE = 0.6

SMOOTHNESS = Sentence(gettext_noop("Frames in between, %(wanted)s a second, were asked for; the video has %(found)s."))
SIZE = Sentence(gettext_noop("%(wanted)s was asked for; the video is %(found)s."))
FRAMES = Sentence(gettext_noop("%(wanted)s frames were asked for; the video has %(found)s."))
SPEED = Sentence(gettext_noop("%(wanted)s frames a second were asked for; the video has %(found)s."))
LENGTH = Sentence(gettext_noop("%(wanted)s seconds were asked for; the video lasts %(found)s."))


class Facts(Protocol):
    """What was measured in the stored file."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def frames(self) -> int: ...
    @property
    def fps(self) -> float: ...


def drift_of(asked: Mapping[str, Any], facts: Facts, metadata: Mapping[str, Any]) -> list[str]:
    """What was asked for and not followed, a sentence each. Pure.

    `asked` is `Attempt.request_sent`; `metadata` is `Attempt.engine_metadata`, whose "drift" holds what the
    provider's own answer showed. Nothing is said about settings that were not sent.
    """
    told = metadata.get("drift", [])
    found = [str(sentence) for sentence in told] if isinstance(told, list) else []
    expects = asked.get("expects")
    if isinstance(expects, dict):
        found += [sentence for check in (_size, _frames, _speed, _length) if (sentence := check(expects, facts))]
    if sentence := _smoothness(asked, facts):
        found.append(sentence)
    return found


def _smoothness(asked: Mapping[str, Any], facts: Facts) -> str:
    """SwarmUI multiplies the speed together with the frames, or does neither."""
    times, fps = asked.get("videoframeinterpolationmultiplier"), asked.get("videofps")
    if not times or not fps or abs(facts.fps - fps * times) <= FPS_TOLERANCE:
        return ""
    return SMOOTHNESS(wanted=fps * times, found=f"{facts.fps:g}")


def _size(expects: Mapping[str, Any], facts: Facts) -> str:
    width, height = expects.get("width"), expects.get("height")
    if not width or not height:
        return ""
    aspect_off = abs((facts.width / facts.height) / (width / height) - 1)
    # A square of a "720p" model may have sides of 720 or the pixels of 1280x720: both are what was asked for.
    wanted = [side for side in (expects.get("shorter_side"), min(width, height)) if side]
    named = "shorter_side" in expects or "exact_size" in expects
    side_off = min(abs(min(facts.width, facts.height) / side - 1) for side in wanted) if named else 0
    if aspect_off <= ASPECT_TOLERANCE and side_off <= SIDE_TOLERANCE:
        return ""
    return SIZE(wanted=f"{width}x{height}", found=f"{facts.width}x{facts.height}")


def _frames(expects: Mapping[str, Any], facts: Facts) -> str:
    wanted = expects.get("frames")
    if not wanted or facts.frames == wanted:
        return ""
    return FRAMES(wanted=wanted, found=facts.frames)


def _speed(expects: Mapping[str, Any], facts: Facts) -> str:
    wanted = expects.get("fps")
    if not wanted or abs(facts.fps - wanted) <= FPS_TOLERANCE:
        return ""
    return SPEED(wanted=wanted, found=f"{facts.fps:g}")


def _length(expects: Mapping[str, Any], facts: Facts) -> str:
    wanted = expects.get("seconds")
    if not wanted or not facts.fps or abs(facts.frames / facts.fps - wanted) <= SECONDS_TOLERANCE:
        return ""
    return LENGTH(wanted=f"{wanted:g}", found=f"{facts.frames / facts.fps:.1f}")
