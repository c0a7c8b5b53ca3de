"""Periods of the calendar: `2026-10`, `2026-Q3`, `2026-W41`, `2026`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from coachbook.errors import Invalid
from coachbook.text import N_, _, number

_FORMS = {
    "month": re.compile(r"(\d{4})-(0[1-9]|1[0-2])"),
    "quarter": re.compile(r"(\d{4})-Q([1-4])"),
    "week": re.compile(r"(\d{4})-W(0[1-9]|[1-4]\d|5[0-3])"),
    "year": re.compile(r"(\d{4})"),
}


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
class Period:
    """A calendar period; `kind` is month, quarter, week (ISO 8601) or year."""

    kind: str
    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read `2026-10`, `2026-Q3`, `2026-W41` or `2026`.

        Raises
        ------
        Invalid
            Names the text and a valid form of each kind.
        """
        for kind, form in _FORMS.items():
            found = form.fullmatch(text)
            if not found:
                continue
            parts = [int(part) for part in found.groups()]
            period = cls(kind, parts[0], parts[1] if len(parts) > 1 else 1)
            if _exists(period):
                return period
        raise Invalid(
            N_(
                "{value} is not a period. Write a month like 2021-10, a quarter like 2021-Q4, a week like 2021-W41 or a year like 2021."
            ),
            value=f"“{text}”",
        )

    @classmethod
    def containing(cls, kind: str, day: date) -> Period:
        """The period of that kind in which a day lies."""
        if kind == "week":
            iso = day.isocalendar()
            return cls("week", iso.year, iso.week)
        number = {"month": day.month, "quarter": (day.month + 2) // 3, "year": 1}[kind]
        return cls(kind, day.year, number)

    @property
    def id(self) -> str:
        """As users and files write it; `parse` reads it back."""
        return {
            "month": f"{self.year:04}-{self.number:02}",
            "quarter": f"{self.year:04}-Q{self.number}",
            "week": f"{self.year:04}-W{self.number:02}",
            "year": f"{self.year:04}",
        }[self.kind]

    @property
    def span(self) -> Span:
        """First day, and the day after the last."""
        if self.kind == "week":
            first = date.fromisocalendar(self.year, self.number, 1)
            return Span(first, first + timedelta(days=7))
        months = {"month": 1, "quarter": 3, "year": 12}[self.kind]
        start = (self.number - 1) * months
        return Span(_month(self.year, start), _month(self.year, start + months))

    def until(self, as_of: date) -> Span:
        """The part of the period that has passed at the end of the day `as_of`."""
        return Span(self.span.first, min(self.span.after, as_of + timedelta(days=1)))

    @property
    def previous(self) -> Period:
        """The adjacent earlier period of the same kind."""
        return Period.containing(self.kind, self.span.first - timedelta(days=1))

    @property
    def year_ago(self) -> Period:
        """The same period a year earlier; week 53 falls back to week 52."""
        earlier = Period(self.kind, self.year - 1, self.number)
        return earlier if _exists(earlier) else Period(self.kind, self.year - 1, self.number - 1)

    def back(self, count: int) -> list[Period]:
        """This period and the `count` before it, oldest first."""
        periods = [self]
        for _step in range(count):
            periods.append(periods[-1].previous)
        return periods[::-1]

    @property
    def label(self) -> str:
        """As a reader says it, in the active language."""
        if self.kind == "month":
            return _(_MONTHS[self.number - 1], year=self.year)
        if self.kind == "quarter":
            return _(_QUARTERS[self.number - 1], year=self.year)
        if self.kind == "week":
            return _("week {week} of {year}", week=number(self.number), year=self.year)
        return _("the year {year}", year=self.year)


def _exists(period: Period) -> bool:
    """Years 2..9998 leave room for a year either side; not every ISO year has a week 53."""
    if not 2 <= period.year <= 9998:
        return False
    if period.kind != "week":
        return True
    return date(period.year, 12, 28).isocalendar().week >= period.number


def _month(year: int, months_after_january: int) -> date:
    return date(year + months_after_january // 12, months_after_january % 12 + 1, 1)


_MONTHS = (
    N_("January {year}"), N_("February {year}"), N_("March {year}"), N_("April {year}"),
    N_("May {year}"), N_("June {year}"), N_("July {year}"), N_("August {year}"),
    N_("September {year}"), N_("October {year}"), N_("November {year}"), N_("December {year}"),
)  # fmt: skip
_QUARTERS = (
    N_("first quarter of {year}"), N_("second quarter of {year}"),
    N_("third quarter of {year}"), N_("fourth quarter of {year}"),
)  # fmt: skip


def parse_day(text: str) -> date:
    """Read an as-of day.

    Raises
    ------
    Invalid
        Names the text and the form.
    """
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Invalid(N_("{value} is not a day. Write it like 2021-11-10."), value=f"“{text}”")
