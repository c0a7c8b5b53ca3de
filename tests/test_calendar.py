"""Working days against official lists; the override file; settings of the calendar; days in a time zone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coachbook.cli import run
from coachbook.errors import Invalid
from coachbook.model.calendar import Override, WorkingCalendar, days, read_overrides
from coachbook.model.periods import FiscalYear, Period, Span
from coachbook.settings import Calendar, Settings, Workspace
from coachbook.text import Locale, speaking
from coachbook.warehouse.database import in_memory

CHINA, AMERICA, PLAIN = WorkingCalendar("CN"), WorkingCalendar("US"), WorkingCalendar()
HEADER = "day,kind,name\n"


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]


def _year(year: int) -> list[date]:
    return _days(date(year, 1, 1), date(year, 12, 31))


# Official lists

OFF = {
    # 国办发明电〔2023〕7号, 国务院办公厅关于2024年部分节假日安排的通知, 2023-10-25
    2024: "01-01 02-10/02-17 04-04/04-06 05-01/05-05 06-10 09-15/09-17 10-01/10-07",
    # 国办发明电〔2024〕12号, 国务院办公厅关于2025年部分节假日安排的通知, 2024-11-12
    2025: "01-01 01-28/02-04 04-04/04-06 05-01/05-05 05-31/06-02 10-01/10-08",
    # 国办发明电〔2025〕7号, 国务院办公厅关于2026年部分节假日安排的通知, 2025-11-04
    2026: "01-01/01-03 02-15/02-23 04-04/04-06 05-01/05-05 06-19/06-21 09-25/09-27 10-01/10-07",
}
MAKE_UP = {
    2024: "02-04 02-18 04-07 04-28 05-11 09-14 09-29 10-12",
    2025: "01-26 02-08 04-27 09-28 10-11",
    2026: "01-04 02-14 02-28 05-09 09-20 10-10",
}


def _typed(year: int, text: str) -> set[date]:
    """`02-10/02-17` are all days from the one to the other, as the notices write them."""
    ends = [[date.fromisoformat(f"{year}-{day}") for day in part.split("/")] for part in text.split()]
    return {day for part in ends for day in _days(part[0], part[-1])}


@pytest.mark.parametrize("year", [2024, 2025, 2026])
def test_china_works_as_the_state_council_says(year: int) -> None:
    off, make_up = _typed(year, OFF[year]), _typed(year, MAKE_UP[year])
    assert all(day.weekday() > 4 for day in make_up), "a make-up workday is a Saturday or Sunday"
    worked = [day for day in _year(year) if day in make_up or (day.weekday() < 5 and day not in off)]
    assert [day for day in _year(year) if CHINA.is_working(day)] == worked


@pytest.mark.parametrize(
    ("calendar", "off"),
    [
        # U.S. Office of Personnel Management, 2026 holiday schedule
        (AMERICA, "01-01 01-19 02-16 05-25 06-19 07-03 09-07 10-12 11-11 11-26 12-25"),
        # gov.uk, bank holidays in England and Wales 2026
        (WorkingCalendar("GB", "ENG"), "01-01 04-03 04-06 05-04 05-25 08-31 12-25 12-28"),
        (PLAIN, ""),
    ],
    ids=["US", "GB-ENG", "none"],
)
def test_other_countries_rest_on_their_holidays(calendar: WorkingCalendar, off: str) -> None:
    rest = _typed(2026, off)
    assert {day for day in _year(2026) if day.weekday() < 5 and not calendar.is_working(day)} == rest
    assert not any(calendar.is_working(day) for day in _year(2026) if day.weekday() > 4)


def test_a_part_of_a_country_may_differ() -> None:
    assert WorkingCalendar("GB", "ENG").is_working(date(2026, 1, 2))
    assert not WorkingCalendar("GB", "SCT").is_working(date(2026, 1, 2))


def test_a_holiday_moved_across_new_year() -> None:
    """New Year's Day of 2022 was a Saturday: in America the Friday before it was off (OPM)."""
    assert not AMERICA.is_working(date(2021, 12, 31))


# Counting

CALENDARS = st.builds(
    lambda country, own: WorkingCalendar(country, "", tuple(Override(d, w) for d, w in own.items())),
    st.sampled_from(["", "CN", "US"]),
    st.dictionaries(st.dates(date(1995, 1, 1), date(2035, 1, 1)), st.booleans(), max_size=5),
)
SPANS = st.tuples(st.dates(date(1996, 1, 1), date(2030, 1, 1)), st.integers(0, 900)).map(
    lambda found: (found[0], found[0] + timedelta(days=found[1]))
)


@given(CALENDARS, SPANS)
@settings(deadline=None)
def test_a_difference_of_numbers_is_a_count_by_hand(
    calendar: WorkingCalendar, span: tuple[date, date]
) -> None:
    first, last = span
    by_hand = sum(calendar.is_working(day) for day in _days(first, last)[1:])
    assert calendar.number(last) - calendar.number(first) == by_hand
    inside = Span(first, last + timedelta(days=1))
    assert calendar.working_days(inside) == by_hand + calendar.is_working(first)


def test_numbers_start_with_the_century() -> None:
    """1 and 2 January 2000 were a weekend."""
    assert [PLAIN.number(date(2000, 1, day)) for day in (2, 3, 4)] == [0, 1, 2]
    assert PLAIN.number(date(1999, 12, 31)) == 0
    assert PLAIN.number(date(1999, 12, 30)) == -1


@given(CALENDARS, SPANS, st.sampled_from([None, FiscalYear("04-01"), FiscalYear("02-01", "4-5-4")]))
@settings(deadline=None)
def test_the_table_of_days_says_of_each_day_what_is_said_of_it_alone(
    calendar: WorkingCalendar, span: tuple[date, date], fiscal: FiscalYear | None
) -> None:
    table = days(*span, working=calendar, fiscal=fiscal)
    assert table["day"] == _days(*span)
    for i, day in list(enumerate(_days(*span)))[:: max(1, len(table["day"]) // 20)]:
        assert table["is_working"][i] == calendar.is_working(day)
        assert table["number"][i] == calendar.number(day)
        for kind in ("month", "quarter", "week", "year"):
            assert table[kind][i] == Period.containing(kind, day).id
        for kind in ("month", "quarter", "year"):
            expected = Period.containing(kind, day, fiscal).id if fiscal else None
            assert table[f"fiscal_{kind}"][i] == expected
    assert {len(column) for column in table.values()} == {len(_days(*span))}


def test_thirty_years_of_days_take_less_than_a_third_of_a_second() -> None:
    took = []
    for first in (1990, 2000, 2010):
        start = time.perf_counter()
        days(date(first, 1, 1), date(first + 29, 12, 31), working=CHINA, fiscal=FiscalYear("02-01", "4-4-5"))
        took.append(time.perf_counter() - start)
    assert min(took) < 0.3


# Years whose make-up workdays nobody knows

UNKNOWN_YET = 2061
"""The State Council tells a year's make-up workdays in the November before."""


def test_a_year_without_make_up_workdays_warns() -> None:
    assert CHINA.warnings(range(2024, 2027)) == ()
    [said] = map(str, CHINA.warnings(range(UNKNOWN_YET, UNKNOWN_YET + 1)))
    for part in ("China", str(UNKNOWN_YET), "calendar.csv"):
        assert part in said


def test_all_years_are_told_in_one_sentence() -> None:
    own = (Override(date(UNKNOWN_YET + 2, 5, 5), working=True),)
    assert own[0].day.weekday() > 4
    [told] = WorkingCalendar("CN", "", own).warnings(range(UNKNOWN_YET, UNKNOWN_YET + 4))
    assert "2061–2062, 2064" in str(told)
    with speaking(Locale.ZH_CN):
        assert "2061–2062、2064 年" in str(told)


@pytest.mark.parametrize("calendar", [AMERICA, PLAIN])
def test_a_country_without_make_up_workdays_never_warns(calendar: WorkingCalendar) -> None:
    assert calendar.warnings(range(1990, UNKNOWN_YET)) == ()


DEALS = f"""
as_of = {UNKNOWN_YET}-02-15
[reps]
file = "reps.csv"
[reps.columns]
rep_id = "rep"
name = "rep"
role = {{ constant = "rep" }}
[deals]
file = "deals.csv"
[deals.columns]
deal_id = "id"
rep_id = "rep"
status = {{ constant = "open" }}
created_on = {{ constant = "{UNKNOWN_YET}-01-03" }}
currency = {{ constant = "USD" }}
"""


@pytest.mark.parametrize(("country", "warned"), [("CN", 1), ("US", 0), ("", 0)])
def test_importing_and_computing_warn_of_such_a_year(
    country: str, warned: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"mapping.toml": DEALS, "deals.csv": "id,rep\nD1,R1\n", "reps.csv": "rep\nR1\n"}
    (tmp_path / "files").mkdir()
    for name, text in files.items():
        (tmp_path / "files" / name).write_text(text, encoding="utf-8")
    there = ["--workspace", str(tmp_path / "workspace")]
    Workspace.init(tmp_path / "workspace", settings=Settings(calendar=Calendar(country=country)))
    for command in (["import", str(tmp_path / "files")], ["facts", "--period", f"{UNKNOWN_YET}-01"]):
        assert run([*command, *there]) == 0
        said = capsys.readouterr().err
        assert said.count("calendar.csv") == said.count(f"for {UNKNOWN_YET} yet") == warned
        assert run([*command, *there, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)["warnings"]
        assert [str(UNKNOWN_YET) in text for text in told] == [True] * warned


def test_a_holiday_of_ones_own_is_no_make_up_workday() -> None:
    own = (Override(date(UNKNOWN_YET, 5, 4), working=False),)
    year = range(UNKNOWN_YET, UNKNOWN_YET + 1)
    assert WorkingCalendar("CN", "", own).years_without_make_up(year) == [UNKNOWN_YET]


# The override file


def test_overrides_win() -> None:
    own = read_overrides(
        HEADER + "2026-02-14,holiday,Founders' day\n\n2026/10/1, working ,\n2026-01-04,holiday,\n",
        origin="calendar.csv",
    )
    assert own == (
        Override(date(2026, 1, 4), working=False),
        Override(date(2026, 2, 14), working=False),
        Override(date(2026, 10, 1), working=True),
    )
    calendar = WorkingCalendar("CN", "", own)
    differ = [day for day in _year(2026) if calendar.is_working(day) != CHINA.is_working(day)]
    assert differ == [o.day for o in own]
    assert calendar.number(date(2026, 12, 31)) == CHINA.number(date(2026, 12, 31)) - 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ["calendar.csv", "day", "day,kind,name"]),
        ("day;kind;name\n2026-02-14;working;\n", ["day,kind,name"]),
        ("day,name\n2026-02-14,x\n", ["kind", "day,kind,name"]),
        (HEADER + "\n2026-02-14,working,\n2026-02-30,working,\n", ["line 4", "2026-02-30", "2026-02-14"]),
        (HEADER + "14.2.2026,working,\n", ["line 2", "14.2.2026", "2026-02-14"]),
        (HEADER + "0026-02-14,working,\n", ["line 2", "0026-02-14"]),
        (HEADER + "2026-02-14,work,\n", ["line 2", "“work”", "working"]),
        (HEADER + "2026-02-14\n", ["line 2", "“”", "working"]),
        (HEADER + "2026-02-14,working,\n2026-02-15,holiday,\n2026/2/14,holiday,\n", ["line 4", "line 2", "2026-02-14"]),
        (HEADER + '2026-02-14,working,"Spring\n', ["line 2", "2026-02-14,working"]),
    ],
    ids=["empty", "semicolons", "no kind", "no such day", "form", "year", "kind", "short", "twice", "quote"],
)  # fmt: skip
def test_a_faulty_override_file_is_told_with_the_line(text: str, told: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        read_overrides(text, origin="calendar.csv")
    for part in told:
        assert part in str(refused.value)


# Settings


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.init(tmp_path / "workspace", settings=Settings(calendar=Calendar(country="CN")))


def _again(workspace: Workspace) -> Settings:
    return Workspace(workspace.folder).settings


def test_what_calendar_csv_says_counts_and_is_kept_with_a_publish(workspace: Workspace) -> None:
    before = workspace.settings
    assert before.calendar.working == CHINA
    (workspace.folder / "calendar.csv").write_text(HEADER + "2026-02-14,holiday,春节\n", encoding="utf-8-sig")
    after = _again(workspace)
    assert after.calendar.working == WorkingCalendar("CN", "", (Override(date(2026, 2, 14), working=False),))
    assert after.digest != before.digest
    assert Settings.model_validate_json(after.reporting).calendar == after.calendar


def test_the_name_of_a_day_changes_no_figure(workspace: Workspace) -> None:
    digests = set()
    for name in ("春节", "Spring Festival"):
        (workspace.folder / "calendar.csv").write_text(
            f"{HEADER}2026-02-14,holiday,{name}\n", encoding="utf-8"
        )
        digests.add(_again(workspace).digest)
    assert len(digests) == 1


def test_calendar_csv_in_another_encoding_is_told(workspace: Workspace) -> None:
    (workspace.folder / "calendar.csv").write_text(HEADER + "2026-02-14,holiday,春节\n", encoding="gb18030")
    with pytest.raises(Invalid, match=r"calendar\.csv.*UTF-8"):
        _again(workspace)


def test_every_setting_of_the_calendar_stands_in_the_template(tmp_path: Path) -> None:
    calendar = Calendar(
        country="US", subdivision="CA", fiscal_year_starts="10-01", fiscal="4-4-5",
        fiscal_week_starts="monday", fiscal_rule="last",
    )  # fmt: skip
    workspace = Workspace.init(tmp_path / "workspace", settings=Settings(calendar=calendar))
    assert workspace.settings.calendar == calendar
    assert calendar.fiscal_year == FiscalYear("10-01", "4-4-5", "monday", "last")
    text = (workspace.folder / "coachbook.toml").read_text(encoding="utf-8")
    assert all(f"\n{key} = " in text for key in Calendar.model_fields if key != "overrides")


def test_without_settings_the_calendar_is_plain() -> None:
    assert Settings().calendar.working == PLAIN
    assert Settings().calendar.fiscal_year is None


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ('country = "China"', ["calendar.country", "China", "CN"]),
        ('country = "德国"', ["DE"]),
        ('country = "us"', ["US"]),
        ('country = "US"\nsubdivision = "CAL"', ["calendar.subdivision", "CAL", "CA"]),
        ('subdivision = "CA"', ["calendar.subdivision", "CA", '""']),
        ('fiscal_year_starts = "31-01"', ["calendar.fiscal_year_starts", "31-01", "04-01"]),
        ('fiscal_year_starts = "02-29"', ["02-29", "04-01"]),
        ('fiscal_year_starts = "02-01"\nfiscal = "445"', ["calendar.fiscal", "445", "4-4-5"]),
        ('fiscal = "4-4-5"', ["fiscal_year_starts", "02-01"]),
        ('fiscal_week_starts = "sundays"', ["calendar.fiscal_week_starts", "sundays", "sunday"]),
        ('fiscal_rule = "first"', ["calendar.fiscal_rule", "first", "nearest", "last"]),
        ('fiscal_starts = "04-01"', ["calendar.fiscal_starts", "calendar.fiscal_year_starts"]),
        ("overrides = []", ["calendar.overrides", "calendar.csv"]),
    ],
)
def test_a_wrong_setting_is_told_with_a_right_one(toml: str, told: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        Settings.read(f"[calendar]\n{toml}\n")
    for part in told:
        assert part in str(refused.value)


# Days in a time zone: DuckDB's own table of zones, offline

LOCAL = "SELECT (make_timestamp(?) AT TIME ZONE 'UTC') AT TIME ZONE ?"


@pytest.fixture(scope="module")
def local() -> Callable[[datetime, str], datetime]:
    connection = in_memory()

    def ask(instant: datetime, zone: str) -> datetime:
        microseconds = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        found = connection.execute(LOCAL, [microseconds, zone]).fetchone()
        assert found is not None
        return datetime.fromisoformat(str(found[0]))

    return ask


@pytest.mark.parametrize(
    ("instant", "zone", "expected"),
    [
        ("2026-10-08T15:59:59", "Asia/Shanghai", "2026-10-08T23:59:59"),
        ("2026-10-08T16:00:00", "Asia/Shanghai", "2026-10-09T00:00:00"),
        # Clocks go forward on 8 March 2026 and back on 1 November 2026 at 2:00
        ("2026-03-08T04:59:59", "America/New_York", "2026-03-07T23:59:59"),
        ("2026-03-08T06:59:59", "America/New_York", "2026-03-08T01:59:59"),
        ("2026-03-08T07:00:00", "America/New_York", "2026-03-08T03:00:00"),
        ("2026-03-09T03:59:59", "America/New_York", "2026-03-08T23:59:59"),
        ("2026-11-01T04:00:00", "America/New_York", "2026-11-01T00:00:00"),
        ("2026-11-02T04:59:59", "America/New_York", "2026-11-01T23:59:59"),
        ("2026-11-02T05:00:00", "America/New_York", "2026-11-02T00:00:00"),
        # Clocks go forward on 29 March 2026 and back on 25 October 2026 at 1:00 UTC
        ("2026-03-28T23:59:59", "Europe/London", "2026-03-28T23:59:59"),
        ("2026-03-29T23:00:00", "Europe/London", "2026-03-30T00:00:00"),
        ("2026-10-24T23:00:00", "Europe/London", "2026-10-25T00:00:00"),
        ("2026-10-25T23:59:59", "Europe/London", "2026-10-25T23:59:59"),
    ],
)
def test_a_local_day_around_a_change_of_clocks(
    local: Callable[[datetime, str], datetime], instant: str, zone: str, expected: str
) -> None:
    asked = datetime.fromisoformat(instant).replace(tzinfo=UTC)
    assert local(asked, zone) == datetime.fromisoformat(expected)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2037, 12, 31), timezones=st.just(UTC)),
    st.sampled_from(["Asia/Shanghai", "America/New_York", "Europe/London"]),
)
def test_local_time_is_that_of_the_time_zone_database(
    local: Callable[[datetime, str], datetime], instant: datetime, zone: str
) -> None:
    assert local(instant, zone) == instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
