"""Looking into the bytes of a video."""

import io

import av
import numpy as np
from numpy.typing import NDArray


def frames_of(video: bytes) -> list[NDArray[np.uint8]]:
    with av.open(io.BytesIO(video), "r") as container:
        return [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)]


def fps_of(video: bytes) -> float:
    with av.open(io.BytesIO(video)) as container:
        return float(container.streams.video[0].average_rate or 0)
