"""What becomes of a picture: always upright, opaque sRGB pixels and nothing else."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from generation.services.decode import MIN_SIDE, decode, kept_size
from tests import factories

RED, GREEN = (255, 0, 0), (0, 128, 0)


def encoded(picture: Image.Image, image_format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, image_format, **options)
    return out.getvalue()


def kept(content: bytes, folder: Path) -> Image.Image:
    """The clean copy of `content`, loaded."""
    (folder / "source").write_bytes(content)
    answer = decode(folder / "source", folder)
    assert "refused" not in answer, answer
    with Image.open(folder / "kept") as picture:
        picture.load()
        assert (picture.format, picture.size) == (answer["format"], (answer["width"], answer["height"]))
        return picture


def two_halves(mode: str = "RGB") -> Image.Image:
    """128 x 64: red on the left, green on the right."""
    picture = Image.new("RGB", (128, 64), RED)
    picture.paste(GREEN, (64, 0, 128, 64))
    return picture.convert(mode, palette=Image.Palette.ADAPTIVE)


def near(pixel: Any, colour: tuple[int, int, int], by: int = 6) -> bool:
    return all(abs(a - b) <= by for a, b in zip(pixel, colour, strict=True))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_kept_upright(tmp_path: Path, orientation: int) -> None:
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = two_halves().transpose(turn) if turn is not None else two_halves()

    upright = kept(encoded(lying, "JPEG", exif=exif, quality=95), tmp_path)

    assert upright.size == (128, 64)
    assert near(upright.getpixel((20, 30)), RED)
    assert near(upright.getpixel((110, 30)), GREEN)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_a_broken_exif_block_does_not_spoil_a_picture(tmp_path: Path, exif: bytes) -> None:
    assert kept(encoded(two_halves(), "JPEG", exif=exif), tmp_path).size == (128, 64)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_nothing_but_pixels_is_kept(tmp_path: Path, image_format: str) -> None:
    secret = b"GPS 48.8584 N 2.2945 E"
    exif = Image.Exif()
    exif[0x010E] = secret.decode()
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", secret.decode())
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"comment": secret},
        "PNG": {"pnginfo": text},
        "WEBP": {"xmp": secret, "lossless": True},
    }
    content = encoded(two_halves(), image_format, exif=exif, **options[image_format]) + b"<script>" + secret

    picture = kept(content, tmp_path)

    assert secret in content
    assert secret not in (tmp_path / "kept").read_bytes() + (tmp_path / "thumbnail").read_bytes()
    assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize(
    ("mode", "image_format"),
    [
        ("CMYK", "JPEG"),
        ("RGB", "JPEG"),
        ("P", "PNG"),
        ("RGBA", "PNG"),
        ("RGB", "PNG"),
        ("RGBA", "WEBP"),
        ("RGB", "WEBP"),
    ],
)
def test_colours_survive_every_mode(tmp_path: Path, mode: str, image_format: str) -> None:
    picture = kept(encoded(two_halves(mode), image_format), tmp_path)

    assert picture.mode == "RGB"
    assert near(picture.getpixel((20, 30)), RED)
    assert near(picture.getpixel((110, 30)), GREEN)


@pytest.mark.parametrize(
    ("mode", "image_format"), [("L", "JPEG"), ("L", "PNG"), ("1", "PNG"), ("LA", "PNG"), ("I;16", "PNG")]
)
def test_greys_survive_every_mode(tmp_path: Path, mode: str, image_format: str) -> None:
    white, black = (65535, 0) if mode == "I;16" else (255, 0)
    picture = Image.new(mode, (128, 64), (white, 255) if mode == "LA" else white)
    picture.paste((black, 255) if mode == "LA" else black, (0, 0, 64, 64))

    grey = kept(encoded(picture, image_format), tmp_path)

    assert (near(grey.getpixel((20, 30)), (0, 0, 0)), near(grey.getpixel((110, 30)), (255, 255, 255))) == (True, True)


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    assert near(kept(encoded(Image.new("I;16", (64, 64), 32768), "PNG"), tmp_path).getpixel((5, 5)), (128, 128, 128))


def test_sixteen_bit_colours_are_scaled(tmp_path: Path) -> None:
    rows = (b"\0" + struct.pack(">3H", 65535, 32768, 0) * 64) * 64
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0))
    content += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")

    assert near(kept(content, tmp_path).getpixel((5, 5)), (255, 128, 0))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_transparency_becomes_white(tmp_path: Path, image_format: str) -> None:
    content = encoded(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), image_format)

    assert kept(content, tmp_path).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_becomes_white(tmp_path: Path, mode: str) -> None:
    picture = Image.new(mode, (64, 64), 0)
    content = encoded(picture, "PNG", transparency=(0, 0, 0) if mode == "RGB" else 0)

    assert kept(content, tmp_path).getpixel((5, 5)) == (255, 255, 255)


def test_colours_in_another_profile_are_converted(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"tmp!").replace(b"gXYZ", b"rXYZ").replace(b"tmp!", b"gXYZ")
    green_is_red = swapped.replace(b"\0s\0R\0G\0B", b"\0X\0R\0G\0B")

    picture = kept(encoded(two_halves(), "PNG", icc_profile=green_is_red), tmp_path)

    assert near(picture.getpixel((20, 30)), (0, 255, 0))


@pytest.mark.parametrize(
    "profile", [b"rubbish", b"\0" * 128, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()]
)
def test_an_unusable_profile_is_ignored(tmp_path: Path, profile: bytes) -> None:
    assert kept(encoded(two_halves(), "PNG", icc_profile=profile), tmp_path).getpixel((20, 30)) == RED


def test_the_first_picture_of_a_cameras_multi_picture_file_is_kept(tmp_path: Path) -> None:
    content = encoded(two_halves(), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 64))])

    assert kept(content, tmp_path).size == (128, 64)


@pytest.mark.parametrize(("image_format", "side"), [("JPEG", 4096), ("PNG", 2560)])
def test_a_large_picture_is_kept_smaller_in_the_same_shape(tmp_path: Path, image_format: str, side: int) -> None:
    assert kept(factories.png(5000, 2500, image_format=image_format), tmp_path).size == (side, side // 2)


@settings(deadline=None)
@given(st.integers(64, 8192), st.integers(64, 8192), st.sampled_from([2560, 4096]))
def test_shrinking_keeps_the_shape_and_never_makes_a_picture_too_small(width: int, height: int, side: int) -> None:
    small = kept_size((width, height), side)

    assert min(small) >= MIN_SIDE
    assert max(small) <= side or min(small) == MIN_SIDE
    assert small[0] / small[1] == pytest.approx(width / height, rel=0.01)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_refused_or_kept_clean_but_never_an_error(
    tmp_path: Path, image_format: str, data: st.DataObject
) -> None:
    content = bytearray(factories.png(96, 80, image_format=image_format))
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[at] = data.draw(st.integers(0, 255))
    (tmp_path / "source").write_bytes(content[: data.draw(st.integers(12, len(content)))])

    answer = decode(tmp_path / "source", tmp_path)

    known = {"damaged", "too_complex", "too_small", "too_large_dimensions", "animated"}
    assert answer.get("refused") in known or answer["format"] in ("JPEG", "PNG")


def test_a_bomb_in_a_text_block_is_refused(tmp_path: Path) -> None:
    content = factories.png()
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000)))
    (tmp_path / "source").write_bytes(content[:33] + bomb + content[33:])

    assert decode(tmp_path / "source", tmp_path) == {"refused": "damaged"}
