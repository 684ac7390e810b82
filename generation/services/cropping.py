"""Cut a kept picture to the shape of a video: round the focus, never stretched."""

import io

from django.core.files.storage import default_storage
from PIL import Image

from generation.models import SourceImage

Box = tuple[float, float, float, float]


def crop_box(source: tuple[int, int], target: tuple[int, int], *, focus_x: float = 0.5, focus_y: float = 0.5) -> Box:
    """The largest part of a `source`-sized picture with the shape of `target`: left, top, right, bottom in pixels.

    The focus is a share of the picture, 0 to 1 each way. The part is centred on it as far as the edges let it.
    """
    width, height = source
    scale = min(width / target[0], height / target[1])
    part_width, part_height = min(width, target[0] * scale), min(height, target[1] * scale)
    left = min(max(focus_x * width - part_width / 2, 0.0), width - part_width)
    top = min(max(focus_y * height - part_height / 2, 0.0), height - part_height)
    return left, top, min(left + part_width, width), min(top + part_height, height)


def cropped_png(image: SourceImage, *, width: int, height: int, focus_x: float, focus_y: float) -> bytes:
    """The kept picture as a PNG of exactly `width` x `height`, cropped round the focus. Reads storage; blocks."""
    with default_storage.open(image.key) as file, Image.open(file, formats=("JPEG", "PNG")) as picture:
        box = crop_box(picture.size, (width, height), focus_x=focus_x, focus_y=focus_y)
        resized = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
    out = io.BytesIO()
    # Level 3 takes a third of the time of the default and 7 % more bytes: measured on an 832x480 photograph.
    resized.save(out, "PNG", compress_level=3)
    return out.getvalue()
