"""What comes out of the process that makes clips: which frames, in which order, in which colours."""

from pathlib import Path
from threading import Event
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from generation.services import clip_making
from generation.services.clip_making import Made, Part, make
from generation.services.media import NotAVideo, check_video
from tests.generation.numbered import film, grey_of, near, seen

COUNT = 24
GREYS = [grey_of(number) for number in range(COUNT)]


class Workshop:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out, self.poster = folder / "out.mp4", folder / "poster.jpg"

    def source(self, name: str, greys: list[int], **values: Any) -> str:
        path = self.folder / name
        path.write_bytes(film(greys, **values))
        return str(path)

    def make(self, kind: str, *parts: Part, **options: Any) -> Made:
        if kind in ("gif", "webp"):
            self.out = self.folder / f"out.{kind}"
        return make(kind, parts, options, out=self.out, poster=self.poster, given_up=Event())

    def seen(self) -> list[int]:
        return seen(self.out.read_bytes())


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def source(shop: Workshop) -> str:
    return shop.source("a.mp4", GREYS, keyframes=7)


@pytest.mark.parametrize(("start", "end"), [(0, COUNT), (3, 9), (7, 8), (13, None), (22, COUNT)])
def test_trimming_keeps_exactly_these_frames(shop: Workshop, source: str, start: int, end: int | None) -> None:
    made = shop.make("trim", Part(source, start, end))

    assert near(shop.seen(), GREYS[start:end])
    assert (made.frames, made.fps, made.width, made.height) == (len(GREYS[start:end]), 8.0, 96, 64)
    with Image.open(shop.poster) as poster:
        assert abs(poster.convert("L").getpixel((40, 30)) - GREYS[start]) <= 4  # type: ignore[operator]


def test_what_is_made_passes_the_checks_of_stored_videos_and_plays_from_its_first_bytes(
    shop: Workshop, source: str
) -> None:
    made = shop.make("trim", Part(source))
    facts = check_video(shop.out)

    assert (facts.frames, facts.fps, facts.looks) == (COUNT, 8.0, made.looks)
    content = shop.out.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("loops", [1, 2])
def test_back_and_forth_shows_neither_end_twice(shop: Workshop, source: str, loops: int) -> None:
    shop.make("boomerang", Part(source, 2, 9), loops=loops)

    there = GREYS[2:9]
    assert near(shop.seen(), (there + there[-2:0:-1]) * loops)


@pytest.mark.parametrize("frames", [1, 2])
def test_back_and_forth_of_hardly_any_frames_is_what_there_is(shop: Workshop, source: str, frames: int) -> None:
    shop.make("boomerang", Part(source, 4, 4 + frames), loops=1)

    assert near(shop.seen(), GREYS[4 : 4 + frames])


def test_a_cut_puts_one_after_the_other(shop: Workshop, source: str) -> None:
    shop.make("join", Part(source, 0, 5), Part(source, 15, 20), Part(source, 2, 3), crossfade_s=0)

    assert near(shop.seen(), [*GREYS[:5], *GREYS[15:20], GREYS[2]])


def test_a_crossfade_mixes_step_by_step(shop: Workshop) -> None:
    dark, light = shop.source("d.mp4", [40] * 10), shop.source("l.mp4", [200] * 10)
    made = shop.make("join", Part(dark), Part(light), crossfade_s=0.5)

    mixed = [40 + 160 * step / 5 for step in (1, 2, 3, 4)]
    assert near(shop.seen(), [*[40] * 6, *mixed, *[200] * 6])
    assert made.frames == 16


def test_a_part_shorter_than_its_two_crossfades_gives_each_frame_to_one_of_them(shop: Workshop) -> None:
    dark, short, light = (
        shop.source(name, greys) for name, greys in (("d", [40] * 10), ("s", [120] * 5), ("l", [200] * 10))
    )
    shop.make("join", Part(dark), Part(short), Part(light), crossfade_s=0.5)

    first = [40 + 80 * step / 5 for step in (1, 2, 3, 4)]
    assert near(shop.seen(), [*[40] * 6, *first, 160, *[200] * 9])


def test_others_are_fitted_into_the_size_and_the_rate_of_the_first(shop: Workshop, source: str) -> None:
    tall = shop.source("tall.mp4", [100, 110, 120, 130], width=64, height=128, rate=4)
    quick = shop.source("quick.mp4", [200, 205, 210, 215], width=192, height=128, rate=16)
    made = shop.make("join", Part(source, 0, 2), Part(tall), Part(quick), crossfade_s=0)

    slow = [100, 100, 110, 110, 120, 120, 130, 130]
    assert near(shop.seen(), [*GREYS[:2], *slow, 200, 210])
    assert (made.width, made.height, made.fps) == (96, 64, 8.0)
    with av.open(str(shop.out)) as file:
        frames = [frame.to_ndarray(format="gray") for frame in file.decode(video=0)]
    assert frames[3][32, 48] > 90
    assert frames[3][32, 5] < 20  # black beside the tall one
    assert frames[-1][32, 5] > 190  # none beside one of the same shape


def test_smoother_has_a_frame_between_every_two_and_keeps_the_ends(shop: Workshop, source: str) -> None:
    made = shop.make("smooth", Part(source, 0, 10))

    between = [value for number in range(9) for value in (GREYS[number], GREYS[number] + 4.5)] + [GREYS[9]]
    assert near(shop.seen(), between, margin=5)
    assert (made.frames, made.fps) == (19, 16.0)


def test_bigger_is_twice_the_size_with_the_same_frames(shop: Workshop, source: str) -> None:
    made = shop.make("enlarge", Part(source, 3, 9))

    assert near(shop.seen(), GREYS[3:9])
    assert (made.width, made.height) == (192, 128)


def test_bigger_stops_at_the_largest_side(shop: Workshop) -> None:
    made = shop.make("enlarge", Part(shop.source("wide.mp4", [50], width=3000, height=16)))

    assert (made.width, made.height) == (4096, 20)


@pytest.mark.parametrize(("kind", "name"), [("gif", "GIF"), ("webp", "WEBP")])
def test_moving_pictures_have_the_right_frames_size_and_time(shop: Workshop, source: str, kind: str, name: str) -> None:
    made = shop.make(kind, Part(source, 0, 16), width=64, fps=4)

    with Image.open(shop.out) as picture:
        assert (picture.format, picture.n_frames, picture.size) == (name, 8, (64, 42))  # type: ignore[attr-defined]
        greys, shown = [], 0
        for number in range(8):
            picture.seek(number)
            greys.append(picture.convert("L").getpixel((32, 21)))
            shown += picture.info["duration"]
        assert picture.info["loop"] == 0
    assert near(greys, GREYS[:16:2], margin=6)  # type: ignore[arg-type]
    assert abs(shown - 2000) <= 20
    assert (made.frames, made.fps) == (8, 4.0)


def test_a_moving_picture_is_never_larger_or_quicker_than_its_video(shop: Workshop, source: str) -> None:
    made = shop.make("gif", Part(source), width=480, fps=25)

    assert (made.width, made.frames, made.fps) == (96, COUNT, 8.0)


# --- sound --------------------------------------------------------------------------------------------------------


def loudness(path: Path, seconds: float, rate: int = 48_000) -> list[float]:
    """The level of each piece of so many seconds."""
    with av.open(str(path)) as file:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    pieces = heard[: int(len(heard) // (rate * seconds) * rate * seconds)].reshape(-1, int(rate * seconds))
    return [float(np.sqrt((piece**2).mean())) for piece in pieces]


def test_trimming_keeps_the_sound_that_belongs_to_the_frames(shop: Workshop) -> None:
    loud = shop.source("loud.mp4", [grey_of(number) for number in range(16)], sound=True)
    made = shop.make("trim", Part(loud, 8, 16))

    levels = loudness(shop.out, 0.25)
    assert made.sound
    assert levels[0] > 0.3  # it gets louder from 0 to 0.7 in the whole
    assert levels == sorted(levels)
    assert len(levels) == 4


def test_joining_keeps_the_sound_only_when_all_have_one(shop: Workshop, source: str) -> None:
    loud = shop.source("loud.mp4", GREYS[:8], sound=True)
    both = shop.make("join", Part(loud), Part(loud), crossfade_s=0.25)
    first, second = loudness(shop.out, 0.875)[:2]
    one = shop.make("join", Part(loud), Part(source), crossfade_s=0)

    assert (both.sound, both.sound_dropped) == (True, False)
    assert abs(first - second) < 0.12
    assert (one.sound, one.sound_dropped) == (False, True)
    with av.open(str(shop.out)) as file:
        assert not file.streams.audio


# --- limits -------------------------------------------------------------------------------------------------------


def test_what_would_be_too_long_is_refused_before_it_is_made(shop: Workshop, source: str) -> None:
    with pytest.raises(NotAVideo) as refused:
        shop.make("boomerang", Part(source), loops=60)
    assert refused.value.code == "too_long"
    assert not shop.out.exists()


def test_frames_that_the_video_does_not_have_are_refused(shop: Workshop, source: str) -> None:
    with pytest.raises(NotAVideo) as refused:
        shop.make("trim", Part(source, COUNT))
    assert refused.value.code == "bad_range"


@pytest.mark.parametrize("content", [b"", b"<html>" * 99, film(GREYS)[:2000]])
def test_a_damaged_source_is_refused_and_harms_nobody(shop: Workshop, content: bytes) -> None:
    (shop.folder / "bad.mp4").write_bytes(content)

    with pytest.raises(NotAVideo) as refused:
        shop.make("trim", Part(str(shop.folder / "bad.mp4")))
    assert refused.value.code == "damaged"


def test_a_clip_that_nobody_wants_any_more_is_given_up(
    shop: Workshop, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_making, "_LOOK_S", 0.02)
    given_up = Event()
    given_up.set()

    with pytest.raises(clip_making.Abandoned):
        make("smooth", [Part(source)], {}, out=shop.out, poster=shop.poster, given_up=given_up)
    assert not running_workers()


def running_workers() -> list[str]:
    """The command lines of our children that make clips; this process may have others."""
    pids = " ".join(file.read_text() for file in Path("/proc/self/task").glob("*/children")).split()
    commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids]
    return [command for command in commands if clip_making.WORKER in command]
