"""Finding one's videos again: filters, search, tags, favourites, and what is done with several at once."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from generation.models import Batch, Status, Tag, VideoJob
from generation.services.library import add_tags, remove_tag, set_favourite
from tests import factories
from tests.generation.library_rows import seed

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def page(client: Client, person: User) -> Client:
    client.force_login(person)
    return client


def finished(owner: User, **values: Any) -> VideoJob:
    return factories.job(owner, status=Status.SUCCEEDED, video_key="out/1/1.mp4", progress=1, **values)


def shown(page: Client, address: str) -> str:
    return page.get(address).content.decode()


def cards(page: Client, address: str) -> list[str]:
    """The ids on the cards, in their order."""
    return re.findall(r'id="card-([^"]+)"', shown(page, address))


def chips(page: Client, address: str) -> list[str]:
    part = shown(page, address).split('id="filter-state"')[1].split("</form>")[0]
    return [text.strip() for text in re.findall(r'class="chip" href="[^"]*">([^<]*)<', part)]


def tagged(job: VideoJob, *names: str) -> VideoJob:
    add_tags(owner=job.owner, ids=[job.pk], names=names)
    return job


class TestFilters:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", "fox bird lake"),
            ("q=fox", "fox"),
            ("q=FOX+run", "fox"),
            ("q=fox+bird", ""),
            ("q=meadow", "bird"),  # only in the text for who cannot see it
            ("q=holi", "lake"),  # only in a tag
            ("status=active", "bird"),
            ("status=succeeded", "fox lake"),
            ("model=wan-2-2", "lake"),
            ("draft=1", "fox bird"),
            ("favourite=1", "fox"),
            ("tag=holiday", "lake"),
            ("tag=holiday&tag=keep", "lake"),
            ("tag=holiday&tag=nothing", ""),
            ("from=2026-03-10", "fox bird"),
            ("to=2026-03-09", "lake"),
            ("from=2026-03-09&to=2026-03-09", "lake"),
            ("days=1", "fox bird"),
            ("days=7", "fox bird lake"),
            ("favourite=1&q=fox&model=motion-preview&days=7", "fox"),
            ("favourite=1&tag=holiday", ""),
        ],
    )
    def test_each_filter_and_several_together(self, page: Client, person: User, query: str, expected: str) -> None:
        with time_machine.travel(NOON, tick=False):
            rows = {
                "fox": finished(person, prompt="a red fox runs", favourite_at=NOON, created_at=NOON),
                "bird": factories.job(person, prompt="a blue bird", alt_text="over a meadow", created_at=NOON),
                "lake": finished(
                    person,
                    prompt="a lake",
                    model=factories.wan_model(),
                    steps=50,
                    created_at=NOON - timedelta(days=1),
                ),
            }
            tagged(rows["lake"], "holiday", "keep")
            found = set(cards(page, f"/library?{query}"))
        assert found == {str(rows[name].pk) for name in expected.split()}

    @pytest.mark.parametrize(
        "query",
        [
            "status=nonsense",
            "model=%00",
            "days=-1",
            "days=999999999999",
            "from=yesterday",
            "from=2026-13-40",
            "to=9999-12-31",
            "from=0001-01-01",
            "batch=x",
            "sort=sideways",
            "q=" + "x" * 500,
            "q=%00",
            "favourite=maybe",
            "tag=" + "x" * 99,
            "tag=a%07b",
            "draft=%F0%28",
            "before=0001-01-01T00:00:00%2B14:00_00000000-0000-0000-0000-000000000000",
            "nothing=known",
        ],
    )
    def test_what_does_not_fit_in_an_address_is_ignored(self, page: Client, person: User, query: str) -> None:
        job = finished(person)
        assert cards(page, f"/library?{query}") == [str(job.pk)]

    def test_a_percent_sign_and_an_underscore_are_only_letters(self, page: Client, person: User) -> None:
        finished(person, prompt="plain")
        job = finished(person, prompt="100 % sure_thing")
        assert cards(page, "/library?q=%25") == [str(job.pk)]
        assert cards(page, "/library?q=e_t") == [str(job.pk)]

    def test_letters_with_marks_are_found_whatever_their_case(self, page: Client, person: User) -> None:
        job = finished(person, prompt="ein Läufer im Regen")
        assert cards(page, "/library?q=L%C3%84UFER") == cards(page, "/library?q=l%C3%A4ufer") == [str(job.pk)]

    def test_the_oldest_can_come_first_page_by_page(self, page: Client, person: User) -> None:
        rows = seed(person, 60)
        seen, address = [], "/library?sort=oldest"
        while address:
            html = shown(page, address)
            seen += re.findall(r'id="card-([^"]+)"', html)
            found = re.search(r'class="load-more"><a class="button" href="([^"]+)"', html)
            address = found[1].replace("&amp;", "&") if found else ""
        assert seen == [str(row.pk) for row in reversed(rows)]

    def test_every_active_filter_is_a_chip_that_leads_to_the_library_without_it(
        self, page: Client, person: User
    ) -> None:
        tagged(finished(person), "keep")
        html = shown(page, "/library?q=zoom&tag=keep&favourite=1&sort=oldest")
        assert chips(page, "/library?q=zoom&tag=keep&favourite=1") == [
            "Words: zoom", "Favourites", "Tag: keep", "Remove all",
        ]  # fmt: skip
        assert 'href="/library?q=zoom&amp;favourite=1&amp;sort=oldest"' in html
        assert 'href="/library?q=zoom&amp;tag=keep&amp;sort=oldest"' in html

    def test_nothing_found_offers_to_take_a_filter_away(self, page: Client, person: User) -> None:
        finished(person)
        html = shown(page, "/library?q=zebra&favourite=1")
        empty = html.split('class="panel center empty"')[1]
        assert "Nothing matches" in empty
        assert 'href="/library?favourite=1"' in empty

    def test_a_search_leaves_a_clean_address(self, page: Client, person: User) -> None:
        finished(person)
        headers = {"HX-Request": "true", "HX-Target": "results"}
        answer = page.get("/library?q=zoom&status=&model=&tag=&days=", headers=headers)
        assert answer.headers["HX-Push-Url"] == "/library?q=zoom"
        assert "<html" not in answer.content.decode()

    def test_a_batch_has_a_head_with_its_counts_and_its_cost(self, page: Client, person: User) -> None:
        batch = Batch.objects.create(owner=person, name="Foxes")
        finished(person, batch=batch, cost_usd="0.25")
        finished(person, batch=batch, cost_usd="0.50")
        factories.job(person, batch=batch)
        finished(person)
        html = shown(page, f"/library?batch={batch.pk}")
        head = html.split("batch-head")[1].split("</section>")[0]
        assert all(text in head for text in ("Foxes", "2 done", "1 queued", "$0.75"))
        assert len(cards(page, f"/library?batch={batch.pk}")) == 3

    def test_somebody_elses_batch_and_tags_show_nothing(self, page: Client, person: User, stranger: User) -> None:
        batch = Batch.objects.create(owner=stranger, name="secret batch")
        tagged(finished(stranger, batch=batch, prompt="secret"), "secret tag")
        html = shown(page, f"/library?batch={batch.pk}&q=secret")
        assert "secret batch" not in html
        assert "secret tag" not in html
        assert cards(page, f"/library?batch={batch.pk}") == []


class TestNumberOfQueries:
    @pytest.mark.parametrize("query", ["", "q=fox", "tag=keep", "favourite=1", "status=succeeded&sort=oldest"])
    def test_is_the_same_for_few_and_for_many_videos(self, page: Client, person: User, query: str) -> None:
        def count() -> int:
            page.get(f"/library?{query}")  # what is cached is cached
            with CaptureQueriesContext(
                connection,
            ) as asked:
                page.get(f"/library?{query}")
            return len(asked)

        seed(person, 5)
        few = count()
        seed(person, 200)
        assert count() == few


class TestTagsAndFavourites:
    def test_the_heart_marks_and_unmarks_with_and_without_scripts(self, page: Client, person: User) -> None:
        job = finished(person)
        part = page.post(f"/jobs/{job.pk}/favourite", {"favourite": "1"}, headers={"HX-Request": "true"})
        assert 'aria-pressed="true"' in part.content.decode()
        assert cards(page, "/library?favourite=1") == [str(job.pk)]
        answer = page.post(f"/jobs/{job.pk}/favourite", {"favourite": "0", "next": "/library?q=zoom"})
        assert answer.headers["Location"] == "/library?q=zoom"
        assert cards(page, "/library?favourite=1") == []

    @pytest.mark.parametrize("address", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil"])
    def test_nobody_is_sent_to_another_site(self, page: Client, person: User, address: str) -> None:
        job = finished(person)
        answer = page.post(f"/jobs/{job.pk}/favourite", {"next": address})
        assert answer.headers["Location"] == f"/jobs/{job.pk}"

    def test_tags_are_put_on_and_taken_off_a_video(self, page: Client, person: User) -> None:
        job = finished(person)
        page.post(f"/jobs/{job.pk}/tags", {"tag": " #Holiday ,  two   words"})
        assert [tag.name for tag in job.tags.all()] == ["Holiday", "two words"]
        page.post(f"/jobs/{job.pk}/tags", {"tag": "holiday"})  # no second one that differs by its case
        page.post(f"/jobs/{job.pk}/tags", {"remove": "two words"})
        assert [tag.name for tag in job.tags.all()] == ["Holiday"]

    @pytest.mark.parametrize("name", ["", " ", ",", "x" * 41, "a\x07b", "#"])
    def test_what_is_no_name_is_refused_and_changes_nothing(self, page: Client, person: User, name: str) -> None:
        job = finished(person)
        answer = page.post(f"/jobs/{job.pk}/tags", {"tag": name}, headers={"HX-Request": "true"})
        assert (answer.status_code, Tag.objects.count()) == (422, 0)

    def test_a_video_takes_no_more_than_twenty_tags(self, page: Client, person: User) -> None:
        job = finished(person)
        page.post(f"/jobs/{job.pk}/tags", {"tag": ",".join(f"t{number}" for number in range(20))})
        page.post(f"/jobs/{job.pk}/tags", {"tag": "one more"})
        assert job.tags.count() == 20
        assert not Tag.objects.filter(name="one more").exists()

    def test_a_tag_is_renamed_merged_after_a_question_and_deleted(self, page: Client, person: User) -> None:
        first, second = tagged(finished(person), "fox", "red"), tagged(finished(person), "foxes")
        fox = Tag.objects.get(name="fox")
        assert "Merge two tags?" in page.post(f"/library/tags/{fox.pk}/rename", {"name": "Foxes"}).content.decode()
        page.post(f"/library/tags/{fox.pk}/rename", {"name": "Foxes", "confirmed": "1"})
        assert set(VideoJob.objects.filter(tags__name="foxes")) == {first, second}
        red = Tag.objects.get(name="red")
        page.post(f"/library/tags/{red.pk}/rename", {"name": "Scarlet"})
        assert sorted(Tag.objects.values_list("name", flat=True)) == ["Scarlet", "foxes"]
        page.post(f"/library/tags/{red.pk}/delete")
        assert Tag.objects.count() == 2
        page.post(f"/library/tags/{red.pk}/delete", {"confirmed": "1"})
        assert (Tag.objects.count(), VideoJob.objects.count()) == (1, 2)

    def test_somebody_elses_are_not_there(self, page: Client, stranger: User) -> None:
        theirs = tagged(finished(stranger), "theirs")
        tag = Tag.objects.get()
        posts = [f"/jobs/{theirs.pk}/favourite", f"/jobs/{theirs.pk}/tags", f"/library/tags/{tag.pk}/rename"]
        posts.append(f"/library/tags/{tag.pk}/delete")
        assert {page.post(path, {"tag": "x", "name": "x", "confirmed": "1"}).status_code for path in posts} == {404}
        assert page.get(f"/jobs/{theirs.pk}/why").status_code == 404
        assert "theirs" not in shown(page, "/library/tags") + shown(page, "/library")
        theirs.refresh_from_db()
        assert (theirs.favourite_at, [tag.name for tag in theirs.tags.all()]) == (None, ["theirs"])


def test_ids_of_somebody_else_match_nothing(person: User, stranger: User) -> None:
    theirs = tagged(finished(stranger), "theirs")
    add_tags(owner=person, ids=[theirs.pk], names=["mine"])
    assert set_favourite(owner=person, ids=[theirs.pk], on=True) == 0
    assert remove_tag(owner=person, ids=[theirs.pk], name="theirs") == 0
    assert [tag.name for tag in theirs.tags.all()] == ["theirs"]


def select(page: Client, action: str, *jobs: VideoJob, **values: Any) -> Any:
    headers = values.pop("headers", {})
    return page.post(
        "/library/act", {"action": action, "ids": [str(job.pk) for job in jobs], **values}, headers=headers
    )


class TestSelected:
    def test_several_are_tagged_and_marked_and_unmarked(self, page: Client, person: User, stranger: User) -> None:
        first, second, theirs = finished(person), finished(person), finished(stranger)
        select(page, "tag", first, second, theirs, tag="both")
        select(page, "favourite", first, second, theirs)
        assert set(VideoJob.objects.filter(tags__name="both")) == {first, second}
        assert VideoJob.objects.exclude(favourite_at=None).count() == 2
        select(page, "untag", first, tag="both")
        select(page, "unfavourite", first)
        assert VideoJob.objects.exclude(favourite_at=None).get() == VideoJob.objects.get(tags__name="both") == second

    def test_scripts_get_the_changed_cards_and_a_word_about_them(self, page: Client, person: User) -> None:
        job = finished(person)
        answer = select(page, "tag", job, tag="ä", headers={"HX-Request": "true"})
        assert 'hx-swap-oob="true"' in answer.content.decode()
        assert "i2v:said" in answer.headers["HX-Trigger"]
        refused = select(page, "tag", job, tag="", headers={"HX-Request": "true"})
        assert (refused.status_code, "name" in refused.headers["HX-Trigger"]) == (204, True)

    def test_deleted_ones_come_back_with_and_without_scripts(self, page: Client, person: User) -> None:
        first, second = finished(person), finished(person)
        answer = select(page, "delete", first, second)
        assert "2 videos were deleted" in shown(page, answer.headers["Location"])
        assert cards(page, "/library") == []
        page.post("/library/restore", {"ids": [str(first.pk)]})
        back = page.post("/library/restore", {"ids": [str(second.pk)]}, headers={"Accept": "application/json"})
        assert back.json() == {"ids": [str(second.pk)]}
        assert set(cards(page, "/library")) == {str(first.pk), str(second.pk)}

    def test_nothing_selected_too_many_and_somebody_elses_are_refused(
        self, page: Client, person: User, stranger: User
    ) -> None:
        job, theirs = finished(person), finished(stranger)
        assert "Select a video first" in page.post("/library/act", {"action": "delete"}, follow=True).content.decode()
        ids = [f"00000000-0000-0000-0000-{number:012}" for number in range(200)] + [str(job.pk)]
        refused = page.post("/library/act", {"action": "delete", "ids": ids}, follow=True).content.decode()
        assert "Select at most 200 videos" in refused
        assert select(page, "delete", theirs).status_code == 404
        assert select(page, "explode", job).status_code == 404
        assert VideoJob.objects.filter(deleted_at=None).count() == 2


class TestCompare:
    def test_what_differs_is_marked_in_words(self, page: Client, person: User) -> None:
        image = factories.source_image(person)
        first, second = finished(person, seed=7, image=image), finished(person, seed=8, image=image)
        html = shown(page, f"/compare?ids={first.pk},{second.pk}&back=q%3Dfox%26tag%3Dkeep")
        rows = dict(re.findall(r'<tr( class="differs")?><th scope="row">([^<]+?) ?<', html))
        marked = re.findall(r'<tr class="differs"><th scope="row">([^<]+?) <span class="badge warn">differs<', html)
        assert marked == ["Seed"]
        assert len(rows) >= 1
        assert 'href="/library?q=fox&amp;tag=keep"' in html

    @pytest.mark.parametrize("count", [0, 1, 5])
    def test_takes_two_to_four(self, page: Client, person: User, count: int) -> None:
        ids = ",".join(str(finished(person).pk) for _ in range(count))
        assert "Select two to four videos" in page.get(f"/compare?ids={ids}", follow=True).content.decode()

    def test_takes_only_ones_own_and_finished_ones(self, page: Client, person: User, stranger: User) -> None:
        mine, waiting, theirs = finished(person), factories.job(person), finished(stranger)
        assert page.get(f"/compare?ids={mine.pk},{theirs.pk}").status_code == 404
        answer = page.get(f"/compare?ids={mine.pk},{waiting.pk}", follow=True)
        assert "Only finished videos" in answer.content.decode()

    def test_a_selection_leads_there_and_keeps_the_filters(self, page: Client, person: User) -> None:
        first, second = finished(person), finished(person)
        answer = select(page, "compare", first, second, next="/library?q=a&tag=b")
        assert answer.headers["Location"] == f"/compare?ids={first.pk}%2C{second.pk}&back=q%3Da%26tag%3Db"


class TestWhy:
    def test_everything_that_made_it_is_said(self, page: Client, person: User) -> None:
        job = finished(person, model=factories.wan_model(), prompt="a fox", negative_prompt="blur", seed=4711, steps=20)
        factories.attempt(
            job,
            request_sent={"loras": "Wan/fast", "loraweights": "0.8", "sampler": "uni_pc", "videomodel": "wan-high"},
            engine_metadata={"prompt": "a vivid fox", "sui_image_params": {"swarm_version": "0.9.7"}},
            drift=["81 frames were asked for; the video has 80."],
        )
        html = shown(page, f"/jobs/{job.pk}/why")
        wanted = ["a fox", "a vivid fox", "blur", "Wan/fast \N{MULTIPLICATION SIGN} 0.8", "uni_pc", "wan-high", "0.9.7"]
        assert [text for text in [*wanted, "4711", "80.", f"/?from={job.pk}"] if text not in html] == []
        assert "Ends with" not in html

    def test_the_picture_that_it_ends_with_is_said(self, page: Client, person: User) -> None:
        job = finished(person, end_image=factories.source_image(person, name="last.png"))
        html = shown(page, f"/jobs/{job.pk}/why")
        assert "Ends with" in html
        assert "last.png" in html

    @pytest.mark.parametrize("sent", [[], "x", {"loras": None}, {"loras": 5, "sampler": ["a"]}])
    def test_odd_answers_of_a_provider_break_nothing(self, page: Client, person: User, sent: Any) -> None:
        job = finished(person)
        factories.attempt(job, request_sent=sent, engine_metadata={"sui_image_params": sent})
        assert page.get(f"/jobs/{job.pk}/why").status_code == 200
