import io

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from generation.models import SourceImage
from generation.services.intake import crop_box, cropped_png
from tests import factories

SIDES = st.integers(16, 8192)
SHARES = st.floats(0, 1)


@settings(deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, SHARES, SHARES)
def test_a_crop_lies_inside_the_picture_has_the_shape_asked_for_and_touches_two_edges(
    width: int, height: int, to_width: int, to_height: int, focus_x: float, focus_y: float
) -> None:
    left, top, right, bottom = crop_box((width, height), (to_width, to_height), focus_x=focus_x, focus_y=focus_y)

    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert (right - left) / (bottom - top) == pytest.approx(to_width / to_height, rel=1e-6)
    assert right - left == pytest.approx(width) or bottom - top == pytest.approx(height)


@pytest.mark.parametrize(("focus_x", "left"), [(0.0, 0), (0.1, 0), (0.5, 50), (0.4, 30), (0.95, 100), (1.0, 100)])
def test_a_crop_follows_the_focus_up_to_the_edges(focus_x: float, left: float) -> None:
    assert crop_box((200, 100), (64, 64), focus_x=focus_x) == pytest.approx((left, 0, left + 100, 100))


def test_the_middle_is_the_focus_when_none_is_given() -> None:
    assert crop_box((100, 200), (64, 64)) == (0, 50, 100, 150)


def halves(person: User) -> SourceImage:
    """A picture of 400 x 200: red on the left, blue on the right."""
    picture = Image.new("RGB", (400, 200), "red")
    picture.paste("blue", (200, 0, 400, 200))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=95, subsampling=0)
    return factories.source_image(person, key=default_storage.save("in/halves.jpeg", ContentFile(out.getvalue())))


@pytest.mark.parametrize(("focus_x", "colour"), [(0.0, (254, 0, 0)), (1.0, (0, 0, 254))])
def test_the_part_round_the_focus_becomes_a_png_of_exactly_the_size(
    person: User, focus_x: float, colour: tuple[int, int, int]
) -> None:
    content = cropped_png(halves(person), width=96, height=112, focus_x=focus_x, focus_y=0.5)

    with Image.open(io.BytesIO(content)) as png:
        assert (png.format, png.size, png.mode) == ("PNG", (96, 112), "RGB")
        assert png.getpixel((48, 50)) == colour


def test_a_small_picture_is_enlarged_to_the_size(person: User) -> None:
    content = cropped_png(factories.source_image(person), width=832, height=480, focus_x=0.5, focus_y=0.5)

    with Image.open(io.BytesIO(content)) as png:
        assert png.size == (832, 480)
