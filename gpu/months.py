"""A calendar month of UTC: what spending is looked at by."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format

PATTERN = r"^20[0-9]{2}-(0[1-9]|1[0-2])$"


@dataclass(frozen=True, slots=True, order=True)
class Month:
    year: int
    number: int  # 1 to 12

    @classmethod
    def now(cls) -> "Month":
        return cls.of(timezone.now().astimezone(UTC).date())

    @classmethod
    def of(cls, day: date) -> "Month":
        return cls(day.year, day.month)

    @classmethod
    def parse(cls, text: str) -> "Month | None":
        """ "2026-11"; None for anything else."""
        return cls(int(text[:4]), int(text[5:])) if re.fullmatch(PATTERN, text, re.ASCII) else None

    @property
    def first(self) -> date:
        return date(self.year, self.number, 1)

    @property
    def last(self) -> date:
        return date(self.year, self.number, monthrange(self.year, self.number)[1])

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=number) for number in range(self.last.day)]

    @property
    def since(self) -> datetime:
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def until(self) -> datetime:
        """The first moment that is no longer in it."""
        return datetime.combine(self.last + timedelta(days=1), datetime.min.time(), UTC)

    @property
    def is_now(self) -> bool:
        return self == Month.now()

    @property
    def label(self) -> str:
        """ "November 2026", in the reader's language."""
        return date_format(self.first, "F Y")

    def __str__(self) -> str:
        return f"{self.year}-{self.number:02}"
