"""A clip's life: asked for, made once whatever happens, signed, deleted with its files."""

import hashlib
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django import Settings

from generation.errors import ClipRefused, NoVideo, TooManyClips
from generation.models import Clip, Fingerprint, VideoJob
from generation.services import clip_sweeping
from generation.services.clips import MAX_UNFINISHED, Part, delete_clip, make_clip, purge_clip, store_clip
from generation.services.media import MAX_FRAMES
from generation.services.outputs import sweep_orphans
from generation.services.provenance import ALTERED, GENERATED, sign, verify
from generation.services.stored_files import stored
from tests import factories
from tests.generation.numbered import film, finished, grey_of, near, seen
from tests.generation.test_outputs import After, after_put

__all__ = ["after_put"]  # a fixture

State = Clip.State
GREYS = [grey_of(number) for number in range(12)]


@pytest.fixture(scope="module")
def content() -> bytes:
    return film(GREYS)


@pytest.fixture(autouse=True)
def unsigned(settings: Settings) -> None:
    """What signing changes has tests of its own below."""
    settings.PROVENANCE = False


@pytest.fixture
def job(person: User, content: bytes) -> VideoJob:
    return finished(person, content)


def trimmed(job: VideoJob, start: int = 2, end: int = 6) -> Clip:
    return make_clip(owner=job.owner, kind="trim", parts=[Part(job, start, end)])


def run(clip: Clip) -> Clip:
    store_clip(clip_id=str(clip.pk))
    clip.refresh_from_db()
    return clip


def keys() -> list[str]:
    return sorted(key for key, _ in stored("clip"))


def rung_for(task: str = "make_clip") -> list[str]:
    return [row.task["args"][0] for row in OrmQ.objects.all() if task in row.task["func"]]


def rung(task: str = "make_clip") -> int:
    return len(rung_for(task))


def test_only_the_parts_that_are_kept_count_for_the_length(person: User) -> None:
    done = {"status": "succeeded", "video_key": "out/v.mp4"}
    long = factories.job(person, frames=MAX_FRAMES, fps=60, **done)
    end = Part(long, MAX_FRAMES - 10, MAX_FRAMES)
    assert make_clip(owner=person, kind="join", parts=[end, end]).parts.count() == 2
    with pytest.raises(ClipRefused, match="at most"):
        make_clip(owner=person, kind="join", parts=[end, Part(long)])


def test_a_clip_is_queued_made_and_kept_with_what_it_is(job: VideoJob, settings: Settings) -> None:
    clip = trimmed(job)
    assert (clip.state, rung()) == (State.QUEUED, 1)
    run(clip)

    file = default_storage.open(clip.key).read()
    assert near(seen(file), GREYS[2:6])
    assert (clip.state, clip.tries, clip.lease_token, clip.finished_at is not None) == (State.DONE, 1, "", True)
    assert (clip.bytes, clip.sha256) == (len(file), hashlib.sha256(file).hexdigest())
    assert (clip.width, clip.height, clip.frames, clip.fps) == (96, 64, 4, 8.0)
    assert keys() == sorted([clip.key, clip.poster_key])
    assert default_storage.open(clip.poster_key).read(3) == b"\xff\xd8\xff"
    assert Fingerprint.objects.get(clip=clip).sha256 == clip.sha256
    assert list(settings.SPOOL_DIR.iterdir()) == []


def test_a_join_follows_the_order_of_its_parts(person: User, job: VideoJob) -> None:
    other = finished(person, film([200] * 4))
    parts = [Part(other, 0, 2), Part(job, 1, 3), Part(other)]
    clip = run(make_clip(owner=person, kind="join", parts=parts, options={"crossfade_s": 0}))

    assert near(seen(default_storage.open(clip.key).read()), [200] * 2 + GREYS[1:3] + [200] * 4)
    assert clip.options == {"crossfade_s": 0, "parts": 3, "sound": False, "sound_dropped": False}


@pytest.mark.parametrize(("kind", "ending"), [("gif", ".gif"), ("webp", ".webp")])
def test_moving_pictures_are_kept_under_their_own_ending(job: VideoJob, kind: str, ending: str) -> None:
    clip = run(make_clip(owner=job.owner, kind=kind, parts=[Part(job)]))

    assert (clip.state, clip.key.endswith(ending), clip.frames) == (State.DONE, True, 12)


def test_a_task_delivered_twice_makes_one_clip(job: VideoJob) -> None:
    clip = run(trimmed(job))
    done = (clip.finished_at, clip.key)

    assert (run(clip).finished_at, clip.key) == done
    assert clip.tries == 1


def test_a_clip_that_another_worker_holds_is_left_alone(job: VideoJob) -> None:
    clip = trimmed(job)
    held = {"state": State.MAKING, "lease_token": "theirs", "lease_until": timezone.now() + timedelta(seconds=60)}
    Clip.objects.update(**held)

    assert (run(clip).lease_token, clip.tries, keys()) == ("theirs", 0, [])


def test_a_worker_that_died_is_followed_by_another(job: VideoJob) -> None:
    clip = trimmed(job)
    default_storage.save(f"clip/{clip.pk}/1.mp4", ContentFile(b"half of it"))
    past = timezone.now() - timedelta(seconds=1)
    Clip.objects.update(state=State.MAKING, lease_token="dead", lease_until=past, tries=1)
    run(clip)

    assert (clip.state, clip.tries) == (State.DONE, 2)
    assert keys() == sorted([clip.key, clip.poster_key])


def test_a_clip_that_kills_its_worker_each_time_fails(job: VideoJob) -> None:
    clip = trimmed(job)
    past = timezone.now() - timedelta(seconds=1)
    Clip.objects.update(state=State.MAKING, lease_token="dead", lease_until=past, tries=3)

    assert (run(clip).state, clip.error_code, keys()) == (State.FAILED, "making_failed", [])
    assert "could not be made" in clip.error_message


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_worker_that_lost_its_lease_takes_its_files_back(job: VideoJob, after_put: After) -> None:
    clip = trimmed(job)
    until = timezone.now() + timedelta(seconds=60)
    after_put(lambda: Clip.objects.update(lease_token="theirs", lease_until=until))

    assert (run(clip).state, clip.lease_token, keys()) == (State.MAKING, "theirs", [])


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_clip_that_is_deleted_while_it_is_put_leaves_no_file(job: VideoJob, after_put: After) -> None:
    clip = trimmed(job)

    def deleted() -> None:
        delete_clip(clip=clip)
        purge_clip(clip_id=str(clip.pk))

    after_put(deleted)
    store_clip(clip_id=str(clip.pk))

    assert (Clip.objects.count(), keys()) == (0, [])


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_the_lease_is_renewed_while_the_clip_is_made(job: VideoJob, settings: Settings, after_put: After) -> None:
    settings.LEASE_SECONDS = 2
    clip = trimmed(job)
    leases: set[object] = set()

    def slowly() -> None:
        deadline = time.monotonic() + 10
        while len(leases) < 3 and time.monotonic() < deadline:
            leases.add(Clip.objects.get().lease_until)
            time.sleep(0.05)

    after_put(slowly)

    assert (run(clip).state, len(leases)) == (State.DONE, 3)


def test_trouble_with_the_storage_is_tried_again_and_then_said(job: VideoJob) -> None:
    clip = trimmed(job)
    blocked = Path(default_storage.path("clip"))
    blocked.write_text("a file where a folder must be")
    states = [run(clip).state for _ in range(3)]

    assert states == [State.QUEUED, State.QUEUED, State.FAILED]
    assert (clip.error_code, clip.tries) == ("making_failed", 3)


@pytest.mark.parametrize("gone", [
    lambda job: VideoJob.objects.filter(pk=job.pk).update(deleted_at=timezone.now()),
    lambda job: VideoJob.objects.filter(pk=job.pk).update(hidden_at=timezone.now()),
    lambda job: VideoJob.objects.filter(pk=job.pk).delete(),
    lambda job: default_storage.delete(job.video_key),
])  # fmt: skip
def test_a_video_that_is_gone_by_then_fails_the_clip(job: VideoJob, gone: Callable[[VideoJob], Any]) -> None:
    clip = trimmed(job)
    gone(job)

    assert (run(clip).state, clip.error_code) == (State.FAILED, "source_gone")


def test_a_video_that_cannot_be_read_fails_the_clip_with_a_sentence(job: VideoJob) -> None:
    clip = trimmed(job)
    Path(default_storage.path(job.video_key)).write_bytes(b"<html>")

    assert (run(clip).state, clip.error_code) == (State.FAILED, "damaged")
    assert "cannot be read" in clip.error_message


def test_one_worker_is_always_left_for_videos(job: VideoJob, settings: Settings) -> None:
    settings.Q_CLUSTER = settings.Q_CLUSTER | {"workers": 3}
    first, second, third = (trimmed(job) for _ in range(3))
    held = {"state": State.MAKING, "lease_until": timezone.now() + timedelta(seconds=60)}
    Clip.objects.filter(pk__in=[first.pk, second.pk]).update(**held)
    assert run(third).state == State.QUEUED
    Clip.objects.filter(pk=first.pk).update(state=State.QUEUED)
    before = rung()

    assert run(third).state == State.DONE
    assert rung() == before + 1  # for the first one, which waits


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "options", "field"), [
    ("square", {}, "kind"),
    ("trim", {"loops": 1}, "loops"),
    ("boomerang", {"loops": 0}, "loops"),
    ("boomerang", {"loops": 1.5}, "loops"),
    ("boomerang", {"loops": True}, "loops"),
    ("gif", {"width": 5000}, "width"),
    ("gif", {"fps": "12"}, "fps"),
])  # fmt: skip
def test_options_that_a_kind_does_not_take_are_refused(
    job: VideoJob, kind: str, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(ClipRefused) as refused:
        make_clip(owner=job.owner, kind=kind, parts=[Part(job)], options=options)
    assert refused.value.field == field
    assert not Clip.objects.exists()


@pytest.mark.parametrize("crossfade_s", [0.1, 1.1, -1])
def test_a_crossfade_is_none_or_a_fifth_of_a_second_to_one_second(job: VideoJob, crossfade_s: float) -> None:
    with pytest.raises(ClipRefused, match="Give a number from"):
        make_clip(owner=job.owner, kind="join", parts=[Part(job)] * 2, options={"crossfade_s": crossfade_s})


@pytest.mark.parametrize(("start", "end"), [(6, 6), (6, 2), (0, 13), (12, None), (-1, 3)])
def test_a_part_outside_of_its_video_is_refused(job: VideoJob, start: int, end: int | None) -> None:
    with pytest.raises(ClipRefused, match="12 frames"):
        make_clip(owner=job.owner, kind="trim", parts=[Part(job, start, end)])


@pytest.mark.parametrize(("kind", "count"), [("join", 1), ("join", 21), ("trim", 2), ("gif", 0)])
def test_the_number_of_videos_must_suit_the_kind(job: VideoJob, kind: str, count: int) -> None:
    with pytest.raises(ClipRefused) as refused:
        make_clip(owner=job.owner, kind=kind, parts=[Part(job)] * count)
    assert refused.value.field == "parts"


def test_more_than_a_minute_is_refused_at_once(job: VideoJob) -> None:
    long = finished(job.owner, film(GREYS[:2] * 125))
    for kind, parts, options in (("join", [Part(long)] * 2, {}), ("boomerang", [Part(long)], {"loops": 1})):
        with pytest.raises(ClipRefused, match="at most 60 seconds"):
            make_clip(owner=job.owner, kind=kind, parts=parts, options=options)


def test_only_finished_videos_of_ones_own_are_taken(person: User, stranger: User, job: VideoJob) -> None:
    unfinished = factories.job(person)
    hidden = finished(person, film(GREYS[:2]), hidden_at=timezone.now())
    for owner, wanted in ((stranger, job), (person, unfinished), (person, hidden)):
        with pytest.raises(NoVideo):
            make_clip(owner=owner, kind="trim", parts=[Part(wanted)])


def test_a_person_can_have_so_many_unfinished_clips_only(job: VideoJob) -> None:
    Clip.objects.bulk_create(Clip(owner=job.owner, kind="trim") for _ in range(MAX_UNFINISHED))
    with pytest.raises(TooManyClips):
        trimmed(job)
    Clip.objects.filter(pk=Clip.objects.first().pk).update(state=State.FAILED, error_code="x")  # type: ignore[union-attr]

    assert trimmed(job).state == State.QUEUED


# --- looked after -------------------------------------------------------------------------------------------------


def test_the_sweep_rings_for_what_nobody_holds_and_only_once_in_a_while(job: VideoJob) -> None:
    now = timezone.now()
    lost, held, fresh, paused, done = (trimmed(job) for _ in range(5))
    Clip.objects.filter(pk=lost.pk).update(
        state=State.MAKING, lease_token="dead", lease_until=now - timedelta(seconds=1)
    )
    Clip.objects.filter(pk=held.pk).update(state=State.MAKING, lease_token="x", lease_until=now + timedelta(seconds=60))
    Clip.objects.filter(pk=paused.pk).update(lease_until=now + timedelta(seconds=60))
    Clip.objects.filter(pk=done.pk).update(state=State.FAILED, error_code="x")
    Clip.objects.filter(pk=lost.pk).update(created_at=now - timedelta(hours=1))
    OrmQ.objects.all().delete()
    for _ in range(2):
        clip_sweeping.ring_for_clips()

    assert rung_for() == [str(lost.pk)]
    lost.refresh_from_db()
    assert (lost.state, lost.lease_token) == (State.QUEUED, "")
    Clip.objects.filter(pk=fresh.pk).update(created_at=now - timedelta(hours=1))
    clip_sweeping.ring_for_clips()
    assert rung() == 2


def test_deleting_takes_files_and_row_and_is_rung_for_until_done(job: VideoJob) -> None:
    clip, kept = run(trimmed(job)), run(trimmed(job))
    delete_clip(clip=clip)
    OrmQ.objects.all().delete()
    clip_sweeping.ring_for_clips()
    assert rung_for("purge_clip") == [str(clip.pk)]
    for _ in range(2):
        purge_clip(clip_id=str(clip.pk))
        purge_clip(clip_id=str(kept.pk))

    assert list(Clip.objects.all()) == [kept]
    assert keys() == sorted([kept.key, kept.poster_key])
    assert not Path(default_storage.path(f"clip/{clip.pk}")).exists()


def test_files_of_clips_without_a_row_are_swept(job: VideoJob) -> None:
    done, open_one = run(trimmed(job)), trimmed(job)
    lost = [f"clip/{done.pk}/9.mp4", "clip/5e1b4a4e-0000-4000-8000-000000000000/1.mp4", "clip/lost.mp4"]
    wanted = [done.key, done.poster_key, f"clip/{open_one.pk}/1.mp4"]
    for key in [*lost, wanted[2]]:
        default_storage.save(key, ContentFile(b"x"))
    old = time.time() - 25 * 3600
    for key in [*lost, *wanted]:
        os.utime(default_storage.path(key), (old, old))

    assert sweep_orphans() == len(lost)
    assert keys() == sorted(wanted)


# --- signed -------------------------------------------------------------------------------------------------------


@pytest.fixture
def signing(settings: Settings, tmp_path: Path) -> None:
    settings.PROVENANCE = True
    settings.DATA_DIR = tmp_path / "data"


TYPES = {"gif": "image/gif", "webp": "image/webp"}


@pytest.mark.usefixtures("signing")
@pytest.mark.parametrize("kind", ["trim", "gif", "webp", "join"])
def test_a_clip_says_that_ai_made_its_video_and_its_mark_holds(person: User, content: bytes, kind: str) -> None:
    wan = finished(person, content, model=factories.wan_model())
    preview = finished(person, content)
    parts = [Part(preview), Part(wan)] if kind == "join" else [Part(wan)]
    sign([Path(default_storage.path(wan.video_key))], provider="swarmui", model="Wan 2.2")
    clip = run(make_clip(owner=person, kind=kind, parts=parts))
    path = Path(default_storage.path(clip.key))
    marks = verify(path, media_type=TYPES.get(kind, "video/mp4"))

    assert (marks.present, marks.intact, marks.trusted, marks.problems) == (True, True, True, [])
    assert marks.source_type == GENERATED
    assert factories.wan_model().name in marks.model
    assert clip.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.usefixtures("signing")
def test_a_clip_of_a_motion_preview_does_not_claim_to_be_ai(job: VideoJob) -> None:
    clip = run(trimmed(job))

    assert verify(Path(default_storage.path(clip.key))).source_type == ALTERED


@pytest.mark.usefixtures("signing")
def test_nothing_about_the_person_is_in_the_clip(person: User, content: bytes) -> None:
    job = finished(person, content, prompt="my grandmother waves")
    clip = run(trimmed(job))
    file = default_storage.open(clip.key).read().lower()

    for word in ("grandmother", "picture.png", "source-0", "clip-", str(job.pk), str(clip.pk)):
        assert word.encode() not in file
