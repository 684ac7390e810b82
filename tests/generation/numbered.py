"""Finished videos whose frames can be told apart: each is one grey, or one per half."""

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from generation.models import Status, VideoJob
from tests import factories

SOUND_RATE = 44_100


def grey_of(number: int) -> int:
    """The grey of frame `number`: far enough from its neighbours to survive encoding."""
    return 16 + number * 9 % 225


def film(
    greys: Sequence[int], *, width: int = 96, height: int = 64, rate: int = 8, sound: bool = False, keyframes: int = 250
) -> bytes:
    """An H.264 MP4 with one even grey per frame; `sound` is one that gets louder."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream: Any = file.add_stream("libx264", rate=Fraction(rate))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.options = {"preset": "medium", "crf": "10", "g": str(keyframes)}
        track: Any = file.add_stream("aac", rate=SOUND_RATE, layout="mono") if sound else None
        for grey in greys:
            picture = np.full((height, width, 3), grey, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))
        if track:
            count = len(greys) * SOUND_RATE // rate
            tone = np.sin(np.arange(count) / 20) * np.linspace(0, 1, count)
            for place in range(0, count, 1024):
                samples = tone[None, place : place + 1024].astype(np.float32)
                piece = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
                piece.sample_rate, piece.pts = SOUND_RATE, place
                file.mux(track.encode(piece))
            file.mux(track.encode(None))
    return out.getvalue()


def seen(content: bytes) -> list[int]:
    """The grey in the middle of each frame."""
    with av.open(io.BytesIO(content), "r") as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    return [int(picture[picture.shape[0] // 2, picture.shape[1] // 2, 1]) for picture in pictures]


def near(found: Sequence[float], wanted: Sequence[float], margin: float = 3) -> bool:
    return len(found) == len(wanted) and all(abs(a - b) <= margin for a, b in zip(found, wanted, strict=True))


def finished(owner: User, content: bytes, **values: Any) -> VideoJob:
    """A succeeded job whose stored video is `content`, looked at when it was stored."""
    job = factories.job(owner, **values)
    with av.open(io.BytesIO(content), "r") as file:
        stream = file.streams.video[0]
        frames, fps, size = stream.frames, float(stream.average_rate or 0), (stream.width, stream.height)
    job.status, job.progress, job.video_key = Status.SUCCEEDED, 1, f"out/{job.pk}/1.mp4"
    job.width, job.height, job.frames, job.fps = *size, frames, round(fps)
    job.save()
    default_storage.save(job.video_key, ContentFile(content))
    facts = {"width": size[0], "height": size[1], "frames": frames, "fps": fps}
    factories.attempt(job, outcome="stored", ended_at=job.created_at, engine_metadata={"stored": facts})
    return job
