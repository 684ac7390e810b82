"""The side of preview frames that opens foreign pictures; runs in a limited process and loads no Django."""

import io

from PIL import Image

from generation.limits import die_with_parent, limit_resources

SIDE = 512
MAX_PIXELS = 4_000_000
MEMORY_BYTES = 1024**3
# The process encodes a frame every few seconds for as long as its dispatcher lives.
CPU_SECONDS = 24 * 3600


class NotAPicture(Exception):
    """The frame could not be read."""


def limit(parent_pid: int) -> None:
    die_with_parent(parent_pid)
    limit_resources(memory_bytes=MEMORY_BYTES, cpu_seconds=CPU_SECONDS)


def encode(picture: bytes) -> bytes:
    """A small JPEG of the first frame of an untrusted picture. Raises NotAPicture."""
    try:
        with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG", "WEBP")) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise NotAPicture
            frame = opened.convert("RGB")
    except (OSError, ValueError, MemoryError, SyntaxError, Image.DecompressionBombError) as exc:
        # Pillow's readers raise all of these for damaged files.
        raise NotAPicture from exc
    frame.thumbnail((SIDE, SIDE))
    clean = Image.new("RGB", frame.size)
    clean.paste(frame)
    out = io.BytesIO()
    clean.save(out, "JPEG", quality=75)
    return out.getvalue()
