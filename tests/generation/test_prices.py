"""What a cloud video costs, by the catalogue that comes with the platform."""

from decimal import Decimal

import pytest

from generation.engines.fal_request import asked, problems
from generation.models import Provider, VideoModel
from generation.services import jobs, prices
from generation.services.prices import price_of
from tests import factories
from tests.generation.fal_driver import a_request

pytestmark = pytest.mark.django_db

# From fal's pages: what is asked for, and what it costs.
TOLD = [
    ("fal-wan-2-2", "832x480", 81, 16, "0.2025"),  # 81 frames count as 5.06 s at 16 a second, $0.04 each
    ("fal-wan-2-2", "832x480", 81, 30, "0.2025"),  # whatever its speed
    ("fal-wan-2-2", "1280x720", 80, 16, "0.40"),
    ("fal-wan-2-2-turbo", "832x480", 81, 16, "0.05"),
    ("fal-wan-2-2-turbo", "640x640", 81, 16, "0.075"),
    ("fal-wan-2-2-turbo", "720x1280", 81, 16, "0.10"),
    ("fal-kling-2-5-turbo", "1280x720", 121, 24, "0.21"),
    ("fal-kling-2-5-turbo", "1280x720", 241, 24, "0.42"),
    ("fal-hailuo-02", "1360x768", 145, 24, "0.27"),
    ("fal-hailuo-02", "912x512", 145, 24, "0.102"),
    ("fal-wan-2-5", "832x480", 121, 24, "0.25"),
    ("fal-wan-2-5", "1920x1088", 241, 24, "1.50"),
]


@pytest.mark.parametrize(("slug", "size", "frames", "fps", "usd"), TOLD)
def test_prices_are_those_of_fals_pages(slug: str, size: str, frames: int, fps: int, usd: str) -> None:
    width, height = jobs.parse_size(size)
    model = VideoModel.objects.get(slug=slug)
    assert price_of(model, width=width, height=height, frames=frames, fps=fps) == Decimal(usd)


@pytest.mark.parametrize(
    ("slug", "size", "frames", "usd"),
    [("fal-seedance-1-pro-fast", (1920, 1088), 121, "0.243"), ("fal-ltx-2", (1280, 720), 121, "0.2016")],
)
def test_prices_by_the_pixel_are_near_the_pages_examples(
    slug: str, size: tuple[int, int], frames: int, usd: str
) -> None:
    model = VideoModel.objects.get(slug=slug)
    found = price_of(model, width=size[0], height=size[1], frames=frames, fps=24)
    assert abs(found / Decimal(usd) - 1) < Decimal("0.03")


def test_what_runs_here_costs_nothing_by_the_video() -> None:
    for model in (factories.preview_model(), factories.wan_model()):
        assert price_of(model, width=832, height=480, frames=81, fps=16) == 0


def test_every_cloud_model_is_complete_and_makes_what_it_offers() -> None:
    rows = list(VideoModel.objects.filter(provider=Provider.FAL))
    assert len(rows) == 7
    for row in rows:
        assert problems(row.parameters) == []
        assert prices.are_tiers(row.price_by_resolution)
        assert all((row.price_seen_on, row.licence_name, row.licence_url, row.prompt_reads_chars))
        assert not row.frame_choices or row.default_frames in row.frame_choices
        for size in row.sizes:
            width, height = jobs.parse_size(size)
            assert (width % 16, height % 16) == (0, 0)
            assert max(width, height) <= row.max_side
            assert width * height <= row.max_pixels
            assert price_of(row, width=width, height=height, frames=row.default_frames, fps=row.default_fps) > 0
        sent = asked(a_request(parameters=row.parameters, frames=row.default_frames, fps=row.default_fps), "https://x")
        assert sent.fields["prompt"] == "the dog runs"
        assert sent.fields[str(row.parameters["image"])] == "https://x"


def test_fixed_lengths_are_sent_as_the_endpoint_writes_them() -> None:
    kling = VideoModel.objects.get(slug="fal-kling-2-5-turbo")
    for frames, duration in ((121, "5"), (241, "10")):
        sent = asked(a_request(parameters=kling.parameters, frames=frames, fps=24), "")
        assert (sent.fields["duration"], sent.expects["seconds"]) == (duration, float(duration))
        assert "seed" not in sent.fields


def test_an_aspect_without_a_name_is_left_to_the_picture() -> None:
    wan = VideoModel.objects.get(slug="fal-wan-2-2")
    shapes = {(832, 480): "16:9", (480, 832): "9:16", (640, 640): "1:1", (960, 704): "auto"}
    for (width, height), name in shapes.items():
        sent = asked(a_request(parameters=wan.parameters, width=width, height=height), "")
        assert sent.fields["aspect_ratio"] == name


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ([], "JSON object"),
        ({"prompt": "prompt"}, "'image' is missing"),
        ({"image": "i", "prompt": "p", "colour": "c"}, "'colour' is no setting"),
        ({"image": "i", "prompt": 5}, "'prompt' must be a field's name"),
        ({"image": "i", "prompt": "p", "seconds": {"field": "d", "as": "hours"}}, "'seconds' must be"),
        ({"image": "i", "prompt": "p", "fixed": []}, "fixed"),
    ],
)
def test_parameters_that_make_no_sense_are_named(parameters: object, found: str) -> None:
    assert any(found in problem for problem in problems(parameters))
