"""One motion preview in a process of its own: `python -m generation.engines.preview_worker`.

In on stdin: one line of JSON (Job), then the picture's bytes; stdin stays open as long as the answer is wanted.
Out on stdout: lines of JSON: {"phase", "fraction", "preview"?}, at the end {"done": {...}} or {"error", "message"}.
"""

import base64
import io
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

from generation.limits import die_at_end_of, die_with_parent, limit_resources

MEMORY_BYTES = 3 * 1024**3
CPU_SECONDS = 600
PREVIEW_EVERY = 16  # frames
PREVIEW_SIDE = 320
# Frames are sampled from a picture twice as large, so that movement by less than a pixel does not blur and sharpen
# the frame in turn; the light sharpening takes back what averaging two of its pixels loses.
OVERSAMPLING = 2

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What the parent asks for."""

    parent_pid: int
    picture_bytes: int
    prompt: str
    width: int
    height: int
    frames: int
    fps: str  # "16" or "30000/1001"
    seed: int
    out: str  # a path


class BadPicture(Exception):
    """The picture cannot be used."""


def main() -> None:
    source = sys.stdin.buffer
    job = Job(**json.loads(source.readline()))
    die_with_parent(job.parent_pid)
    picture = source.read(job.picture_bytes)
    die_at_end_of(source)
    limit_resources(memory_bytes=MEMORY_BYTES, cpu_seconds=CPU_SECONDS)
    try:
        report({"done": render(job, picture, report)})
    except BadPicture as exc:
        report({"error": "bad_picture", "message": str(exc)})
    except MemoryError:
        report({"error": "too_large", "message": "The video is too large for the motion preview."})


def report(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def render(job: Job, picture: bytes, report: Report) -> dict[str, Any]:
    """Write the video to `job.out`; what was understood of the prompt."""
    from generation.engines import preview_motion, preview_words

    moves = preview_words.parse(job.prompt)
    fps = Fraction(job.fps)
    path = preview_motion.homographies(
        moves, width=job.width, height=job.height, frames=job.frames, fps=fps, seed=job.seed
    )
    planes = _planes(picture, job.width, job.height)
    with open(job.out, "wb") as file:
        _encode(_frames(planes, path, job), job, fps, file, report)
    return {"moves": [{"axis": m.axis.value, "amount": m.amount, "start": m.start, "end": m.end} for m in moves]}


def _planes(picture: bytes, width: int, height: int) -> list[Any]:
    """The picture as Y, Cb and Cr in BT.709, enlarged for sampling; chroma at half the size of luma."""
    import av
    from PIL import Image, ImageFilter

    try:
        with Image.open(io.BytesIO(picture), formats=("PNG", "JPEG", "WEBP")) as opened:
            image = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError) as exc:
        raise BadPicture("The picture cannot be read.") from exc
    if image.size != (width, height):
        raise BadPicture(f"The picture is {image.size[0]}x{image.size[1]}, not {width}x{height}.")
    large = image.resize((width * OVERSAMPLING, height * OVERSAMPLING), Image.Resampling.LANCZOS)
    large = large.filter(ImageFilter.UnsharpMask(radius=1.5, percent=45, threshold=0))
    maker: Any = av.VideoFrame  # from_image has no types
    frame = maker.from_image(large).reformat(
        format="yuv420p",
        src_colorspace="ITU709",
        dst_colorspace="ITU709",
        src_color_range="JPEG",
        dst_color_range="MPEG",
    )
    return [_plane_image(plane) for plane in frame.planes]


def _plane_image(plane: Any) -> Any:
    import numpy as np
    from PIL import Image

    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return Image.fromarray(np.ascontiguousarray(rows[:, : plane.width]))


def _frames(planes: list[Any], path: list[Any], job: Job) -> Iterator[Any]:
    """The video's frames, one at a time."""
    import av
    import numpy as np
    from PIL import Image

    luma_to_large = np.diag([OVERSAMPLING, OVERSAMPLING, 1.0])
    # H.264's chroma samples sit on the left one of the two luma samples that they belong to, not between them.
    chroma_to_luma = np.array([[2, 0, -0.5], [0, 2, 0], [0, 0, 1]])
    large_to_chroma = np.linalg.inv(chroma_to_luma)
    half = (job.width // 2, job.height // 2)
    for matrix in path:
        luma = luma_to_large @ matrix
        chroma = large_to_chroma @ luma @ chroma_to_luma
        parts = [
            np.asarray(
                plane.transform(size, Image.Transform.PERSPECTIVE, _coefficients(m), Image.Resampling.BILINEAR)
            ).reshape(-1)
            for plane, size, m in zip(
                planes, [(job.width, job.height), half, half], [luma, chroma, chroma], strict=True
            )
        ]
        yield av.VideoFrame.from_ndarray(
            np.concatenate(parts).reshape(job.height * 3 // 2, job.width), format="yuv420p"
        )


def _coefficients(matrix: Any) -> list[float]:
    """Pillow's eight numbers for one homography."""
    return [float(value) for value in (matrix / matrix[2, 2]).reshape(-1)[:8]]


def _encode(frames: Iterator[Any], job: Job, fps: Fraction, file: BinaryIO, report: Report) -> None:
    import av

    # `bitexact`: no library version and no clock in the file, so that the same seed gives the same bytes.
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(file, "w", format="mp4", options=options) as container:
        stream = _stream(container, job, fps)
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, 1 / fps
            container.mux(stream.encode(frame))
            line: dict[str, Any] = {"phase": "rendering", "fraction": (number + 1) / job.frames}
            if number % PREVIEW_EVERY == 0:
                line["preview"] = _thumbnail(frame)
            if number % 4 == 0:
                report(line)
        report({"phase": "finishing", "fraction": 1.0})
        container.mux(stream.encode(None))


def _stream(container: Any, job: Job, fps: Fraction) -> Any:
    stream = container.add_stream("libx264", rate=fps)
    stream.width, stream.height, stream.pix_fmt = job.width, job.height, "yuv420p"
    stream.time_base = 1 / fps
    context = stream.codec_context
    context.time_base = 1 / fps
    context.thread_count = 1
    context.gop_size = max(1, math.ceil(fps))  # a key frame a second: seeking is quick
    context.colorspace, context.color_primaries, context.color_trc, context.color_range = 1, 1, 1, 1  # BT.709, limited
    context.options = {"preset": "veryfast", "crf": "17", "profile": "high"}
    return stream


def _thumbnail(frame: Any) -> str:
    image = frame.to_image()
    image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=75)
    return base64.b64encode(out.getvalue()).decode()


if __name__ == "__main__":
    main()
