"""Periods: `2026-10`, `2026-Q3`, `2026-W41`, `2026`; of a fiscal year `FY2026-P07`, `FY2026-Q3`, `FY2026`."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import accumulate
from typing import Self

from coachbook.errors import Invalid
from coachbook.text import N_, _, number

_FORMS = {
    "month": re.compile(r"(?:(\d{4})-|FY(\d{4})-P)(0[1-9]|1[0-2])"),
    "quarter": re.compile(r"(?:(\d{4})|FY(\d{4}))-Q([1-4])"),
    "week": re.compile(r"(\d{4})()-W(0[1-9]|[1-4]\d|5[0-3])"),
    "year": re.compile(r"(?:(\d{4})|FY(\d{4}))()"),
}
YEARS = range(1900, 2200)
"""Years that a day or a period may name; a typing error beyond them is told, and arithmetic stays in range."""
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS_IN = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, order=True)
class Span:
    """Days from `first` up to, not including, `after`."""

    first: date
    after: date

    @property
    def last(self) -> date:
        """The last day inside."""
        return self.after - timedelta(days=1)

    @property
    def length_days(self) -> int:
        """How many calendar days."""
        return (self.after - self.first).days


@dataclass(frozen=True)
class FiscalYear:
    """How a company's year runs. It is named by the calendar year in which it ends: FY2026 may start in 2025.

    Parameters
    ----------
    starts
        Month and day (at most the 28th) on which it starts; for a year of whole weeks, near which.
    pattern
        `months`, or the weeks of each quarter's three months, like `4-4-5`. A 53rd week lengthens the last.
    week_starts
        Weekday on which a year of whole weeks starts, in English.
    rule
        `nearest`: it starts on that weekday nearest to `starts`; `last`: on the last one up to `starts`.
    """

    starts: str = "01-01"
    pattern: str = "months"
    week_starts: str = "sunday"
    rule: str = "nearest"

    def first(self, year: int) -> date:
        """The day on which the year of that name starts."""
        month, day = map(int, self.starts.split("-"))
        near = date(year if self.starts == "01-01" else year - 1, month, day)
        if self.pattern == "months":
            return near
        late = (near.weekday() - WEEKDAYS.index(self.week_starts)) % 7
        return near + timedelta(days=7 - late if self.rule == "nearest" and late > 3 else -late)

    def edges(self, year: int) -> list[date]:
        """The days on which its twelve months start, and the day after the last."""
        first = self.first(year)
        if self.pattern == "months":
            return [_month(first, later) for later in range(13)]
        weeks = [int(count) for count in self.pattern.split("-")] * 4
        starts = [first + timedelta(weeks=passed) for passed in accumulate(weeks[:-1], initial=0)]
        return [*starts, self.first(year + 1)]

    def of(self, day: date) -> int:
        """The name of the year in which a day lies."""
        return max(year for year in range(day.year - 1, day.year + 3) if self.first(year) <= day)


CALENDAR = FiscalYear()
"""The calendar's own year."""


@dataclass(frozen=True)
class Period:
    """A period; `kind` is month, quarter, week (ISO 8601) or year; `fiscal` is the year that it is part of, if
    that is not the calendar's own.
    """

    kind: str
    year: int
    number: int
    fiscal: FiscalYear | None = None

    @classmethod
    def parse(cls, text: str, fiscal: FiscalYear | None = None) -> Self:
        """Read `2026-10`, `2026-Q3`, `2026-W41` or `2026`; with a fiscal year also `FY2026-P07` and the like.

        Raises
        ------
        Invalid
            Names the text and a valid form of each kind; or says how to set a fiscal year.
        """
        for kind, form in _FORMS.items():
            if not (found := form.fullmatch(text)):
                continue
            year, fiscal_year, part = found.groups()
            if fiscal_year and not fiscal:
                raise _no_fiscal_year(text)
            period = cls(kind, int(year or fiscal_year), int(part or 1), fiscal if fiscal_year else None)
            if period.year in YEARS and period._exists:
                return period
        raise _no_period(text)

    @classmethod
    def containing(cls, kind: str, day: date, fiscal: FiscalYear | None = None) -> Self:
        """The period of that kind in which a day lies; weeks are ISO weeks whatever the fiscal year."""
        if kind == "week":
            iso = day.isocalendar()
            return cls("week", iso.year, iso.week)
        calendar = fiscal or CALENDAR
        year = calendar.of(day)
        month = bisect_right(calendar.edges(year), day)
        return cls(kind, year, -(-month // _MONTHS_IN[kind]), fiscal)

    @classmethod
    def covering(cls, kind: str, first: date, last: date, fiscal: FiscalYear | None = None) -> Iterator[Self]:
        """The periods of that kind from the one with the day `first` to the one with `last`."""
        period = cls.containing(kind, first, fiscal)
        while period.span.first <= last:
            yield period
            period = cls.containing(kind, period.span.after, fiscal)

    @property
    def id(self) -> str:
        """As users and files write it; `parse` reads it back."""
        year, part = f"{'FY' if self.fiscal else ''}{self.year:04}", self.number
        return {
            "month": f"{year}-{'P' if self.fiscal else ''}{part:02}",
            "quarter": f"{year}-Q{part}",
            "week": f"{year}-W{part:02}",
            "year": year,
        }[self.kind]

    @property
    def span(self) -> Span:
        """First day, and the day after the last."""
        if self.kind == "week":
            first = date.fromisocalendar(self.year, self.number, 1)
            return Span(first, first + timedelta(days=7))
        edges, months = (self.fiscal or CALENDAR).edges(self.year), _MONTHS_IN[self.kind]
        return Span(edges[(self.number - 1) * months], edges[self.number * months])

    def until(self, as_of: date) -> Span:
        """The part of the period that has passed at the end of the day `as_of`."""
        return Span(self.span.first, min(self.span.after, as_of + timedelta(days=1)))

    @property
    def previous(self) -> Self:
        """The adjacent earlier period of the same kind."""
        return self.containing(self.kind, self.span.first - timedelta(days=1), self.fiscal)

    @property
    def year_ago(self) -> Self:
        """The same period a year earlier; week 53 falls back to week 52."""
        earlier = replace(self, year=self.year - 1)
        return earlier if earlier._exists else replace(earlier, number=self.number - 1)

    def back(self, count: int) -> list[Self]:
        """This period and the `count` before it, oldest first."""
        periods = [self]
        for _step in range(count):
            periods.append(periods[-1].previous)
        return periods[::-1]

    @property
    def label(self) -> str:
        """As a reader says it, in the active language."""
        if self.kind == "month":
            if self.fiscal:
                return _("period {number} of FY{year}", number=number(self.number), year=self.year)
            return _(_MONTHS[self.number - 1], year=self.year)
        if self.kind == "quarter":
            return _((_FISCAL_QUARTERS if self.fiscal else _QUARTERS)[self.number - 1], year=self.year)
        if self.kind == "week":
            return _("week {week} of {year}", week=number(self.number), year=self.year)
        return _("FY{year}", year=self.year) if self.fiscal else _("the year {year}", year=self.year)

    @property
    def _exists(self) -> bool:
        """Not every ISO year has a week 53."""
        return self.kind != "week" or date(self.year, 12, 28).isocalendar().week >= self.number


def called(id: str) -> str:  # noqa: A002
    """The period of that id as a reader says it, in the active language; needs no workspace.

    Raises
    ------
    Invalid
        As `Period.parse`.
    """
    return Period.parse(id, CALENDAR).label


def _no_fiscal_year(text: str) -> Invalid:
    return Invalid(
        N_(
            "{value} is part of a fiscal year, and none is set. Write fiscal_year_starts under [calendar] in coachbook.toml and run coachbook facts, or name a period like {example}."
        ),
        value=f"“{text}”", example=text.removeprefix("FY").replace("P", ""),
    )  # fmt: skip


def _no_period(text: str) -> Invalid:
    if text[:2].upper() == "FY":
        message = N_(
            "{value} is not a period. Write a fiscal year like FY2021, a quarter of it like FY2021-Q4 or a month of it like FY2021-P07."
        )
    else:
        message = N_(
            "{value} is not a period. Write a month like 2021-10, a quarter like 2021-Q4, a week like 2021-W41 or a year like 2021."
        )
    return Invalid(message, value=f"“{text}”")


def _month(first: date, months_later: int) -> date:
    years, month = divmod(first.month - 1 + months_later, 12)
    return first.replace(year=first.year + years, month=month + 1)


_MONTHS = (
    N_("January {year}"), N_("February {year}"), N_("March {year}"), N_("April {year}"),
    N_("May {year}"), N_("June {year}"), N_("July {year}"), N_("August {year}"),
    N_("September {year}"), N_("October {year}"), N_("November {year}"), N_("December {year}"),
)  # fmt: skip
_QUARTERS = (
    N_("Q1 {year}"), N_("Q2 {year}"),
    N_("Q3 {year}"), N_("Q4 {year}"),
)  # fmt: skip
_FISCAL_QUARTERS = (
    N_("FY{year} Q1"), N_("FY{year} Q2"),
    N_("FY{year} Q3"), N_("FY{year} Q4"),
)  # fmt: skip


def parse_day(text: str) -> date:
    """Read an as-of day.

    Raises
    ------
    Invalid
        Names the text and the form.
    """
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) and int(text[:4]) in YEARS:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Invalid(N_("{value} is not a day. Write it like 2021-11-10."), value=f"“{text}”")
