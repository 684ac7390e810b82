"""Links at which other people see a video: who sees what, until when, and that a dead link tells nothing."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from generation.errors import LinkRefused
from generation.models import Clip, ClipPart, ShareLink, Status, VideoJob
from generation.services.deleting import delete_job, restore_jobs
from generation.services.sharing import MAX_LINKS, revoke, share
from tests import factories

SECRET = "my secret wish"
ANYONE, SIGNED_IN = ShareLink.Audience.ANYONE, ShareLink.Audience.SIGNED_IN


@pytest.fixture
def job(person: User) -> VideoJob:
    files = {"video_key": "out/1/1.mp4", "poster_key": "out/1/1.poster.jpg", "video_sha256": "ab" * 32}
    made = factories.job(person, prompt=SECRET, status=Status.SUCCEEDED, progress=1, seed=42, **files)
    signed = {"signed": True, "issuer": "Example", "source_type": "algorithmicallyEnhanced"}
    factories.attempt(made, engine_metadata={"provenance": signed})
    return made


@pytest.fixture
def visitor(db: None) -> Client:
    return Client()


def clip_of(job: VideoJob, **values: Any) -> Clip:
    done = {"kind": Clip.Kind.BOOMERANG, "state": Clip.State.DONE, "key": "out/c.mp4", "frames": 9, "fps": 8.0}
    clip = Clip.objects.create(owner=job.owner, **done | values)
    ClipPart.objects.create(clip=clip, job=job, position=0)
    return clip


def seen(visitor: Client, link: ShareLink) -> int:
    return visitor.get(f"/s/{link.token}").status_code


class TestWhoSeesWhat:
    def test_anyone_sees_the_video_without_its_prompt_and_its_person(self, visitor: Client, job: VideoJob) -> None:
        User.objects.update(username="zebulon")
        link = share(owner=job.owner, job=job)
        answer = visitor.get(f"/s/{link.token}")
        shown = answer.content.decode()
        for leak in (SECRET, "secret-wish", "zebulon", str(job.pk), "/files/", "Download"):
            assert leak not in shown, leak
        assert f'src="/s/{link.token}/video"' in shown
        assert "without AI" in shown
        assert answer["Cache-Control"] == "private, no-store"
        assert answer["Referrer-Policy"] == "no-referrer"
        assert "noindex" in answer["X-Robots-Tag"]

    def test_the_prompt_and_the_file_are_there_when_the_owner_says_so(self, visitor: Client, job: VideoJob) -> None:
        link = share(owner=job.owner, job=job, shows_prompt=True, allows_download=True)
        shown = visitor.get(f"/s/{link.token}").content.decode()
        assert SECRET in shown
        assert f'href="/s/{link.token}/download"' in shown
        assert visitor.get(f"/s/{link.token}/download").headers["Location"].startswith("/files/")

    @pytest.mark.parametrize("shows_prompt", [True, False])
    def test_a_download_is_named_by_the_prompt_only_where_that_is_shown(
        self, visitor: Client, job: VideoJob, shows_prompt: bool
    ) -> None:
        VideoJob.objects.update(prompt="zebulon runs")
        default_storage.save(job.video_key, ContentFile(b"film"))
        link = share(owner=job.owner, job=job, shows_prompt=shows_prompt, allows_download=True)
        answer = visitor.get(f"/s/{link.token}/download", follow=True)
        assert ("zebulon" in answer.headers["Content-Disposition"]) is shows_prompt

    def test_an_open_link_has_a_picture_for_who_previews_it(self, visitor: Client, job: VideoJob) -> None:
        link = share(owner=job.owner, job=job)
        shown = visitor.get(f"/s/{link.token}").content.decode()
        assert re.search(rf'property="og:image" content="http[^"]*/s/{link.token}/poster"', shown)
        assert f'poster="/s/{link.token}/poster"' in shown

    def test_a_video_made_by_a_model_says_ai(self, visitor: Client, job: VideoJob) -> None:
        VideoJob.objects.update(model=factories.wan_model())
        assert "Made by AI" in visitor.get(f"/s/{share(owner=job.owner, job=job).token}").content.decode()

    def test_the_words_for_who_cannot_see_it_name_the_video(self, visitor: Client, job: VideoJob) -> None:
        VideoJob.objects.update(alt_text="A fox <runs>")
        shown = visitor.get(f"/s/{share(owner=job.owner, job=job).token}").content.decode()
        assert 'aria-label="A fox &lt;runs&gt;"' in shown

    def test_media_go_by_the_link_and_never_by_an_address_that_is_kept(self, visitor: Client, job: VideoJob) -> None:
        link = share(owner=job.owner, job=job)
        for kind in ("video", "poster"):
            answer = visitor.get(f"/s/{link.token}/{kind}")
            assert answer.headers["Location"].startswith("/files/")
            assert answer["Cache-Control"] == "private, no-store"
        for kind in ("download", "loop", "nonsense"):
            assert visitor.get(f"/s/{link.token}/{kind}").status_code == 404

    def test_a_link_for_people_of_the_site_asks_others_to_sign_in(
        self, visitor: Client, stranger: User, job: VideoJob
    ) -> None:
        link = share(owner=job.owner, job=job, audience=SIGNED_IN)
        answer = visitor.get(f"/s/{link.token}")
        assert (answer.status_code, "/account/login/" in answer["Location"]) == (302, True)
        assert visitor.get(f"/s/{link.token}/video").status_code == 404
        visitor.force_login(stranger)
        assert seen(visitor, link) == 200
        assert "og:image" not in visitor.get(f"/s/{link.token}").content.decode()

    def test_a_clip_is_shared_as_a_video_or_as_a_picture(self, visitor: Client, job: VideoJob) -> None:
        video, picture = clip_of(job), clip_of(job, kind=Clip.Kind.GIF, key="out/c.gif")
        shown = [visitor.get(f"/s/{share(owner=job.owner, clip=clip).token}").content for clip in (video, picture)]
        assert [b"<video" in page for page in shown] == [True, False]
        assert not any(SECRET.encode() in page for page in shown)


class TestWhenItEnds:
    def test_a_link_ends_at_its_time(self, visitor: Client, job: VideoJob) -> None:
        now = timezone.now()
        link = share(owner=job.owner, job=job, expires_at=now + timedelta(days=1))
        with time_machine.travel(now + timedelta(hours=23, minutes=59), tick=False):
            assert seen(visitor, link) == 200
        with time_machine.travel(now + timedelta(days=1, seconds=1), tick=False):
            assert seen(visitor, link) == 404
            assert visitor.get(f"/s/{link.token}/video").status_code == 404

    def test_every_way_to_end_looks_the_same(self, visitor: Client, job: VideoJob) -> None:
        link = share(owner=job.owner, job=job)
        never_there = visitor.get("/s/nonsense")

        def revoked() -> None:
            User.objects.update(is_active=True)
            revoke(link=link)

        ends: list[Callable[[], object]] = [
            lambda: VideoJob.objects.update(hidden_at=timezone.now()),
            lambda: VideoJob.objects.update(hidden_at=None, deleted_at=timezone.now()),
            lambda: VideoJob.objects.update(deleted_at=None) and User.objects.update(is_active=False),
            revoked,
        ]
        assert seen(visitor, link) == 200
        for end in ends:
            end()
            for address in (f"/s/{link.token}", f"/s/{link.token}/video"):
                answer = visitor.get(address)
                assert (answer.status_code, answer.content) == (404, never_there.content)

    def test_deleting_stops_the_link_and_undo_brings_it_back(self, visitor: Client, job: VideoJob) -> None:
        link = share(owner=job.owner, job=job)
        delete_job(job=job)
        assert seen(visitor, link) == 404
        restore_jobs(owner=job.owner, ids=[job.pk])
        assert seen(visitor, link) == 200

    def test_a_clip_of_a_hidden_video_is_hidden_with_it(self, visitor: Client, job: VideoJob) -> None:
        link = share(owner=job.owner, clip=clip_of(job))
        assert seen(visitor, link) == 200
        VideoJob.objects.update(hidden_at=timezone.now())
        assert seen(visitor, link) == 404

    def test_a_dead_link_costs_as_many_queries_as_one_that_never_was(
        self, visitor: Client, job: VideoJob, django_assert_num_queries: Any
    ) -> None:
        link = share(owner=job.owner, job=job)
        revoke(link=link)
        for token in (link.token, "nonsense"):
            with django_assert_num_queries(1):
                visitor.get(f"/s/{token}")


def test_a_view_is_counted_once_for_a_session_and_never_for_the_owner(job: VideoJob) -> None:
    link = share(owner=job.owner, job=job)
    first, second, owner = Client(), Client(), Client()
    owner.force_login(job.owner)
    for visitor in (first, first, second, owner):
        visitor.get(f"/s/{link.token}")
    second.head(f"/s/{link.token}")
    link.refresh_from_db()
    assert link.views == 2


@pytest.mark.parametrize("values", [{"status": Status.QUEUED}, {"hidden_at": timezone.now()}])
def test_only_a_finished_video_that_is_not_hidden_is_shared(job: VideoJob, values: dict[str, Any]) -> None:
    VideoJob.objects.update(**values)
    job.refresh_from_db()
    with pytest.raises(LinkRefused):
        share(owner=job.owner, job=job)


def test_there_is_an_end_to_the_links_of_one_video(job: VideoJob) -> None:
    links = [share(owner=job.owner, job=job) for _ in range(MAX_LINKS)]
    with pytest.raises(LinkRefused):
        share(owner=job.owner, job=job)
    revoke(link=links[0])
    share(owner=job.owner, job=job)


class TestOwnPage:
    @pytest.fixture
    def page(self, client: Client, person: User) -> Client:
        client.force_login(person)
        return client

    @pytest.mark.parametrize(("expires", "days"), [("1", 1), ("7", 7), ("30", 30), ("never", None)])
    def test_a_link_is_made_with_what_was_chosen(
        self, page: Client, job: VideoJob, expires: str, days: int | None
    ) -> None:
        page.post(f"/jobs/{job.pk}/shares", {"audience": "signed_in", "expires": expires, "shows_prompt": "on"})
        link = ShareLink.objects.get(job=job)
        assert (link.audience, link.shows_prompt, link.allows_download) == (SIGNED_IN, True, False)
        left = link.expires_at - timezone.now() if link.expires_at else None
        assert (round(left.total_seconds() / 86400) if left else None) == days
        assert f"/s/{link.token}" in page.get(f"/jobs/{job.pk}").content.decode()

    def test_a_link_ends_with_a_chosen_day(self, page: Client, job: VideoJob) -> None:
        day = (timezone.now() + timedelta(days=3)).date()
        page.post(f"/jobs/{job.pk}/shares", {"audience": "anyone", "expires": "date", "date": day.isoformat()})
        ends = ShareLink.objects.get(job=job).expires_at
        assert ends is not None
        assert (ends.date(), ends.hour) == (day, 23)

    def test_a_clip_that_holds_the_video_twice_is_shared_once(self, page: Client, job: VideoJob) -> None:
        clip = clip_of(job, kind=Clip.Kind.JOIN)
        ClipPart.objects.create(clip=clip, job=job, position=1)
        chosen = {"clip": str(clip.pk), "audience": "anyone", "expires": "never"}
        assert page.post(f"/jobs/{job.pk}/shares", chosen).status_code == 302
        assert ShareLink.objects.get().clip == clip
        assert page.get(f"/jobs/{job.pk}").content.decode().count(f'value="{clip.pk}"') == 1

    @pytest.mark.parametrize(
        "values", [{"audience": "all"}, {"expires": "date"}, {"expires": "date", "date": "2020-01-01"}, {"clip": "x"}]
    )
    def test_bad_choices_make_no_link_and_are_answered(
        self, page: Client, job: VideoJob, values: dict[str, str]
    ) -> None:
        given = {"audience": "anyone", "expires": "never"} | values
        shown = page.post(f"/jobs/{job.pk}/shares", given, follow=True).content.decode()
        assert 'class="note error"' in shown
        assert not ShareLink.objects.exists()

    def test_a_link_is_taken_back_after_a_question(self, page: Client, visitor: Client, job: VideoJob) -> None:
        link = share(owner=job.owner, job=job)
        assert "Take this link back?" in page.post(f"/shares/{link.pk}/revoke").content.decode()
        page.post(f"/shares/{link.pk}/revoke", {"confirmed": "1"})
        assert seen(visitor, link) == 404

    def test_somebody_elses_video_clip_and_link_are_not_there(
        self, page: Client, stranger: User, job: VideoJob
    ) -> None:
        theirs = factories.job(stranger, status=Status.SUCCEEDED, video_key="x")
        link = share(owner=stranger, job=theirs)
        chosen = {"audience": "anyone", "expires": "never"}
        assert page.post(f"/jobs/{theirs.pk}/shares", chosen).status_code == 404
        assert page.post(f"/jobs/{job.pk}/shares", chosen | {"clip": str(clip_of(theirs).pk)}).status_code == 404
        assert page.post(f"/shares/{link.pk}/revoke", {"confirmed": "1"}).status_code == 404
        assert list(ShareLink.objects.filter(revoked_at=None)) == [link]


class TestApi:
    def test_links_are_made_listed_and_taken_back(self, api: APIClient, visitor: Client, job: VideoJob) -> None:
        made = api.post(f"/api/jobs/{job.pk}/shares", {"allows_download": True}, format="json").json()
        clip = api.post(f"/api/clips/{clip_of(job).pk}/shares", {}, format="json").json()
        assert [row["id"] for row in api.get(f"/api/jobs/{job.pk}/shares").json()] == [clip["id"], made["id"]]
        path = made["url"].removeprefix("http://testserver")
        assert visitor.get(path).status_code == 200
        assert api.delete(f"/api/shares/{made['id']}").status_code == 204
        assert visitor.get(path).status_code == 404

    @pytest.mark.parametrize("values", [{"audience": "all"}, {"expires_at": "soon"}, {"prompt": True}])
    def test_bad_input_makes_no_link(self, api: APIClient, job: VideoJob, values: dict[str, Any]) -> None:
        assert api.post(f"/api/jobs/{job.pk}/shares", values, format="json").status_code == 400
        assert not ShareLink.objects.exists()

    def test_a_link_in_the_past_is_refused(self, api: APIClient, job: VideoJob) -> None:
        answer = api.post(f"/api/jobs/{job.pk}/shares", {"expires_at": "2020-01-01T00:00:00Z"}, format="json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "link_refused")

    def test_somebody_elses_things_are_not_there(self, api: APIClient, stranger: User) -> None:
        theirs = factories.job(stranger, status=Status.SUCCEEDED, video_key="x")
        link, clip = share(owner=stranger, job=theirs), clip_of(theirs)
        answers = [
            api.get(f"/api/jobs/{theirs.pk}/shares"),
            api.post(f"/api/jobs/{theirs.pk}/shares", {}, format="json"),
            api.post(f"/api/clips/{clip.pk}/shares", {}, format="json"),
            api.delete(f"/api/shares/{link.pk}"),
        ]
        assert {answer.status_code for answer in answers} == {404}
        link.refresh_from_db()
        assert link.revoked_at is None

    def test_a_long_list_costs_no_more_queries(
        self, api: APIClient, job: VideoJob, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(10):
            share(owner=job.owner, job=job)
        with django_assert_max_num_queries(3):
            api.get(f"/api/jobs/{job.pk}/shares")
