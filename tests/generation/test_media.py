"""Videos from outside: what is taken, what is refused, and the small files made of them."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from generation.services.media import MediaTrouble, NotAVideo, check_video, derive


def video(
    path: Path,
    *,
    width: int = 320,
    height: int = 240,
    frames: int = 32,
    rate: str = "16",
    codec: str = "libx264",
    container: str = "mp4",
    noise: bool = False,
) -> Path:
    """A real video whose frames differ."""
    with av.open(
        str(path), "w", format=container, options={"movflags": "+faststart"} if container == "mp4" else {}
    ) as out:
        stream: Any = out.add_stream(codec, rate=Fraction(rate))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.options = {"preset": "ultrafast"}
        chance = np.random.default_rng(1)
        for number in range(frames):
            picture = np.full((height, width, 3), number * 5 % 256, np.uint8)
            if noise:
                picture = chance.integers(0, 255, (height, width, 3), dtype=np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def test_a_good_video_is_measured(tmp_path: Path) -> None:
    facts = check_video(video(tmp_path / "v.mp4"))

    assert (facts.width, facts.height, facts.frames, facts.fps, facts.duration_s) == (320, 240, 32, 16.0, 2.0)


@pytest.mark.parametrize(("size", "poster_size", "loop_size"), [
    ((1280, 720), (960, 540), (320, 180)),
    ((480, 832), (480, 832), (184, 320)),
    ((64, 64), (64, 64), (64, 64)),
])  # fmt: skip
def test_poster_and_loop_are_small_and_keep_the_aspect(
    tmp_path: Path, size: tuple[int, int], poster_size: tuple[int, int], loop_size: tuple[int, int]
) -> None:
    source = video(tmp_path / "v.mp4", width=size[0], height=size[1])
    derive(source, poster=tmp_path / "p.jpg", loop=tmp_path / "l.mp4")

    poster = Image.open(tmp_path / "p.jpg")
    assert (poster.format, poster.size) == ("JPEG", poster_size)
    loop = check_video(tmp_path / "l.mp4")
    assert (loop.width, loop.height, loop.frames, loop.fps) == (*loop_size, 16, 8.0)
    content = (tmp_path / "l.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_the_loop_of_the_wildest_picture_stays_small_and_short(tmp_path: Path) -> None:
    source = video(tmp_path / "v.mp4", width=640, height=640, frames=200, noise=True)
    derive(source, poster=tmp_path / "p.jpg", loop=tmp_path / "l.mp4")

    assert (tmp_path / "l.mp4").stat().st_size < 400_000
    assert check_video(tmp_path / "l.mp4").duration_s <= 6


def test_a_video_with_sound_in_h265_is_taken_and_its_loop_is_silent_h264(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "v.mp4"), "w") as out:
        moving: Any = out.add_stream("libx265", rate=16)
        moving.width, moving.height, moving.pix_fmt = 128, 96, "yuv420p"
        moving.codec_context.options = {"preset": "ultrafast", "x265-params": "log-level=none"}
        sound: Any = out.add_stream("aac", rate=44_100, layout="mono")
        for number in range(17):
            picture = np.full((96, 128, 3), number * 9 % 256, np.uint8)
            out.mux(moving.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for number in range(43):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate, silence.pts = 44_100, number * 1024
            out.mux(sound.encode(silence))
        out.mux(moving.encode(None))
        out.mux(sound.encode(None))

    facts = derive(tmp_path / "v.mp4", poster=tmp_path / "p.jpg", loop=tmp_path / "l.mp4")

    assert (facts.frames, facts.fps) == (17, 16.0)
    with av.open(str(tmp_path / "l.mp4")) as loop:
        assert ([stream.codec_context.name for stream in loop.streams]) == ["h264"]


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    facts = derive(video(tmp_path / "v.mp4", frames=1), poster=tmp_path / "p.jpg", loop=tmp_path / "l.mp4")

    assert facts.frames == 1


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"frames": 2001, "rate": "60", "width": 64, "height": 64}, "too_long"),
        ({"frames": 61, "rate": "1", "width": 64, "height": 64}, "too_long"),
        ({"codec": "mpeg4"}, "bad_codec"),
        ({"container": "matroska"}, "damaged"),
    ],
)
def test_what_is_no_video_for_us_is_refused(tmp_path: Path, values: dict[str, Any], code: str) -> None:
    with pytest.raises(NotAVideo) as refused:
        check_video(video(tmp_path / "v.mp4", **values))
    assert refused.value.code == code


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.97])
def test_a_cut_off_video_is_refused(tmp_path: Path, share: float) -> None:
    content = video(tmp_path / "v.mp4", noise=True).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: int(len(content) * share)])

    with pytest.raises(NotAVideo, match=r"damaged|cut off|empty"):
        check_video(tmp_path / "cut.mp4")


def test_a_video_cut_off_between_two_frames_is_refused(tmp_path: Path) -> None:
    source = video(tmp_path / "v.mp4", noise=True)
    with av.open(str(source)) as container:
        ends = sorted((packet.pos or 0) + packet.size for packet in container.demux(video=0) if packet.size)
    (tmp_path / "cut.mp4").write_bytes(source.read_bytes()[: ends[-3]])

    with pytest.raises(NotAVideo, match="cut off"):
        check_video(tmp_path / "cut.mp4")


@pytest.mark.parametrize(
    "content", [b"", b"<html>404</html>" * 100, b"#EXTM3U\n/etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n"]
)
def test_text_and_playlists_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.mp4").write_bytes(content)

    with pytest.raises(NotAVideo):
        check_video(tmp_path / "v.mp4")


def test_damaged_bytes_never_pass_and_never_crash_the_caller(tmp_path: Path) -> None:
    content = bytearray(video(tmp_path / "v.mp4", noise=True, frames=8).read_bytes())
    chance = np.random.default_rng(5)
    for _ in range(6):
        spoiled = bytearray(content)
        for place in chance.integers(0, 1500, 40):  # the header: sizes, offsets, codec settings
            spoiled[int(place)] = int(chance.integers(0, 256))
        (tmp_path / "bad.mp4").write_bytes(spoiled)
        try:
            facts = check_video(tmp_path / "bad.mp4")
        except NotAVideo:
            continue
        assert facts.frames <= 2000


def test_a_disk_that_cannot_be_written_says_nothing_against_the_video(tmp_path: Path) -> None:
    with pytest.raises(MediaTrouble):
        derive(video(tmp_path / "v.mp4"), poster=tmp_path / "missing" / "p.jpg", loop=tmp_path / "l.mp4")
