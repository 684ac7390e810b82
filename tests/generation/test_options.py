"""What each model would take, cost, and when it could begin."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from generation.errors import BadSetting
from generation.models import Status, VideoModel
from generation.services import options as module
from generation.services.fitting import fitted, nearest_frames, nearest_taken
from generation.services.jobs import JobRequest
from generation.services.options import Option
from gpu.models import GpuConfig, Instance, InstanceState
from gpu.services import policy
from tests import factories
from tests.gpu import machine_rows

S = InstanceState


def options(owner: User, **wish: Any) -> dict[str, Option]:
    request = JobRequest(**{"prompt": "x", "model": "motion-preview"} | wish)
    return {row.model.slug: row for row in module.options(owner, request)}


@pytest.fixture
def cloud(settings: Settings) -> None:
    settings.FAL_KEY = "id:secret"


@pytest.fixture
def renting(settings: Settings, db: None) -> None:
    settings.VASTAI_API_KEY = "key"
    policy.save_policy(values={"gpu_provider": "vastai", "renting": True, "max_machines": 1})


def test_what_is_not_set_up_is_off_and_says_why(person: User, settings: Settings) -> None:
    settings.FAL_KEY = ""
    found = options(person)

    assert {slug: row.ready for slug, row in found.items() if row.runnable} == {"motion-preview": "now"}
    assert "SwarmUI" in found["wan-2-2"].reason
    assert "fal.ai" in found["fal-wan-2-2"].reason


def test_the_cloud_can_begin_now_however_much_waits(person: User, cloud: None) -> None:
    model = VideoModel.objects.get(slug="fal-wan-2-2")
    for _ in range(5):
        factories.job(person, model=model)

    found = options(person)["fal-wan-2-2"]

    assert (found.ready, found.wait_s) == ("now", 0)
    assert found.estimate.usd > 0


def test_a_server_is_free_and_then_busy(person: User) -> None:
    GpuConfig.objects.create(pk=1, swarmui_url="https://gpu.example.com")
    free = options(person)["wan-2-2"]
    factories.job(person, model=factories.wan_model(), status=Status.RENDERING)
    busy = options(person)["wan-2-2"]

    assert (free.ready, free.wait_s) == ("now", 0)
    assert (busy.ready, busy.reason) == ("waiting", "1 video is before it.")
    assert busy.wait_s == pytest.approx(busy.estimate.seconds)


def test_a_gpu_that_has_to_be_rented_is_cold_and_tells_its_minutes(person: User, renting: None) -> None:
    found = options(person)["wan-2-2"]

    assert (found.ready, found.reason) == ("cold", "A GPU is rented for it first.")
    assert found.wait_s == 8 * 60
    assert found.estimate.usd > 0


def test_a_machine_that_boots_is_cold_for_what_is_left_of_its_boot(person: User, renting: None) -> None:
    began = timezone.now() - timedelta(minutes=5)
    machine_rows.instance(S.BOOTING, created_at=began, sent_at=began)

    found = options(person)["wan-2-2"]

    assert found.ready == "cold"
    assert found.wait_s == pytest.approx(180, abs=10)


def test_a_ready_machine_is_priced_by_itself(person: User, renting: None) -> None:
    machine_rows.instance(S.READY, usd_per_hour=Decimal("0.30"))
    dear = options(person)["wan-2-2"].estimate.usd * 2
    Instance.objects.update(usd_per_hour=Decimal("0.60"))

    assert options(person)["wan-2-2"].estimate.usd == pytest.approx(dear, abs=Decimal("0.0001"))


def test_however_many_models_there_are_the_queries_are_the_same(person: User, renting: None, cloud: None) -> None:
    def asked() -> int:
        cache.clear()
        with CaptureQueriesContext(connection) as queries:
            assert len(options(User.objects.get(pk=person.pk))) == VideoModel.objects.count()
        return len(queries)

    before = asked()
    row = factories.wan_model()
    for number in range(10):
        row.pk, row.slug, row.name = None, f"wan-{number}", f"Wan {number}"
        row.save()

    assert asked() == before


def test_mature_models_are_no_options_for_those_who_may_not_use_them(person: User, staff: User) -> None:
    VideoModel.objects.filter(slug="wan-2-2").update(rating="mature")

    assert "wan-2-2" not in options(person)
    assert "wan-2-2" in options(staff)


def test_the_named_model_must_take_the_settings_and_others_get_them_as_near_as_they_go(
    person: User, cloud: None
) -> None:
    found = options(person, num_frames=32, fps=16, size="832x480")

    assert found["fal-wan-2-2"].settings.frames == 32
    assert found["fal-kling-2-5-turbo"].settings.frames == 121  # it makes 5 or 10 seconds
    assert found["fal-kling-2-5-turbo"].settings.width == 1280
    with pytest.raises(BadSetting):
        options(person, num_frames=9999)


class TestFitting:
    def test_the_same_length_at_another_speed_is_another_number_of_frames(self, db: None) -> None:
        ltx, wan = VideoModel.objects.get(slug="fal-ltx-2"), factories.wan_model()
        request = JobRequest(prompt="x", num_frames=81, steps=4, cfg_scale=2.0)

        found = fitted(ltx, request, asked=wan)

        assert (found.num_frames, found.fps) == (129, 25)  # 5.06 s, in steps of 8
        assert (found.steps, found.cfg_scale) == (None, None)

    @pytest.mark.parametrize(("asked", "made"), [(1, 5), (33, 33), (35, 33), (36, 37), (999, 121)])
    def test_frames_are_the_nearest_that_the_model_makes(self, db: None, asked: int, made: int) -> None:
        assert nearest_frames(factories.wan_model(), asked) == made

    @pytest.mark.parametrize(("slug", "size"), [("motion-preview", "720x400"), ("fal-kling-2-5-turbo", "1280x720")])
    def test_a_size_is_kept_when_it_is_taken_and_else_its_shape_is(self, db: None, slug: str, size: str) -> None:
        assert nearest_taken(VideoModel.objects.get(slug=slug), 720, 400) == size
