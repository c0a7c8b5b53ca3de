"""The knobs of a made-up company, and the working days on which its people work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from coachbook.errors import Invalid
from coachbook.text import N_, Locale

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

EPOCH = date(1970, 1, 1)
WARM_UP_DAYS = 400
"""The company has been at work for so long before the files begin, so that they begin in midstream."""
AFTER_DAYS = 1500
"""Calendar behind the last day: what becomes of open deals, for the truth and for expected close dates."""
WEEK = 5
"""Working days."""
WORKING_HOURS = 9 * 3600
OPENING = time(9)
ZONES = {Locale.EN: "America/New_York", Locale.ZH_CN: "Asia/Shanghai"}
_FEASTS = {Locale.EN: ((1, 1), (7, 4), (12, 25)), Locale.ZH_CN: ((1, 1), (5, 1), (10, 1), (10, 2), (10, 3))}
_SPRING_FESTIVALS = (
    (date(2024, 2, 10), date(2024, 2, 17)),
    (date(2025, 1, 28), date(2025, 2, 4)),
    (date(2026, 2, 15), date(2026, 2, 23)),
)


@dataclass(frozen=True, kw_only=True)
class World:
    """How a made-up company works. Each knob at 0 turns its effect off.

    Log-odds are those of surviving a stage; deviations are standard deviations; shares lie in [0, 1].
    """

    reps: int = 28
    """Sellers altogether; managers, a director and one person in operations come on top."""
    teams: int = 4
    months: int = 18
    seed: int = 1
    locale: Locale = Locale.EN
    end: date = date(2026, 9, 30)
    """Last day of the files."""
    deals_per_month: float = 11.3
    """New deals of an ordinary rep, at work all month."""
    frailty: float = 0.7
    """Deviation of a deal's hidden quality (log-odds); it drives winning, speed, touches and pushes alike."""
    skill_spread: float = 0.35
    """Deviation of the reps' skill (log-odds), over all segments and in each."""
    seasonality: float = 0.25
    """How far the year's best and worst months are from an ordinary one (log)."""
    month_end_rush: float = 0.35
    """Share of winning deals that are signed in the last days of their month only."""
    week_correlation: float = 0.7
    """Correlation of good and bad spells from one week to the next; the spells' size stays."""
    turnover: float = 0.14
    """Share of reps who join within the months of the files, and share who leave."""
    leaves: float = 0.08
    """Share of reps who are away for some weeks."""
    team_changes: float = 0.08
    """Share of reps who change teams; nobody does in the last three months."""
    owner_changes: float = 0.01
    """Share of stage changes with which the deal passes to another of the team; leavers' deals always do."""
    skips: float = 0.06
    regressions: float = 0.05
    """Shares of stage changes that leave a stage out, or go back one."""
    hops: float = 0.015
    """Share of stages left in the very second in which they were entered."""
    reopenings: float = 0.03
    """Share of lost deals that are taken up again; of won ones a tenth of it."""
    pushes: float = 1.0
    """How eagerly close dates that have passed are moved on; 0: never."""
    amount_changes: float = 0.18
    """Share of stage changes that bring a new amount."""
    late_entry: float = 0.08
    """Share of changes that are entered hours to weeks late."""
    default_dates: float = 0.06
    """Share of deals created with the last day of that month as close date, as a CRM would set it."""
    empty_amounts: float = 0.04
    """Share of deals created without an amount; some never get one."""
    deletions: float = 0.003
    """Share of stage changes that turn out to be a duplicate's, whose record is deleted."""
    renewals: float = 0.18
    """Share of deals that renew a contract."""
    second_currency: float = 0.2
    """Share of customers who pay in the other currency."""
    coached: float = 0.2
    """Share of reps who are coached from a day two thirds through the months of the files."""
    coaching: float = 0.5
    """What coaching adds from that day on (log-odds)."""
    dirt: bool = False
    """Whether the files get faults of the kinds that real exports have."""

    def __post_init__(self) -> None:
        """Refuse a company that cannot be.

        Raises
        ------
        Invalid
            More teams than reps.
        """
        if self.teams > self.reps:
            raise Invalid(
                N_("{reps} reps cannot fill {teams} teams. Take at most {reps} teams."),
                reps=self.reps, teams=self.teams,
            )  # fmt: skip

    @property
    def start(self) -> date:
        """First day of the files."""
        return months_before(self.end, self.months)

    @property
    def currencies(self) -> tuple[str, str]:
        """The reporting currency, and the other one."""
        return ("CNY", "USD") if self.locale is Locale.ZH_CN else ("USD", "CNY")

    @property
    def last_quarter(self) -> date:
        """First day of the last three months."""
        return months_before(self.end, 3)

    def random(self, *purpose: int) -> np.random.Generator:
        """The stream of random numbers for one purpose: the same seed gives the same company."""
        return np.random.default_rng([self.seed, *purpose])


@dataclass(frozen=True)
class Clock:
    """Time as the simulator counts it: working days from the warm-up's first on, the fraction being the hour.

    So nothing ever happens at night or on a day off, and the order of what happens is kept.
    """

    world: World

    @cached_property
    def days(self) -> Ints:
        """The working days, as days since 1970-01-01."""
        first = _ordinal(self.world.start) - WARM_UP_DAYS
        span = range(first, _ordinal(self.world.end) + AFTER_DAYS)
        return np.array([day for day in span if not self._off(EPOCH + timedelta(day))], dtype=np.int64)

    def _off(self, day: date) -> bool:
        spring = self.world.locale is Locale.ZH_CN and any(a <= day <= b for a, b in _SPRING_FESTIVALS)
        return day.weekday() > 4 or (day.month, day.day) in _FEASTS[self.world.locale] or spring

    @cached_property
    def openings(self) -> Ints:
        """When each working day begins, in seconds since 1970 (UTC)."""
        zone = ZoneInfo(ZONES[self.world.locale])
        days = [EPOCH + timedelta(int(day)) for day in self.days]
        return np.array(
            [int(datetime.combine(day, OPENING, zone).timestamp()) for day in days], dtype=np.int64
        )

    @cached_property
    def month_ends(self) -> Ints:
        """For each working day, the last one of its month."""
        months = self.days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        return np.searchsorted(months, months, side="right") - 1

    @cached_property
    def _next(self) -> Ints:
        """For each calendar day from the first on, the working day on or after it."""
        return np.searchsorted(self.days, np.arange(self.days[0], self.days[-1] + 1)).astype(np.int64)

    def at(self, day: Any) -> Any:
        """The working day on or after a day (days since 1970); days outside the calendar count as its ends."""
        return self._next[np.clip(np.asarray(day, dtype=np.int64) - self.days[0], 0, len(self._next) - 1)]

    def on(self, day: date) -> int:
        """The working day on or after a date."""
        return int(self.at(_ordinal(day)))

    def day(self, when: Floats) -> Ints:
        """The day (since 1970) of a time."""
        return self.days[np.clip(when, 0, len(self.days) - 1).astype(np.int64)]

    def seconds(self, when: Floats) -> Ints:
        """Seconds since 1970 (UTC) of a time."""
        whole = np.clip(when, 0, len(self.days) - 1).astype(np.int64)
        return self.openings[whole] + ((when - np.floor(when)) * WORKING_HOURS).astype(np.int64)

    @property
    def first(self) -> int:
        """The first working day of the files."""
        return self.on(self.world.start)

    @property
    def last(self) -> int:
        """The first working day behind the files."""
        return self.on(self.world.end + timedelta(1))

    @property
    def coached_from(self) -> int:
        """The working day from which the coached are coached."""
        return self.on(coached_from(self.world))

    @cached_property
    def season(self) -> Floats:
        """What each week is like, against an ordinary one."""
        middle = self.days[np.minimum(np.arange(self.weeks) * WEEK + 2, len(self.days) - 1)]
        month = middle.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
        return np.exp(self.world.seasonality * np.array(_YEAR)[month])

    @property
    def weeks(self) -> int:
        """Weeks of five working days in the calendar."""
        return -(-len(self.days) // WEEK)


_YEAR = (-0.6, -0.8, 0.3, -0.1, 0.2, 0.7, -0.5, -1.0, 0.5, 0.3, 1.0, 0.4)
"""January to December."""


def coached_from(world: World) -> date:
    """The first day of the month from which the coached are coached."""
    return months_before(world.end, max(1, world.months // 3))


def months_before(day: date, months: int) -> date:
    """First day of so many months that end with that of a day."""
    first = day.year * 12 + day.month - months
    return date(first // 12, first % 12 + 1, 1)


def end_of_day(day: date) -> int:
    """The end of a day in seconds since 1970 (UTC)."""
    return int(datetime.combine(day + timedelta(1), time(), UTC).timestamp())


def _ordinal(day: date) -> int:
    return (day - EPOCH).days
