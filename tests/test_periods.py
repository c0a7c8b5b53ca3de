"""Periods of the calendar and of fiscal years: literal days, published calendars, and that they tile time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coachbook.errors import Invalid
from coachbook.model.periods import CALENDAR, WEEKDAYS, FiscalYear, Period, Span, called, parse_day
from coachbook.text import Locale, speaking

APRIL = FiscalYear("04-01")
RETAIL = FiscalYear("02-01", "4-5-4", "sunday", "nearest")
SEPTEMBER = FiscalYear("10-01", "4-4-5", "sunday", "last")
ISO = FiscalYear("01-01", "4-4-5", "monday", "nearest")

DAYS = st.dates(date(1901, 1, 1), date(2198, 12, 31))
STARTS = st.tuples(st.integers(1, 12), st.integers(1, 28)).map(lambda start: f"{start[0]:02}-{start[1]:02}")
PATTERNS = ["4-4-5", "4-5-4", "5-4-4"]
WHOLE_WEEKS = st.builds(
    FiscalYear,
    STARTS,
    st.sampled_from(PATTERNS),
    st.sampled_from(WEEKDAYS),
    st.sampled_from(["nearest", "last"]),
)
FISCAL = st.builds(FiscalYear, STARTS) | WHOLE_WEEKS
KINDS = ["month", "quarter", "week", "year"]


@st.composite
def periods(draw: st.DrawFn) -> Period:
    fiscal = draw(st.none() | FISCAL)
    kind = draw(st.sampled_from([k for k in KINDS if k != "week" or fiscal is None]))
    return Period.containing(kind, draw(DAYS), fiscal)


# What they are


@pytest.mark.parametrize(
    ("text", "fiscal", "first", "last"),
    [
        ("2026-10", None, "2026-10-01", "2026-10-31"),
        ("2024-02", None, "2024-02-01", "2024-02-29"),
        ("2026-Q3", None, "2026-07-01", "2026-09-30"),
        ("2026-W41", None, "2026-10-05", "2026-10-11"),
        ("2020-W53", None, "2020-12-28", "2021-01-03"),
        ("2026", None, "2026-01-01", "2026-12-31"),
        ("2026-Q3", APRIL, "2026-07-01", "2026-09-30"),
        ("FY2026", APRIL, "2025-04-01", "2026-03-31"),
        ("FY2026-Q3", APRIL, "2025-10-01", "2025-12-31"),
        ("FY2026-P07", APRIL, "2025-10-01", "2025-10-31"),
        ("FY2026-P11", APRIL, "2026-02-01", "2026-02-28"),
        ("FY2026", FiscalYear("04-06"), "2025-04-06", "2026-04-05"),
        ("FY2026-P12", FiscalYear("04-06"), "2026-03-06", "2026-04-05"),
        ("FY2026", CALENDAR, "2026-01-01", "2026-12-31"),
    ],
)
def test_a_period_is_these_days(text: str, fiscal: FiscalYear | None, first: str, last: str) -> None:
    span = Period.parse(text, fiscal).span
    assert (span.first.isoformat(), span.last.isoformat()) == (first, last)


RETAIL_YEARS_OF_53_WEEKS = {2000, 2006, 2012, 2017, 2023}


def test_the_retail_calendar_as_published() -> None:
    """National Retail Federation, "4-5-4 Calendar: an explanation of the 53-week year". NRF names a year by
    its start, coachbook by its end."""
    weeks = {
        start: Period.parse(f"FY{start + 1}", RETAIL).span.length_days / 7 for start in range(2000, 2024)
    }
    assert weeks == {start: 53 if start in RETAIL_YEARS_OF_53_WEEKS else 52 for start in range(2000, 2024)}


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("FY2024", "2023-01-29", "2024-02-03"),
        ("FY2024-P12", "2023-12-31", "2024-02-03"),
        ("FY2025", "2024-02-04", "2025-02-01"),
        ("FY2025-P01", "2024-02-04", "2024-03-02"),
        ("FY2025-P02", "2024-03-03", "2024-04-06"),
        ("FY2025-P03", "2024-04-07", "2024-05-04"),
        ("FY2025-Q1", "2024-02-04", "2024-05-04"),
        ("FY2026", "2025-02-02", "2026-01-31"),
    ],
)
def test_months_of_the_retail_calendar_as_published(text: str, first: str, last: str) -> None:
    """National Retail Federation, 4-5-4 calendars of 2023 (53 weeks), 2024 and 2025."""
    span = Period.parse(text, RETAIL).span
    assert (span.first.isoformat(), span.last.isoformat()) == (first, last)


@pytest.mark.parametrize(
    ("year", "last", "weeks"),
    [
        (2017, "2017-09-30", 53),
        (2018, "2018-09-29", 52),
        (2022, "2022-09-24", 52),
        (2023, "2023-09-30", 53),
        (2024, "2024-09-28", 52),
    ],
)
def test_years_that_end_on_the_last_saturday_of_september(year: int, last: str, weeks: int) -> None:
    """Apple Inc., forms 10-K: "the 52- or 53-week period that ends on the last Saturday of September"."""
    span = Period.parse(f"FY{year}", SEPTEMBER).span
    assert (span.last.isoformat(), span.length_days / 7) == (last, weeks)


@given(DAYS)
def test_whole_weeks_from_the_monday_nearest_to_new_year_are_the_iso_year(day: date) -> None:
    assert Period.containing("year", day, ISO).year == day.isocalendar().year


# That they tile time


@given(periods())
def test_each_period_starts_where_the_one_before_it_ends(period: Period) -> None:
    assert period.previous.span.after == period.span.first
    assert period.previous.kind == period.kind


@given(st.sampled_from(KINDS), DAYS, st.none() | FISCAL)
def test_a_day_lies_in_the_period_that_contains_it(kind: str, day: date, fiscal: FiscalYear | None) -> None:
    span = Period.containing(kind, day, fiscal).span
    assert span.first <= day <= span.last


@given(periods())
def test_parse_reads_an_id_back(period: Period) -> None:
    assert Period.parse(period.id, period.fiscal) == period


@given(periods())
def test_a_year_ago_is_the_same_part_of_the_year_before(period: Period) -> None:
    earlier = period.year_ago
    assert (earlier.kind, earlier.year, earlier.fiscal) == (period.kind, period.year - 1, period.fiscal)
    assert earlier.number == period.number or (period.kind, period.number, earlier.number) == ("week", 53, 52)
    assert 350 < (period.span.first - earlier.span.first).days < 380


@given(st.none() | FISCAL, DAYS)
@example(FiscalYear("01-02", "4-4-5", "monday", "nearest"), date(2001, 12, 31))
def test_quarters_and_months_tile_their_year(fiscal: FiscalYear | None, day: date) -> None:
    year = Period.containing("year", day, fiscal)
    for kind, months in (("month", 1), ("quarter", 3)):
        parts = list(Period.covering(kind, year.span.first, year.span.last, fiscal))
        assert [part.number for part in parts] == list(range(1, 12 // months + 1))
        assert {part.year for part in parts} == {year.year}
        assert [part.span.first for part in parts[1:]] == [part.span.after for part in parts[:-1]]
        assert Span(parts[0].span.first, parts[-1].span.after) == year.span


@given(WHOLE_WEEKS, DAYS)
def test_whole_weeks(fiscal: FiscalYear, day: date) -> None:
    """52 or 53 of them, from the right weekday, by the rule; only the last month may be a week longer."""
    year = Period.containing("year", day, fiscal)
    start = date.fromisoformat(f"{year.year - (fiscal.starts != '01-01')}-{fiscal.starts}")
    ahead = (year.span.first - start).days
    assert year.span.length_days in (52 * 7, 53 * 7)
    assert WEEKDAYS[year.span.first.weekday()] == fiscal.week_starts
    assert -3 <= ahead <= 3 if fiscal.rule == "nearest" else -6 <= ahead <= 0
    months = Period.covering("month", year.span.first, year.span.last, fiscal)
    expected = [int(weeks) for weeks in fiscal.pattern.split("-")] * 4
    expected[-1] += year.span.length_days // 7 - 52
    assert [month.span.length_days / 7 for month in months] == expected


@given(periods(), st.integers(0, 20))
def test_back_gives_so_many_before_it_and_itself(period: Period, count: int) -> None:
    found = period.back(count)
    assert len(found) == count + 1
    assert found[-1] == period
    assert [p.previous for p in found[1:]] == found[:-1]


def test_until_ends_with_the_as_of_day() -> None:
    assert Period.parse("FY2026", APRIL).until(date(2025, 4, 30)) == Span(date(2025, 4, 1), date(2025, 5, 1))


def test_two_fiscal_years_are_not_the_same_period() -> None:
    assert Period.parse("FY2026", APRIL) != Period.parse("FY2026", RETAIL)
    assert replace(Period.parse("FY2026", APRIL), fiscal=None) == Period.parse("2026")


# Words


@pytest.mark.parametrize(
    ("text", "english", "chinese"),
    [
        ("2026-10", "October 2026", "2026年10月"),
        ("2026-Q3", "Q3 2026", "2026年第三季度"),
        ("2026-W41", "week 41 of 2026", "2026年第41周"),
        ("2026", "the year 2026", "2026年"),
        ("FY2026", "FY2026", "2026财年"),
        ("FY2026-Q3", "FY2026 Q3", "2026财年第三季度"),
        ("FY2026-P07", "period 7 of FY2026", "2026财年第7期"),
    ],
)
def test_labels(text: str, english: str, chinese: str) -> None:
    for locale, label in ((Locale.EN, english), (Locale.ZH_CN, chinese)):
        with speaking(locale):
            assert Period.parse(text, RETAIL).label == label
            assert called(text) == label


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-13",
        "2026-Q5",
        "2026-W54",
        "2021-W53",
        "2026-q3",
        "26-10",
        "1899",
        "2200",
        "2026-P07",
        "x" * 999,
    ],
)
def test_what_is_no_period_is_told_with_one_of_each_kind(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        Period.parse(text, APRIL)
    for part in (text[:60], "2021-10", "2021-Q4", "2021-W41", "2021."):
        assert part in str(refused.value)


@pytest.mark.parametrize("text", ["FY26", "FY2026-P13", "FY2026-P00", "FY2026-Q5", "fy2026", "FY2026-W41"])
def test_what_is_no_fiscal_period_is_told_with_fiscal_ones(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        Period.parse(text, APRIL)
    for part in (text, "FY2021", "FY2021-Q4", "FY2021-P07"):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("text", "instead"), [("FY2026", "2026."), ("FY2026-Q3", "2026-Q3."), ("FY2026-P07", "2026-07.")]
)
def test_without_a_fiscal_year_the_remedy_is_told(text: str, instead: str) -> None:
    with pytest.raises(Invalid) as refused:
        Period.parse(text)
    for part in (f"“{text}”", "fiscal_year_starts", "[calendar]", f"like {instead}"):
        assert part in str(refused.value)


@pytest.mark.parametrize("text", ["", "2026-02-30", "2026-2-3", "20260203", "0026-02-03", "9999-12-31"])
def test_what_is_no_day_is_told(text: str) -> None:
    with pytest.raises(Invalid, match="2021-11-10"):
        parse_day(text)


def test_a_day() -> None:
    assert parse_day("2024-02-29") == date(2024, 2, 28) + timedelta(days=1)
