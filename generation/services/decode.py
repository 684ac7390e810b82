"""Decode one picture from outside, in a process of its own: `python -m generation.services.decode SOURCE FOLDER ...`.

Writes FOLDER/kept and FOLDER/thumbnail and prints one line of JSON. It runs without settings, secrets or Django, so a
decoder that is broken into finds nothing, and its limits end it without harm to a web process.
"""

import argparse
import io
import json
import resource
import sys
import warnings
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms

FORMATS = ("JPEG", "PNG", "WEBP")
MIN_SIDE, MAX_SIDE = 64, 8192
MAX_PIXELS = 40_000_000
# Far more than any model renders. Photos as PNG grow fast and are slow to write.
KEPT_SIDE = {"JPEG": 4096, "PNG": 2560}
THUMBNAIL_SIDE = 512
MAX_OUTPUT_BYTES = 128 * 1024 * 1024

_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(source: Path, folder: Path) -> dict[str, Any]:
    """Keep a clean copy and a thumbnail of `source` in `folder`: what they are, or {"refused": code}."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        with Image.open(source, formats=FORMATS) as image:
            refusal = _refusal(image)
            return {"refused": refusal} if refusal else _keep(image, folder)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return {"refused": "too_large_dimensions"}
    except MemoryError:
        return {"refused": "too_complex"}
    except Exception:  # decoders raise anything on a bad file, and it always means the same
        return {"refused": "damaged"}


def _refusal(image: Image.Image) -> str:
    """Why a picture that has not been decoded yet is not taken; empty when it is."""
    # The pixel limit counts one frame: a WebP of 0.6 KB can hold twelve of 16 megapixels. The other pictures in a
    # camera's MPO file are never decoded.
    if image.format != "MPO" and getattr(image, "n_frames", 1) != 1:
        return "animated"
    if max(image.size) > MAX_SIDE or image.width * image.height > MAX_PIXELS:
        return "too_large_dimensions"
    return "too_small" if min(image.size) < MIN_SIDE else ""


def _keep(image: Image.Image, folder: Path) -> dict[str, Any]:
    kind = "PNG" if image.format in ("PNG", "WEBP") else "JPEG"
    image.load()
    turn = _TURNS.get(_orientation(image))
    clean = _flat(_in_srgb(_shrunk(_plain_mode(image), KEPT_SIDE[kind]), image.info.get("icc_profile")))
    if turn is not None:
        clean = clean.transpose(turn)
    # Pasted into a new picture: convert().save() would carry the comment and other metadata along.
    kept = Image.new("RGB", clean.size)
    kept.paste(clean)
    if kind == "JPEG":
        kept.save(folder / "kept", "JPEG", quality=95, subsampling=0)
    else:
        kept.save(folder / "kept", "PNG", compress_level=4)
    width, height = kept.size
    kept.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), reducing_gap=2.0)
    kept.save(folder / "thumbnail", "JPEG", quality=82)
    return {"format": kind, "width": width, "height": height}


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except MemoryError:
        raise
    except Exception:  # a broken EXIF block is common and no reason to refuse the picture
        return 1


def _plain_mode(image: Image.Image) -> Image.Image:
    """In one of the modes that scale well: L, RGB, RGBA, CMYK."""
    if image.mode.startswith(("I", "F")):
        # convert() would clip 16 bits to 255 instead of scaling them.
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    if image.has_transparency_data:
        return image if image.mode == "RGBA" else image.convert("RGBA")
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def kept_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """`size` with sides no longer than `side`, unless the short side would then be too small."""
    scale = min(1.0, max(side / max(size), MIN_SIDE / min(size)))
    return round(size[0] * scale), round(size[1] * scale)


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    size = kept_size(image.size, side)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if not profile:
        return image
    try:
        theirs = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(theirs).lower():
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(image, theirs, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):  # unusable, or for another colour model: colours as they stand
        return image
    return converted or image


def _flat(image: Image.Image) -> Image.Image:
    """In RGB, on white where it was transparent."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _limit(*, memory_mb: int, cpu_s: int) -> None:
    """Bound this process; the soft CPU limit ends it, the hard one a second later cannot be caught."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_OUTPUT_BYTES, MAX_OUTPUT_BYTES))
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 1024 * 1024, memory_mb * 1024 * 1024))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--memory-mb", type=int, required=True)
    parser.add_argument("--cpu-s", type=int, required=True)
    given = parser.parse_args()
    _limit(memory_mb=given.memory_mb, cpu_s=given.cpu_s)
    sys.stdout.write(json.dumps(decode(given.source, given.folder)))


if __name__ == "__main__":
    main()
