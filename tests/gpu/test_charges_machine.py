"""Money of videos as a hypothesis state machine: the real services against a plain model, and wrong designs."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from gpu.errors import CapReached
from gpu.models import Book, DayTotal, GpuConfig, LedgerEntry, Purse
from gpu.services import audit, booking, caps, charges, config
from gpu.services.booking import ZERO, Kind, Line
from gpu.services.charges import JobMoney

pytestmark = pytest.mark.django_db
EXAMPLES, STEPS = int(os.environ.get("MONEY_EXAMPLES", "15")), 30
D = Decimal
PERSON_CAP, PERSON_MONTH, SITE_CAP, SITE_MONTH = D(3), D(7), D(5), D(12)
amounts = st.sampled_from(["0", "0.000001", "0.1", "0.3", "0.333333", "1", "1.7", "3"]).map(D)


class Died(Exception):
    """The process ended before it committed."""


@dataclass
class Video:
    """What should be true of one video."""

    money: JobMoney
    promised: Decimal = ZERO
    open: bool = False
    found: set[str] = field(default_factory=set)
    spent: dict[Book, list[tuple[int, Decimal]]] = field(default_factory=lambda: {Book.PERSON: [], Book.CLOUD: []})

    def total(self, book: Book, day: int | None = None) -> Decimal:
        return sum((usd for at, usd in self.spent[book] if day in (None, at)), ZERO)


class MoneyMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.day = 0
        self._exits = ExitStack()
        start = datetime(2026, 11, 3, 12, tzinfo=UTC)
        self._exits.enter_context(
            mock.patch.object(timezone, "now", side_effect=lambda: start + timedelta(days=self.day))
        )
        config.load()
        GpuConfig.objects.update(
            daily_cap_usd=SITE_CAP,
            monthly_cap_usd=SITE_MONTH,
            person_daily_cap_usd=PERSON_CAP,
            person_monthly_cap_usd=PERSON_MONTH,
        )
        self.people = [User.objects.create(username=f"person{number}-{uuid4().hex[:6]}") for number in range(2)]
        self.videos: list[Video] = []

    # --- what should be true ------------------------------------------------------------------------------------------
    def used(self, person: User | None, day: int | None) -> Decimal:
        """Spent on a day (None: in the month) and promised, by one person or by the site."""
        book = Book.PERSON if person else Book.CLOUD
        mine = [one for one in self.videos if self._counts(one, person)]
        promised = sum((one.promised for one in mine if one.open), ZERO)
        return promised + sum((one.total(book, day) for one in mine), ZERO)

    def _counts(self, video: Video, person: User | None) -> bool:
        return video.money.person_id == person.pk if person else video.money.cloud

    def fits(self, person: User, usd: Decimal, *, cloud: bool) -> bool:
        limits = [(person, self.day, PERSON_CAP), (person, None, PERSON_MONTH)]
        site = [(None, self.day, SITE_CAP), (None, None, SITE_MONTH)] if cloud else []
        return all(self.used(one, day) + usd <= cap for one, day, cap in [*limits, *site])

    def pick(self, number: int) -> Video:
        return self.videos[number % len(self.videos)]

    # --- what happens -------------------------------------------------------------------------------------------------
    @rule(person=st.integers(0, 1), usd=amounts, cloud=st.booleans())
    def submit(self, person: int, usd: Decimal, cloud: bool) -> None:
        owner = self.people[person]
        video = Video(JobMoney(job_id=uuid4(), person_id=owner.pk, cloud=cloud))
        expected = not usd or self.fits(owner, usd, cloud=cloud)
        try:
            charges.reserve_job(video.money, usd)
        except CapReached:
            assert not expected, "refused although there was room"
            return
        assert expected, "accepted above a cap"
        video.promised, video.open = usd, bool(usd)
        self.videos.append(video)

    @precondition(lambda self: self.videos)
    @rule(number=st.integers(0, 99))
    def submitted_twice(self, number: int) -> None:
        video = self.pick(number)
        try:
            if video.open:
                charges.reserve_job(video.money, video.promised)
        except CapReached as exc:
            raise AssertionError("a promise that is told twice counts twice") from exc

    @precondition(lambda self: self.videos)
    @rule(number=st.integers(0, 99), share=st.sampled_from(["0", "0.5", "1"]).map(D), cloud_usd=amounts)
    def settle(self, number: int, share: Decimal, cloud_usd: Decimal) -> None:
        """A person pays at most what was promised; a call may take more."""
        video = self.pick(number)
        charged = booking.near(video.promised * share)
        cloud_usd = cloud_usd if video.money.cloud and video.promised else ZERO
        done = charges.settle_job(video.money, charged=charged, cloud_usd=cloud_usd)
        self._closed(video, done, charged, cloud_usd)

    @precondition(lambda self: self.videos)
    @rule(number=st.integers(0, 99), cloud_usd=amounts)
    def release(self, number: int, cloud_usd: Decimal) -> None:
        video = self.pick(number)
        cloud_usd = cloud_usd if video.money.cloud and video.promised else ZERO
        self._closed(video, charges.release_job(video.money, cloud_usd=cloud_usd), ZERO, cloud_usd)

    def _closed(self, video: Video, done: bool, charged: Decimal, cloud_usd: Decimal) -> None:
        if not video.promised:
            return
        assert done is video.open, "closed twice, or not at all"
        if video.open:
            video.open = False
            video.spent[Book.PERSON].append((self.day, charged))
            video.spent[Book.CLOUD].append((self.day, cloud_usd))

    @precondition(lambda self: self.videos)
    @rule(number=st.integers(0, 99), part=st.sampled_from(["-1", "-0.5", "0.5", "1"]).map(D))
    def correct(self, number: int, part: Decimal) -> None:
        """The final share: told twice, booked once, and within what was promised."""
        video = self.pick(number)
        total = video.total(Book.PERSON)
        usd = booking.near(part * (total if part < 0 else video.promised - total))
        owner = next(one for one in self.people if one.pk == video.money.person_id)
        # A difference found later is booked whatever the caps say; here the caps are to hold.
        if video.open or not usd or self.used(owner, None) + usd > PERSON_MONTH:
            return
        finding = f"{self.day}:{total}"
        for _ in range(2):
            charges.correct_job(video.money, usd=usd, book=Book.PERSON, note="found later", once=finding)
        if finding not in video.found:
            video.found.add(finding)
            video.spent[Book.PERSON].append((self.day, usd))

    @precondition(lambda self: self.videos)
    @rule(number=st.integers(0, 99), act=st.sampled_from(["settle", "release", "correct"]))
    def dies_before_the_commit(self, number: int, act: str) -> None:
        video = self.pick(number)
        with suppress(Died), transaction.atomic():
            if act == "settle":
                charges.settle_job(video.money, charged=video.promised)
            elif act == "release":
                charges.release_job(video.money)
            else:
                charges.correct_job(video.money, usd=D("0.1"), book=Book.PERSON, note="found later")
            raise Died

    @precondition(lambda self: self.day < 20)
    @rule()
    def next_day(self) -> None:
        self.day += 1

    # --- what always holds --------------------------------------------------------------------------------------------
    @invariant()
    def purses_hold_what_is_promised(self) -> None:
        stored = {row.account: row.reserved_usd for row in Purse.objects.all()}
        open_ones = [one for one in self.videos if one.open]
        assert stored.get("cloud", ZERO) == sum((one.promised for one in open_ones if one.money.cloud), ZERO)
        for person in self.people:
            mine = sum((one.promised for one in open_ones if one.money.person_id == person.pk), ZERO)
            assert stored.get(f"person:{person.pk}", ZERO) == mine

    @invariant()
    def totals_hold_what_was_spent(self) -> None:
        first = datetime(2026, 11, 3, tzinfo=UTC).date()
        stored = {(row.account, (row.day - first).days): row.spent_usd for row in DayTotal.objects.all()}
        for day in range(self.day + 1):
            cloud = sum((one.total(Book.CLOUD, day) for one in self.videos if one.money.cloud), ZERO)
            assert stored.get(("cloud", day), ZERO) == cloud
            for person in self.people:
                mine = [one for one in self.videos if one.money.person_id == person.pk]
                spent = sum((one.total(Book.PERSON, day) for one in mine), ZERO)
                assert stored.get((f"person:{person.pk}", day), ZERO) == spent

    @invariant()
    def nobody_is_above_their_month(self) -> None:
        for person in self.people:
            assert self.used(person, None) <= PERSON_MONTH

    @invariant()
    def it_adds_up(self) -> None:
        assert audit.check_ledger() == []

    def teardown(self) -> None:
        try:
            for video in self.videos:
                self._closed(video, charges.release_job(video.money), ZERO, ZERO)
            assert not Purse.objects.exclude(reserved_usd=0).exists(), "something is promised for ever"
            self.it_adds_up()
        finally:
            self.close()

    def close(self) -> None:
        self._exits.close()
        for model in (LedgerEntry, DayTotal, Purse, GpuConfig):
            model._base_manager.all().delete()
        User.objects.filter(pk__in=[one.pk for one in self.people]).delete()


def test_the_right_design_survives_random_histories() -> None:
    run_state_machine_as_test(
        MoneyMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=EXAMPLES <= 15,
            phases=[Phase.generate] if EXAMPLES <= 15 else [Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


# --- wrong designs ----------------------------------------------------------------------------------------------------
@contextmanager
def machine() -> Iterator[tuple[MoneyMachine, Callable[[], None]]]:
    """A machine to lead by hand, and all its invariants as one check."""
    one = MoneyMachine()

    def check() -> None:
        one.purses_hold_what_is_promised()
        one.totals_hold_what_was_spent()
        one.nobody_is_above_their_month()
        one.it_adds_up()

    try:
        yield one, check
    finally:
        one.close()


def walk() -> None:
    """One history that goes through every corner."""
    with machine() as (one, check):
        steps: list[tuple[Callable[..., Any], dict[str, Any]]] = [
            (one.submit, {"person": 0, "usd": D("1.7"), "cloud": True}),
            (one.submit, {"person": 0, "usd": D("1.7"), "cloud": True}),  # above the person's day
            (one.submitted_twice, {"number": 0}),
            (one.submit, {"person": 1, "usd": D(3), "cloud": True}),
            (one.submit, {"person": 0, "usd": D(1), "cloud": True}),  # above the site's day
            (one.dies_before_the_commit, {"number": 0, "act": "settle"}),
            (one.settle, {"number": 0, "share": D("0.5"), "cloud_usd": D(3)}),
            (one.settle, {"number": 0, "share": D("0.5"), "cloud_usd": D(3)}),
            (one.release, {"number": 0, "cloud_usd": ZERO}),
            (one.correct, {"number": 0, "part": D("-0.5")}),
            (one.next_day, {}),
            (one.submit, {"person": 1, "usd": D("0.1"), "cloud": False}),  # yesterday's promise still counts
            (one.release, {"number": 1, "cloud_usd": D("0.3")}),
            (one.release, {"number": 1, "cloud_usd": D("0.3")}),
            (one.submit, {"person": 1, "usd": D(3), "cloud": False}),
            (one.settle, {"number": 2, "share": D(1), "cloud_usd": ZERO}),
            (one.next_day, {}),
            (one.submit, {"person": 1, "usd": D(3), "cloud": False}),
            (one.settle, {"number": 3, "share": D(1), "cloud_usd": ZERO}),
            (one.next_day, {}),
            (one.submit, {"person": 1, "usd": D("1.7"), "cloud": False}),  # above the person's month
        ]
        for act, values in steps:
            act(**values)
            check()


def test_the_right_design_survives_the_directed_history() -> None:
    walk()


RIGHT_WRITE, RIGHT_ENTRY, RIGHT_ROOMS, RIGHT_CORRECT = booking.write, charges._entry, caps._rooms, charges.correct_job


def book_always(line: Line, *, frees: Decimal = ZERO) -> bool:
    """The key is only a name."""
    return RIGHT_WRITE(
        Line(**{name: getattr(line, name) for name in Line.__slots__} | {"key": uuid4().hex}), frees=frees
    )


def tell_again(money: JobMoney, *, usd: Decimal, book: Book, note: str, once: str = "") -> bool:
    """A finding has no name."""
    return RIGHT_CORRECT(money, usd=usd, book=book, note=note)


def blind_write(line: Line, *, frees: Decimal = ZERO) -> bool:
    """A spend does not use up its promise."""
    return RIGHT_WRITE(line)


def give_all_back(money: JobMoney, book: Book, usd: Decimal, note: str) -> None:
    """The whole promise is given back, whatever was spent."""
    reserve = RIGHT_ENTRY(money, book, Kind.RESERVE)
    if usd:
        RIGHT_WRITE(charges._line(money, book, Kind.SPEND, usd))
    RIGHT_WRITE(charges._line(money, book, Kind.RELEASE, reserve.usd if reserve else ZERO))


def keep_the_rest(money: JobMoney, book: Book, usd: Decimal, note: str) -> None:
    """A spend is all that is booked; the promise stays."""
    RIGHT_WRITE(charges._line(money, book, Kind.SPEND, usd))


def rooms_without(*, promised: bool = True, month: bool = True) -> Callable[..., Any]:
    def rooms(scope: str, limits: Any, promised_usd: Decimal, spent: Any, policy: GpuConfig) -> Any:
        limits = limits if month else (limits[0], None)
        return RIGHT_ROOMS(scope, limits, promised_usd if promised else ZERO, spent, policy)

    return rooms


def nothing(*_args: Any, **_options: Any) -> None:
    """It is simply left out."""


WRONG: dict[str, list[tuple[object, str, object]]] = {
    "no caps": [(caps, "check", nothing)],
    "only what is spent counts": [(caps, "_rooms", rooms_without(promised=False))],
    "the month is forgotten": [(caps, "_rooms", rooms_without(month=False))],
    "cloud calls stand under no cap of the site": [(caps, "site_rooms", lambda _policy: ())],
    "keys are only names": [(charges, "write", book_always), (charges, "_entry", lambda *_: None)],
    "a spend uses nothing of its promise": [(charges, "write", blind_write)],
    "everything is given back": [(charges, "_close_book", give_all_back)],
    "nothing is given back": [(charges, "_close_book", keep_the_rest)],
    "totals are not moved": [(booking, "_move_total", nothing)],
    "promises are not added up": [(booking, "_move_promise", nothing)],
    "corrections are booked as often as they are told": [(charges, "correct_job", tell_again)],
}


@pytest.mark.parametrize("name", list(WRONG))
def test_a_wrong_design_is_found_out(name: str) -> None:
    with ExitStack() as wrong:
        for place, attribute, value in WRONG[name]:
            wrong.enter_context(mock.patch.object(place, attribute, value))
        with pytest.raises(AssertionError):
            walk()
