"""Chains of continued videos: their order, their takes, and all of them as one clip."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from generation.errors import ClipRefused
from generation.models import Clip, Status, VideoJob
from generation.pages.storylines import storyline_context
from generation.services.clips import Part, store_clip
from generation.services.storylines import another_take, join_storyline, parts_of
from generation.storyline import storyline_of
from tests import factories
from tests.generation.numbered import film, finished, grey_of, near, seen

GREYS = [grey_of(number) for number in range(10)]


class Chain:
    """Makes videos a minute apart."""

    def __init__(self, owner: User) -> None:
        self.owner, self.made = owner, 0

    def video(self, continues: VideoJob | None = None, at: int | None = None, **values: Any) -> VideoJob:
        self.made += 1
        defaults = {"status": Status.SUCCEEDED, "video_key": f"out/{self.made}.mp4", "progress": 1}
        defaults["created_at"] = timezone.now() + timedelta(minutes=self.made - 1000)
        return factories.job(self.owner, continues=continues, continues_frame=at, **defaults | values)


@pytest.fixture
def chain(person: User) -> Chain:
    return Chain(person)


def order(job: VideoJob) -> list[VideoJob]:
    return [link.job for link in storyline_of(job).links]


def test_the_chain_is_the_same_from_each_of_its_videos(chain: Chain) -> None:
    first = chain.video()
    second = chain.video(first, 5)
    third = chain.video(second)

    for job in (first, second, third):
        assert order(job) == [first, second, third]
    cuts = [(link.next_goes_on, link.cut_frame) for link in storyline_of(second).links]
    assert cuts == [(True, 5), (True, None), (False, None)]
    assert [link.number for link in storyline_of(third).links] == [1, 2, 3]


def test_a_video_alone_is_no_storyline(chain: Chain) -> None:
    job = chain.video()

    assert order(job) == [job]
    assert storyline_context(job) == {}


def test_the_take_with_the_longest_way_to_go_is_taken_then_the_newest_that_succeeded(chain: Chain) -> None:
    first = chain.video()
    long = chain.video(first)
    end = chain.video(long)
    newer = chain.video(first)
    failed = chain.video(long, status=Status.FAILED, error_code="x")

    assert order(first) == [first, long, end]
    assert [link.takes for link in storyline_of(first).links] == [(first,), (long, newer), (end, failed)]


def test_the_take_that_a_person_looks_at_is_the_chosen_one_and_later_ones_say_that_they_are_older(chain: Chain) -> None:
    first = chain.video()
    second = chain.video(first)
    third = chain.video(second)
    fourth = chain.video(third)
    again = chain.video(first)

    story = storyline_of(again)
    assert [link.job for link in story.links] == [first, again, third, fourth]
    assert [link.from_earlier_take for link in story.links] == [False, False, True, False]
    assert [link.take_number for link in story.links] == [1, 2, 1, 1]


def test_a_repetition_of_the_beginning_is_a_take_of_it(chain: Chain) -> None:
    first = chain.video()
    second = chain.video(first)
    again = chain.video(parent=first, image=first.image)
    other = chain.video(parent=first, image=first.image, prompt="something else")

    assert order(again) == [again, second]
    assert storyline_of(second).links[0].takes == (first, again)
    assert order(other) == [other]


def test_deleted_videos_and_those_of_others_are_not_in_it(chain: Chain, stranger: User) -> None:
    first = chain.video()
    second = chain.video(first)
    chain.video(second, deleted_at=timezone.now())
    Chain(stranger).video(second)

    assert order(first) == [first, second]


def test_two_videos_that_continue_each_other_end(chain: Chain) -> None:
    first = chain.video()
    second = chain.video(first)
    VideoJob.objects.filter(pk=first.pk).update(continues=second)
    first.refresh_from_db()

    assert len(order(first)) <= 100


@pytest.mark.parametrize("length", [2, 12])
def test_a_long_chain_takes_no_more_queries_than_a_short_one(chain: Chain, length: int) -> None:
    job = chain.video()
    for _ in range(length - 1):
        job = chain.video(job)
        chain.video(job.continues)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert len(storyline_of(job).links) == length
    assert len(queries) == 5


def test_another_take_has_the_same_start_and_a_new_seed(chain: Chain, person: User) -> None:
    first = chain.video()
    second = chain.video(first, 4, prompt="it turns round", seed=7)
    take = another_take(job=second)

    assert (take.continues, take.continues_frame, take.image_id) == (first, 4, second.image_id)
    assert (take.prompt, take.status) == ("it turns round", Status.QUEUED)
    assert take.seed != second.seed
    assert storyline_of(take).links[1].takes == (second, take)


# --- joined -------------------------------------------------------------------------------------------------------


def test_all_are_joined_without_the_frame_that_two_of_them_share(person: User) -> None:
    first = finished(person, film(GREYS))
    second = finished(person, film([GREYS[6], 190, 200, 210]), continues=first, continues_frame=6)
    third = finished(person, film([210, 100]), continues=second)
    clip = join_storyline(owner=person, job=first)
    store_clip(clip_id=str(clip.pk))

    clip.refresh_from_db()
    assert near(seen(default_storage.open(clip.key).read()), [*GREYS[:7], 190, 200, 210, 100])
    assert [part.job for part in clip.parts.all()] == [first, second, third]


def test_joined_is_what_is_finished_up_to_the_first_that_is_not(chain: Chain) -> None:
    first = chain.video()
    second = chain.video(first, 3)
    third = chain.video(second, status=Status.RENDERING)

    story = storyline_of(third)
    assert (story.can_be_joined, story.is_whole) == (True, False)
    assert parts_of(story) == [Part(first, 0, 3), Part(second)]


def test_a_video_that_is_left_at_its_first_frame_is_left_out(chain: Chain) -> None:
    first = chain.video()
    second = chain.video(first, 0)
    third = chain.video(second, 2)

    assert parts_of(storyline_of(third)) == [Part(second, 0, 2), Part(third)]


def test_one_finished_video_cannot_be_joined(chain: Chain, person: User) -> None:
    first = chain.video()
    chain.video(first, status=Status.QUEUED)

    with pytest.raises(ClipRefused, match="no two finished videos"):
        join_storyline(owner=person, job=first)


# --- the page -----------------------------------------------------------------------------------------------------


@pytest.fixture
def page(client: Client, person: User) -> Client:
    client.force_login(person)
    return client


def test_the_page_of_a_video_leads_to_its_storyline_only_when_there_is_one(page: Client, chain: Chain) -> None:
    first = chain.video()
    alone, again = chain.video(), chain.video(parent=first, image=first.image)
    second = chain.video(first)
    for job in (first, again, second):
        assert f"/jobs/{job.pk}/storyline" in page.get(f"/jobs/{job.pk}").content.decode()
    assert "/storyline" not in page.get(f"/jobs/{alone.pk}").content.decode()


def test_the_page_shows_the_chain_with_its_takes_and_what_can_be_done(page: Client, chain: Chain) -> None:
    first = chain.video(prompt="a fox wakes up")
    second = chain.video(first, 6, prompt="it runs away")
    old_end = chain.video(second, prompt="it comes back")
    take = chain.video(first, 6, prompt="it runs away")
    text = page.get(f"/jobs/{take.pk}/storyline").content.decode()

    assert text.index("a fox wakes up") < text.index("it runs away") < text.index("it comes back")
    assert "The next one goes on from frame 7." in text
    assert "Made from the earlier take." in text
    assert f'href="/jobs/{second.pk}/storyline"' in text
    assert f'action="/jobs/{old_end.pk}/frame"' in text
    assert "Join all" in text


def test_the_page_asks_again_only_while_something_is_made_and_gets_nothing_when_nothing_changed(
    page: Client, chain: Chain
) -> None:
    first = chain.video()
    waiting = chain.video(first, status=Status.QUEUED)
    answer = page.get(f"/jobs/{first.pk}/storyline")
    again = answer.content.decode().split('hx-get="')[1].split('"')[0]
    assert page.get(again, headers={"hx-request": "true"}).status_code == 204
    VideoJob.objects.filter(pk=waiting.pk).update(status=Status.FAILED, error_code="x", error_message="It broke.")
    changed = page.get(again, headers={"hx-request": "true"}).content.decode()

    assert "It broke." in changed
    assert 'hx-trigger="every' not in changed


def test_joining_on_the_page_leads_to_the_clip(page: Client, chain: Chain) -> None:
    first = chain.video()
    chain.video(first, 3)
    answer = page.post(f"/jobs/{first.pk}/storyline/join", {"crossfade_s": "0.5"})

    clip = Clip.objects.get()
    assert answer.headers["Location"] == f"/clips/{clip.pk}"
    assert clip.options == {"crossfade_s": 0.5, "parts": 2}


@pytest.mark.parametrize("crossfade", ["0.1", "7"])
def test_a_crossfade_that_is_none_makes_nothing_and_says_why(page: Client, chain: Chain, crossfade: str) -> None:
    first = chain.video()
    chain.video(first, 3)
    answer = page.post(f"/jobs/{first.pk}/storyline/join", {"crossfade_s": crossfade}, follow=True)

    assert "Give a number from 0.2 to 1" in answer.content.decode()
    assert not Clip.objects.exists()


def test_another_take_on_the_page_leads_to_the_chain_with_it(page: Client, chain: Chain) -> None:
    first = chain.video()
    second = chain.video(first)
    answer = page.post(f"/jobs/{second.pk}/storyline/again")

    take = VideoJob.objects.get(parent=second)
    assert answer.headers["Location"] == f"/jobs/{take.pk}/storyline"


def test_chains_of_others_are_not_there(page: Client, stranger: User) -> None:
    job = Chain(stranger).video()
    for method, path in (("get", "storyline"), ("post", "storyline/again"), ("post", "storyline/join")):
        for pk in (job.pk, uuid.uuid4()):
            assert getattr(page, method)(f"/jobs/{pk}/{path}").status_code == 404
