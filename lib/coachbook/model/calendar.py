"""Working days: of a country, with its make-up workdays, and with a company's own list laid over them."""

from __future__ import annotations

import csv
import re
import warnings as python_warnings
from calendar import isleap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, lru_cache
from io import StringIO
from itertools import accumulate, groupby

from coachbook.errors import Invalid, nearest
from coachbook.model.periods import YEARS, FiscalYear, Period, Span
from coachbook.model.quality import Sentence
from coachbook.text import N_

KINDS = {"working": True, "holiday": False}
"""What a row of the override file may say of a day."""

_FIRST_NUMBERED = 2000
_MAKE_UP_SINCE = {"CN": 2000}
"""Countries that move workdays to weekends in every year. Others do so in some years only (Hungary, Russia) or
have given it up (Taiwan): there a year without any tells nothing."""
_NO_MAKE_UP = {
    "CN": N_(
        "The working calendar of China has no make-up workdays for {years} yet, so that numbers of working days may be wrong. Update coachbook, or write the official list into calendar.csv."
    )
}
_DAY = re.compile(r"(\d{4})[-/](\d\d?)[-/](\d\d?)")


@dataclass(frozen=True)
class Override:
    """What a company says of one day, whatever its country's calendar says."""

    day: date
    working: bool


@dataclass(frozen=True)
class WorkingCalendar:
    """Which days are worked.

    Parameters
    ----------
    country
        ISO 3166 code like `CN`; empty: Monday to Friday, no holidays.
    subdivision
        ISO 3166-2 code without the country, like `CA`.
    overrides
        Days on which the company differs, at most one for a day.
    """

    country: str = ""
    subdivision: str = ""
    overrides: tuple[Override, ...] = ()

    def is_working(self, day: date) -> bool:
        """Whether that day is worked."""
        return self.year(day.year)[_index(day)]

    def working_days(self, span: Span) -> int:
        """How many days of the span are worked."""
        return self.number(span.last) - self.number(span.first - timedelta(days=1))

    def number(self, day: date) -> int:
        """How many days are worked from 2000-01-01 up to and including `day`.

        The difference of two numbers counts the working days after the one day up to the other.
        """
        later = sum(sum(self.year(year)) for year in range(_FIRST_NUMBERED, day.year))
        earlier = sum(sum(self.year(year)) for year in range(day.year, _FIRST_NUMBERED))
        return later - earlier + sum(self.year(day.year)[: _index(day) + 1])

    @property
    def has_make_up(self) -> bool:
        """Whether the country moves workdays to weekends in every year."""
        return self.country in _MAKE_UP_SINCE

    def years_without_make_up(self, years: range) -> list[int]:
        """Years in which the country has make-up workdays, of which neither library nor overrides know any."""
        since = _MAKE_UP_SINCE.get(self.country, YEARS.stop)
        return [year for year in years if year >= since and not self._made_up(year)]

    def warnings(self, years: range) -> tuple[Sentence, ...]:
        """What a reader must know of figures that count working days of these years; mostly nothing."""
        unknown = enumerate(self.years_without_make_up(years))
        runs = [
            [year for _i, year in run] for _shift, run in groupby(unknown, lambda found: found[1] - found[0])
        ]
        spans = tuple("–".join(map(str, sorted({run[0], run[-1]}))) for run in runs)
        return (Sentence(_NO_MAKE_UP[self.country], {"years": spans}),) if spans else ()

    def year(self, year: int) -> list[bool]:
        """For each day of the year, whether it is worked."""
        days = list(_national(self.country, self.subdivision, year))
        for override in self._own.get(year, ()):
            days[_index(override.day)] = override.working
        return days

    @cached_property
    def _own(self) -> dict[int, list[Override]]:
        years: dict[int, list[Override]] = {}
        for override in self.overrides:
            years.setdefault(override.day.year, []).append(override)
        return years

    def _made_up(self, year: int) -> bool:
        first = date(year, 1, 1).weekday()
        return any(working and (first + i) % 7 > 4 for i, working in enumerate(self.year(year)))


def days(
    first: date, last: date, *, working: WorkingCalendar, fiscal: FiscalYear | None = None
) -> dict[str, Sequence[object]]:
    """Every day from `first` to `last` with what is counted and grouped by, as columns.

    Returns
    -------
    dict
        `day`, `is_working`, `number` (see `WorkingCalendar.number`); ids of the periods with that day: `month`,
        `quarter`, `week`, `year`, and `fiscal_month`, `fiscal_quarter`, `fiscal_year` (None without one).
    """
    count = (last - first).days + 1
    flags = [flag for year in range(first.year, last.year + 1) for flag in working.year(year)]
    flags = flags[_index(first) :][:count]
    before = working.number(first - timedelta(days=1))
    columns: dict[str, Sequence[object]] = {
        "day": [first + timedelta(days=later) for later in range(count)],
        "is_working": flags,
        "number": [*accumulate(flags, initial=before)][1:],
    }
    for kind in ("month", "quarter", "week", "year"):
        columns[kind] = _ids(kind, first, last, None)
    for kind in ("month", "quarter", "year"):
        columns[f"fiscal_{kind}"] = _ids(kind, first, last, fiscal) if fiscal else [None] * count
    return columns


def countries() -> dict[str, list[str]]:
    """Countries whose working days are known, by ISO 3166 code, with the codes of their subdivisions."""
    import holidays

    return holidays.list_supported_countries(include_aliases=False)


def read_overrides(text: str, *, origin: str) -> tuple[Override, ...]:
    """Read an override file: `day,kind,name`, kind `working` or `holiday`; the name is for its readers.

    Raises
    ------
    Invalid
        Names the file, the line, the value, and what would be right.
    """
    rows = csv.DictReader(StringIO(text), skipinitialspace=True, strict=True)
    found: dict[date, tuple[int, Override]] = {}
    try:
        _check_header(rows.fieldnames or [], origin)
        for row in rows:
            override = _override(row.get("day") or "", row.get("kind") or "", file=origin, line=rows.line_num)
            earlier, _other = found.setdefault(override.day, (rows.line_num, override))
            if earlier != rows.line_num:
                raise Invalid(
                    N_("{file}, line {line}: {value} stands in line {earlier} already. Leave one of the two."),
                    file=origin, line=rows.line_num, value=override.day.isoformat(), earlier=earlier,
                )  # fmt: skip
    except csv.Error as error:
        raise Invalid(
            N_("{file}, line {line}: {problem}. Write lines like {example}."),
            file=origin, line=rows.line_num + 1, problem=error, example="2026-02-14,working,",
        ) from None  # fmt: skip
    return tuple(override for _day, (_line, override) in sorted(found.items()))


def _check_header(names: Sequence[str], origin: str) -> None:
    for column in ("day", "kind"):
        if column not in names:
            raise Invalid(
                N_("{file} has no column {column}. Its first line has to be: {header}"),
                file=origin, column=column, header="day,kind,name",
            )  # fmt: skip


def _override(day: str, kind: str, **place: object) -> Override:
    found = _DAY.fullmatch(day.strip())
    try:
        read = date(*map(int, found.groups())) if found else None
    except ValueError:
        read = None
    if read is None or read.year not in YEARS:
        raise Invalid(
            N_("{file}, line {line}: {value} is not a day. Write it like {example}."),
            value=f"“{day}”", example="2026-02-14", **place,
        )  # fmt: skip
    if kind.strip() not in KINDS:
        raise Invalid(
            N_("{file}, line {line}: {value} is not a kind of day. Write {known}."),
            value=f"“{kind}”", known=nearest(kind, list(KINDS)), **place,
        )  # fmt: skip
    return Override(read, KINDS[kind.strip()])


def _index(day: date) -> int:
    """Where a day stands in its year, from 0."""
    return day.timetuple().tm_yday - 1


def _ids(kind: str, first: date, last: date, fiscal: FiscalYear | None) -> list[object]:
    """The id of the period of that kind, for every day."""
    ids: list[object] = []
    for period in Period.covering(kind, first, last, fiscal):
        inside = Span(max(period.span.first, first), min(period.span.after, last + timedelta(days=1)))
        ids += [period.id] * inside.length_days
    return ids


@lru_cache(maxsize=2048)
def _national(country: str, subdivision: str, year: int) -> tuple[bool, ...]:
    """For each day of a year, whether the country works; neighbouring years move days across New Year."""
    days = [date(year, 1, 1) + timedelta(days=later) for later in range(365 + isleap(year))]
    if not country:
        return tuple(day.weekday() < 5 for day in days)
    import holidays

    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")  # it warns of years for which it holds no moving feasts
        known = holidays.country_holidays(
            country, subdiv=subdivision or None, years=(year - 1, year, year + 1), expand=False
        )
    return tuple(known.is_working_day(day) for day in days)
