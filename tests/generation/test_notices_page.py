"""The corner of every page, the count, and the list."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from generation.models import Notice, Status
from generation.services import notify
from tests import factories
from tests.generation.test_notify import ended, endpoint


@pytest.fixture
def page(client: Client, person: User) -> Client:
    client.force_login(person)
    return client


def corner(page: Client, here: str = "/settings", *, visible: bool = True, have: str = "") -> str | None:
    """What the region gets when it asks from the page `here`; None: nothing new."""
    data = {"have": have} | ({"visible": "1"} if visible else {})
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{here}"}
    answer = page.get("/notices/new", data, headers=headers)
    assert answer.status_code in (200, 204)
    return answer.content.decode() if answer.status_code == 200 else None


def state_of(shown: str | None) -> str:
    assert shown is not None
    return shown.split('{"have": "')[1].split('"')[0]


def unseen(person: User) -> int:
    return Notice.objects.filter(owner=person, seen_at=None).count()


def test_what_ended_elsewhere_is_shown_with_a_link_and_a_count(page: Client, person: User) -> None:
    job = ended(person)
    notify.job_ended(job)
    notify.job_ended(ended(person, Status.FAILED))
    shown = corner(page) or ""

    assert f'href="/jobs/{job.pk}"' in shown
    assert 'data-unseen="2"' in shown
    assert "It broke." in shown
    assert unseen(person) == 2


def test_an_answer_that_changes_nothing_is_empty(page: Client, person: User) -> None:
    notify.job_ended(ended(person))
    state = state_of(corner(page))
    assert corner(page, have=state) is None

    notify.job_ended(ended(person))
    assert corner(page, have=state) is not None


def test_the_page_goes_on_asking_only_while_something_is_being_made(page: Client, person: User) -> None:
    assert "every 300s" not in (corner(page) or "")
    factories.job(person)
    assert "every 300s" in (corner(page) or "")


@pytest.mark.parametrize("place", ["job", "library", "notices"])
def test_it_is_seen_when_its_page_or_the_list_is_looked_at(page: Client, person: User, place: str) -> None:
    job = ended(person)
    notify.job_ended(job)
    address = f"/jobs/{job.pk}?x=1" if place == "job" else f"/{place}"

    assert 'data-unseen="1"' in (corner(page, address, visible=False) or "")
    assert unseen(person) == 1
    assert 'data-unseen="0"' in (corner(page, address) or "")
    assert unseen(person) == 0


def test_another_videos_page_shows_it_still(page: Client, person: User) -> None:
    notify.job_ended(ended(person))
    corner(page, f"/jobs/{ended(person).pk}")
    corner(page, "/nowhere/at/all")
    corner(page, "")

    assert unseen(person) == 1


def test_a_dismissed_one_is_gone_with_and_without_scripts(page: Client, person: User) -> None:
    notify.job_ended(ended(person))
    notify.job_ended(ended(person))
    first, second = Notice.objects.all()
    shown = page.post(f"/notices/{first.pk}/seen", headers={"HX-Request": "true"}).content.decode()
    assert 'data-unseen="1"' in shown
    assert page.post(f"/notices/{second.pk}/seen").status_code == 302
    assert unseen(person) == 0


def test_all_are_dismissed_at_once(page: Client, person: User, stranger: User) -> None:
    for owner in (person, person, person, stranger):
        notify.job_ended(ended(owner))
    assert "All 3" in (corner(page) or "")
    page.post("/notices/seen", headers={"HX-Request": "true"})

    assert (unseen(person), unseen(stranger)) == (0, 1)


def test_nobody_sees_or_dismisses_a_strangers(page: Client, person: User, stranger: User) -> None:
    job = ended(stranger)
    notify.job_ended(job)
    notice = Notice.objects.get()
    page.post(f"/notices/{notice.pk}/seen")
    corner(page, f"/jobs/{job.pk}")

    assert "slow zoom in" not in (corner(page) or "") + page.get("/notices").content.decode()
    assert unseen(stranger) == 1


def test_who_is_signed_out_gets_nothing_instead_of_a_page(client: Client, db: None) -> None:
    assert client.get("/notices/new").status_code == 204
    assert client.get("/notices").status_code == 302
    assert "notices.js" not in client.get("/account/login/").content.decode()


def test_the_list_shows_the_last_and_makes_them_seen(page: Client, person: User) -> None:
    notify.job_ended(ended(person, Status.CANCELLED))
    notify.job_ended(ended(person))
    shown = page.get("/notices").content.decode()

    assert "Your video was cancelled" in shown
    assert shown.count(">New<") == 1
    assert unseen(person) == 0
    assert ">New<" not in page.get("/notices").content.decode()


def test_the_corner_asks_three_queries_however_many_there_are(
    page: Client, person: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    image = factories.source_image(person)
    for _ in range(12):
        notify.job_ended(factories.job(person, image=image, status="succeeded", video_key="out/a.mp4"))
    # Session and person, then notices, jobs in the making, and what a visible page shows.
    with django_assert_num_queries(4):
        corner(page, "/settings")
    with django_assert_num_queries(4):
        page.get("/notices")


def test_a_budget_and_a_switched_off_webhook_are_told_in_words(page: Client, person: User) -> None:
    notify.tell(
        owner=person,
        kind=Notice.Kind.BUDGET,
        key="b",
        data={"scope": "person", "period": "day", "starts": "2026-11-23", "used_usd": 4.5, "cap_usd": 5.0},
    )
    data = {"webhook_id": "6f0e3f2e-6d3c-4f0e-9a53-2d5a1f0e8a11", "name": "mine", "reason": "It answered 410."}
    notify.tell(owner=person, kind=Notice.Kind.SWITCHED_OFF, key="w", data=data)
    shown = page.get("/notices").content.decode()

    assert "$4.50 of $5.00" in shown
    assert "It answered 410." in shown
    assert Notice.objects.filter(seen_at__lte=timezone.now()).count() == 2


def test_every_page_has_the_corner_for_who_is_signed_in(page: Client, person: User) -> None:
    for path in ("/", "/library", "/settings", "/settings/webhooks"):
        assert 'id="notices" hx-get="/notices/new"' in page.get(path).content.decode()


# --- the operator's view ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["notice", "webhookendpoint", "delivery"])
def test_the_admins_lists_cost_the_same_for_any_length_and_show_no_secret(
    client: Client, staff: User, person: User, name: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client.force_login(staff)
    for number in range(20):
        row = endpoint(person, description=str(number), kinds=["budget.warning"])
    notify.job_ended(ended(person))
    with django_assert_max_num_queries(15):
        page = client.get(f"/admin/generation/{name}/")
    assert page.status_code == 200
    change = client.get(f"/admin/generation/webhookendpoint/{row.pk}/change/")
    assert row.secret not in page.content.decode() + change.content.decode()


def test_an_operator_sends_again_and_switches_off(client: Client, staff: User, person: User) -> None:
    client.force_login(staff)
    row = endpoint(person)
    notify.job_ended(ended(person))
    sent = row.deliveries.get()
    row.deliveries.update(state="given_up", next_try_at=None)

    client.post("/admin/generation/delivery/", {"action": "send_again", "_selected_action": [str(sent.pk)]})
    assert row.deliveries.get().state == "due"
    assert client.get(f"/admin/generation/delivery/{sent.pk}/change/").status_code == 200
    client.post("/admin/generation/webhookendpoint/", {"action": "switch_off", "_selected_action": [str(row.pk)]})
    row.refresh_from_db()
    assert (row.enabled, row.trouble) == (False, "An operator switched it off.")
