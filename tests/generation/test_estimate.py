"""What is foretold of a video, and how it comes to be right."""

from datetime import timedelta
from decimal import Decimal
from statistics import median
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from generation.models import Attempt, Status, VideoJob, VideoModel
from generation.services.accuracy import accuracy
from generation.services.estimate import Estimate, estimate_for, estimate_job, queue_seconds
from generation.services.jobs import JobRequest, check_settings
from gpu.models import GpuConfig, InstanceState
from gpu.services import policy
from tests import factories
from tests.gpu import machine_rows

S = InstanceState


def foretold(model: VideoModel, **settings: Any) -> Estimate:
    """As a submit would see it, without what is remembered for half a minute."""
    cache.clear()
    wish = JobRequest(prompt="x", **{"size": model.sizes[0]} | settings)
    return estimate_for(model, check_settings(model, wish))


def made(owner: User, model: VideoModel, seconds: float, **values: Any) -> Attempt:
    """One video that was made in `seconds`; `estimate` and money are the job's, `machine` and `endpoint` its own."""
    own = {name: values.pop(name) for name in ("machine", "endpoint") if name in values}
    width, height = (int(side) for side in model.sizes[0].split("x"))
    shape = {"width": width, "height": height, "frames": model.default_frames, "steps": model.default_steps}
    job = factories.job(
        owner, model=model, image=None, status=Status.SUCCEEDED, video_key="out/v.mp4", **shape | values
    )
    stored = Attempt.Outcome.STORED
    timings = {"rendering": seconds * 0.9, "finishing": seconds * 0.1}
    return factories.attempt(job, outcome=stored, timings=timings, ended_at=timezone.now(), **own)


@pytest.fixture
def own_server(db: None) -> None:
    GpuConfig.objects.create(pk=1, swarmui_url="https://gpu.example.com")


@pytest.fixture
def renting(settings: Settings, db: None) -> None:
    settings.VASTAI_API_KEY = "key"
    policy.save_policy(values={"gpu_provider": "vastai", "renting": True, "max_machines": 1})


class TestSeconds:
    def test_without_history_the_catalogue_is_believed_within_a_wide_range(self, own_server: None) -> None:
        model = factories.wan_model()

        found = foretold(model)

        assert (found.seconds, found.basis, found.samples) == (model.typical_seconds, "catalogue", 0)
        assert found.seconds_low < found.seconds / 1.5 < found.seconds * 2 < found.seconds_high

    def test_a_wrong_figure_in_the_catalogue_is_corrected_by_a_few_videos(self, person: User, own_server: None) -> None:
        model = factories.wan_model()
        truth = model.typical_seconds * 4
        errors = []
        for number in range(5):
            errors.append(abs(foretold(model).seconds / truth - 1))
            made(person, model, truth * (0.95 + 0.02 * number))

        assert errors[0] == pytest.approx(0.75)
        assert max(errors[1:]) < 0.06
        assert (foretold(model).basis, foretold(model).samples) == ("history", 5)

    def test_the_range_holds_most_videos_and_narrows(self, person: User, own_server: None) -> None:
        model = factories.wan_model()
        made(person, model, 100)
        first = foretold(model)
        for number in range(19):
            made(person, model, 90 + number)
        later = foretold(model)

        assert later.seconds_high - later.seconds_low < (first.seconds_high - first.seconds_low) / 3
        assert later.seconds_low < 91
        assert later.seconds_high > 107

    def test_videos_of_the_same_size_and_steps_say_more_than_others(self, person: User, own_server: None) -> None:
        model = factories.wan_model()
        for _ in range(3):
            made(person, model, 100)
            # Four times the pixels took nine times as long: more than in proportion.
            made(person, model, 900, width=832 * 2, height=480 * 2)

        assert foretold(model).seconds == pytest.approx(100)

    def test_the_bias_of_a_size_that_is_not_in_proportion_is_measured_and_removed(
        self, person: User, own_server: None
    ) -> None:
        model = factories.wan_model()
        for factor in (0.5, 0.6, 0.7, 1.0, 1.2, 1.5):
            made(person, model, 100 * factor**1.5, frames=round(81 * factor), width=832, height=480, steps=3)

        # One more step than was ever seen: the work grows by a third, the time by a third to the power of 1.5.
        found = foretold(model)

        assert found.seconds == pytest.approx(100 * (4 / 3) ** 1.5, rel=0.05)

    def test_cfg_above_one_counts_as_twice_the_steps(self, own_server: None) -> None:
        model = factories.wan_model()

        assert foretold(model, cfg_scale=3.5).seconds == foretold(model).seconds * 2

    def test_the_steps_of_a_preview_cost_no_time(self, db: None) -> None:
        model = factories.preview_model()

        assert foretold(model, steps=50).seconds == foretold(model).seconds

    def test_another_gpu_is_believed_only_as_long_as_this_one_has_made_too_little(
        self, person: User, renting: None
    ) -> None:
        model = factories.wan_model()
        slow = machine_rows.instance(S.DESTROYED, gpu_name="RTX 3090", ended_at=timezone.now())
        ready = machine_rows.instance(S.READY, gpu_name="RTX 5090")
        for _ in range(5):
            made(person, model, 200, machine=slow.pk)
        before = foretold(model).seconds
        for _ in range(3):
            made(person, model, 50, machine=ready.pk)

        assert [before, foretold(model).seconds] == pytest.approx([200, 50])

    def test_an_old_server_is_forgotten_once_the_new_one_has_made_some(self, person: User, own_server: None) -> None:
        model = factories.wan_model()
        for _ in range(10):
            made(person, model, 300, endpoint="https://old.example.com")
        for _ in range(3):
            made(person, model, 60, endpoint="https://gpu.example.com")

        assert foretold(model).seconds == pytest.approx(60)

    def test_what_was_measured_is_remembered_so_that_a_submit_asks_nothing(
        self, person: User, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        model = factories.preview_model()
        made(person, model, 3)
        foretold(model)
        chosen = check_settings(model, JobRequest(prompt="x"))

        with django_assert_num_queries(0):
            estimate_for(model, chosen)

    @pytest.mark.parametrize(("before", "wait"), [(0, 0), (1, 0), (2, 5), (5, 20)])
    def test_one_waits_only_when_no_lane_is_free(self, before: int, wait: float) -> None:
        assert queue_seconds(before, 10, 2) == wait

    def test_the_wait_is_part_of_the_estimate_of_a_wish(self, person: User, own_server: None) -> None:
        for _ in range(2):
            factories.job(person, model=factories.wan_model())

        found = estimate_job(owner=person, request=JobRequest(prompt="x", model="wan-2-2"))

        assert found.wait_seconds == pytest.approx(2 * found.seconds)
        assert found.total_seconds == pytest.approx(3 * found.seconds)


class TestDollars:
    def test_a_preview_and_an_own_server_cost_nothing_and_say_so(self, own_server: None) -> None:
        preview, own = foretold(factories.preview_model()), foretold(factories.wan_model())

        assert {preview.usd_high, own.usd_high} == {Decimal(0)}
        assert (preview.paid_for, own.paid_for) == ("free", "your own server")

    def test_a_cloud_video_costs_its_price_exactly(self, settings: Settings, db: None) -> None:
        settings.FAL_KEY = "id:secret"
        model = VideoModel.objects.get(slug="fal-wan-2-2-turbo")

        found = foretold(model, size="832x480")

        assert (found.usd_low, found.usd, found.usd_high) == (Decimal("0.05"),) * 3
        assert found.usd_basis == "price"

    def test_a_ready_machine_costs_its_seconds_and_its_overhead(self, person: User, renting: None) -> None:
        model = factories.wan_model()
        ready = machine_rows.instance(S.READY, usd_per_hour=Decimal("0.36"))
        for _ in range(3):
            made(person, model, 100, machine=ready.pk)

        found = foretold(model)

        assert found.usd == Decimal("0.0200")  # 100 s at a hundredth of a cent, and as much again
        assert found.usd_low < Decimal("0.01")
        assert found.usd_high >= found.usd * 2
        assert found.usd_basis == "catalogue"

    def test_overhead_is_learnt_from_machines_that_are_over_and_the_bias_goes(
        self, person: User, renting: None
    ) -> None:
        model = factories.wan_model()
        truth = Decimal("0.05")  # of a video: a cent of its own, and four of boot and idle time
        wrong = self._error(model, truth)
        for _ in range(4):
            over = machine_rows.instance(
                S.DESTROYED, usd_per_hour=Decimal("0.36"), spent_usd=truth * 3, ended_at=timezone.now()
            )
            for _ in range(3):
                made(person, model, 100, machine=over.pk)
        found = foretold(model)

        assert wrong > 0.5
        assert found.usd == pytest.approx(truth, rel=Decimal("0.05"))
        assert found.usd_basis == "history"

    def _error(self, model: VideoModel, truth: Decimal) -> float:
        machine_rows.instance(S.READY, usd_per_hour=Decimal("0.36"))
        return abs(float(foretold(model).usd / truth) - 1)

    def test_vasts_own_bill_is_believed_above_our_count(self, person: User, renting: None) -> None:
        model = factories.wan_model()
        machine_rows.instance(S.READY, usd_per_hour=Decimal("0.36"))
        over = machine_rows.instance(
            S.DESTROYED, usd_per_hour=Decimal("0.36"), spent_usd=1, charged_usd=Decimal("0.09"), ended_at=timezone.now()
        )
        for _ in range(3):
            made(person, model, 100, machine=over.pk)

        assert foretold(model).usd == Decimal("0.0300")

    def test_a_machine_that_has_to_come_may_cost_its_boot_and_its_idle_time(self, renting: None) -> None:
        cold = foretold(factories.wan_model())
        machine_rows.instance(S.READY, usd_per_hour=Decimal(1))
        warm = foretold(factories.wan_model())

        assert cold.usd_high >= Decimal(8 * 60 + 10 * 60) / 3600
        assert cold.usd_high > warm.usd_high


class TestAccuracy:
    def test_errors_are_told_by_model_and_overall_in_one_query(
        self, person: User, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        wan, preview = factories.wan_model(), factories.preview_model()
        shown = {"seconds": 100, "seconds_low": 80, "seconds_high": 120}
        for real in (90, 100, 200):
            made(person, wan, real, estimate=shown)
        made(person, preview, 50, estimate=shown)

        with django_assert_num_queries(1):
            overall, models = accuracy()

        assert [(row.slug, row.seconds.videos) for row in models] == [("wan-2-2", 3), ("motion-preview", 1)]
        assert models[0].seconds.median_error == pytest.approx(1 / 9)
        assert models[0].seconds.inside == pytest.approx(2 / 3)
        assert models[1].seconds.bias == pytest.approx(1)  # twice too long
        assert overall.seconds.videos == 4

    def test_dollars_count_when_they_are_final_and_not_free(self, person: User, db: None) -> None:
        shown = {"seconds": 1, "usd": 0.03, "usd_low": 0.01, "usd_high": 0.1}
        money = {"direct_usd": Decimal("0.01"), "share_usd": Decimal("0.01")}
        wan = factories.wan_model()
        made(person, wan, 1, estimate=shown, **money)
        made(person, wan, 1, estimate=shown, cost_is_final=False, **money)
        made(person, wan, 1, estimate=shown | {"usd": 0})

        overall, _ = accuracy()

        assert (overall.usd.videos, overall.usd.inside) == (1, 1.0)
        assert overall.usd.bias == pytest.approx(0.5)

    def test_old_videos_and_those_without_an_estimate_are_left_out(self, person: User) -> None:
        old = made(person, factories.wan_model(), 5, estimate={"seconds": 1})
        Attempt.objects.filter(pk=old.pk).update(ended_at=timezone.now() - timedelta(days=31))
        made(person, factories.wan_model(), 5)

        overall, models = accuracy()

        assert (overall.seconds.videos, overall.seconds.median_error, models) == (0, None, [])

    def test_estimates_that_are_lived_with_become_right(self, person: User, own_server: None) -> None:
        """A catalogue that says 71 s of a model that takes 240: the median error of the last ten is small."""
        model = factories.wan_model()
        for number in range(20):
            found = foretold(model)
            made(person, model, 240 + number % 5 * 6, estimate=found.as_json())
        errors = [
            abs(job.estimate["seconds"] / sum(job.attempts.get().timings.values()) - 1)
            for job in VideoJob.objects.order_by("-created_at")[:10]
        ]
        overall, _ = accuracy()

        assert median(errors) < 0.05
        assert abs(overall.seconds.bias or 0) < 0.05
        assert (overall.seconds.inside or 0) > 0.8
