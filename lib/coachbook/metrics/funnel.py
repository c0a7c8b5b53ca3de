"""What came in, moved, converted and stayed, by stage: for every rep, every team and all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import date, timedelta
from functools import cached_property
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import pandas as pd
from duckdb import DuckDBPyConnection

from coachbook.metrics.judging import NOT_ENOUGH
from coachbook.metrics.visits import Visits
from coachbook.model.findings import LEVEL, Interval
from coachbook.model.periods import Span
from coachbook.model.quality import Sentence
from coachbook.stats import intervals, survival
from coachbook.stats.sides import Flags
from coachbook.stats.survival import Curves, Ints, Spells
from coachbook.text import N_

Kind = Literal["rep", "team", "all"]
Outlook = Literal["onward", "won"]
OUTLOOKS: tuple[Outlook, ...] = ("onward", "won")
CLOCKS = ("latest", "cumulative")
SMALLEST_SHARE = 5
"""Fewest deals on which the interval of a share stands."""
SMALLEST_MEDIAN = 6
"""Fewest deals of which something excludes an earlier median."""
CURVE_DAYS = (*range(21), 25, 30, 40, 50, 60, 80, 100, 150, 200)
"""Working days at which the share still there is kept: a picture needs no more."""
_QUARTILES = (0.25, 0.5, 0.75)
_MEASURES = ("deals", "customers", "times")
_HAPPENED = (
    "came_in", "reopened", "taken_over", "moved_on", "won", "skipped", "back", "aside", "lost", "deleted",
    "handed_over",
)  # fmt: skip

NO_STAGES = N_("the data hold no history of stages")
BEFORE_STAGES = N_("the history of stages begins on {day}")
NOT_IN_ORDER = N_("the stage is not in the configuration")
NEVER_THERE = N_("no deal was ever in this stage")
NOT_FOLLOWED = N_("no deal has been followed for {days} working days yet")
NOT_HALF = N_("more than half stay longer than {days} working days")
TOO_THIN = N_("too few deals were there at the same age")


@dataclass(frozen=True)
class Tally:
    """How many deals, distinct customers, and times. Times add up over reps and stages, the others need not."""

    deals: int
    customers: int
    times: int


_NOTHING = Tally(0, 0, 0)


@dataclass(frozen=True)
class Figure:
    """A figure out of `n` deals; value or interval None: see `reason`, and `n_needed` where more deals would help.

    An interval that is open above ends at infinity.
    """

    value: float | None
    interval: Interval | None
    n: int
    reason: Sentence | None = None
    n_needed: int | None = None


@dataclass(frozen=True)
class Moves:
    """What happened at a stage in the days seen.

    Attributes
    ----------
    moved_on, won, skipped
        Left it for a later stage, or won; won; left a stage out on that way. More is better.
    back, lost, deleted, aside
        Left it for an earlier stage; lost; deleted or merged; went to or from a stage outside the order, or to none.
    came_in, reopened
        Entered it; entered it after having been decided.
    taken_over, handed_over
        Came from, or went to, somebody else while in the stage, inside the same team too: there the two cancel.
    per_week
        Flow: deals that moved on per week; the interval is that of a Poisson count.
    """

    came_in: Tally
    reopened: Tally
    taken_over: Tally
    moved_on: Tally
    won: Tally
    skipped: Tally
    back: Tally
    aside: Tally
    lost: Tally
    deleted: Tally
    handed_over: Tally
    per_week: Figure


@dataclass(frozen=True)
class Reached:
    """Of the `n` deals that first got to a stage or beyond it in the days seen, what became of them by the as-of day.

    `onward` got beyond it (`share`; higher is better), `lost` are lost and never did, the rest may still.
    """

    n: int
    onward: int
    lost: int
    share: Figure


@dataclass(frozen=True)
class Conversion:
    """What became of the same deals within `horizon_days` working days from there (Aalen-Johansen).

    `outlook` onward: `ended` got beyond the stage; won: was won. `lost` first, or `staying`: shares that add up to 1.
    `at_risk` were still neither at the horizon; `resolved` is the share of deals of which the answer is known.
    """

    outlook: Outlook
    horizon_days: int
    ended: Figure
    lost: Figure
    staying: float | None
    at_risk: int
    resolved: float | None


@dataclass(frozen=True)
class Staying:
    """The share of deals, in [0, 1], still in a stage after so many working days, with its interval."""

    day: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Dwell:
    """Working days until a deal leaves the stage, whatever way (Kaplan-Meier); lower is better.

    Seen are the days of the period alone: visits begun earlier enter late, those still going on are censored. `clock`
    latest: the latest visit; cumulative: all visits of a deal together. `median` has the interval, `n` deals, of
    which `left` left and, at the end, `still_there` stayed. Quartiles None: not reached.
    """

    clock: str
    median: Figure
    lower_quartile: float | None
    upper_quartile: float | None
    left: int
    still_there: int
    curve: tuple[Staying, ...] = ()


@dataclass(frozen=True)
class Stage:
    """One stage of one entity; `position` None: outside the order; `there` at the end of the last day.

    `reason` says why parts are None or empty, or speak of some days only.
    """

    stage: str
    position: int | None
    moves: Moves | None
    there: Tally | None
    reached: Reached | None
    conversions: tuple[Conversion, ...]
    dwells: tuple[Dwell, ...]
    reason: Sentence | None


@dataclass(frozen=True)
class Brief:
    """What is compared of a stage in an earlier period: deals by what happened, who was there at its end, median stay."""

    stage: str
    came_in: int | None
    moved_on: int | None
    lost: int | None
    there: Tally | None
    median_days: float | None


@dataclass(frozen=True)
class Funnel:
    """All figures of a span, as frames by code of entity (see `visits.entities`) and of stage.

    Attributes
    ----------
    span, seen
        What was asked for, and the days of it that the history covers; None: not one.
    counts
        (entity, code): columns (what happened, deals | customers | times).
    created
        entity: of the deals created in the days seen, how many ever reached each position; the last is winning.
        Never rises from left to right: skips count as reached.
    cohorts
        (outlook, entity, code): `n` first got to a stage; how many `ended` and are `lost`; as shares by the horizon
        `ended_share` and `lost_share`, each with `_low` and `_high`, and `staying`; `at_risk`, `resolved`.
    dwells
        (clock, entity, code): `n` deals, `left`; working days `lower`, `median`, `upper`, `low`, `high`, `longest`
        known; `is_thin`: at some age nobody was there, though somebody was later.
    curves
        Of the rows of `dwells`; the day of entry is the 1st.
    """

    visits: Visits
    span: Span
    seen: Span | None
    horizons: Mapping[Outlook, int]
    level: float
    counts: pd.DataFrame
    created: pd.DataFrame
    cohorts: pd.DataFrame
    dwells: pd.DataFrame
    curves: Curves | None

    @property
    def reason(self) -> Sentence | None:
        """Why figures are missing, or speak of a part of the span; None: they speak of all of it."""
        since = self.visits.since
        if since is None:
            return Sentence(NO_STAGES)
        return Sentence(BEFORE_STAGES, {"day": since}) if since > self.span.first else None

    def stages(self, kind: Kind, name: str = "") -> tuple[Stage, ...]:
        """The stages of one entity in their order, then those outside it that anybody's deals were in."""
        entity = self.visits.codes.get((kind, name), -1)
        all_stages = (*self.visits.stages, *self.visits.others)
        return tuple(self._stage(entity, code, stage) for code, stage in enumerate(all_stages))

    def brief(self, kind: Kind, name: str = "") -> tuple[Brief, ...]:
        """The same in a few figures."""
        entity = self.visits.codes.get((kind, name), -1)
        return tuple(
            self._brief(entity, code, stage)
            for code, stage in enumerate((*self.visits.stages, *self.visits.others))
        )

    def created_and_reached(self, kind: Kind, name: str = "") -> tuple[int, ...]:
        """Of the deals created in the days seen: how many reached each stage, and were won. Never rises."""
        row = self._row("created", self.visits.codes.get((kind, name), -1))
        return tuple(int(row.get(position, 0)) for position in range(len(self.visits.stages) + 1))

    @cached_property
    def _rows(self) -> Mapping[str, Mapping[Any, Mapping[Any, Any]]]:
        """The rows of each frame by their keys: to look one up in a frame takes a hundred times as long."""
        frames = {"created": self.created, "cohorts": self.cohorts, "dwells": self.dwells}
        return {name: frame.to_dict("index") for name, frame in frames.items()}

    @cached_property
    def _drawn(self) -> Mapping[Any, tuple[Staying, ...]]:
        """The curves of latest visits, by the keys of `dwells`."""
        if self.curves is None:
            return {}
        wanted = self.dwells.index.get_level_values("clock") == CLOCKS[0]
        return dict(zip(self.dwells.index, _drawn(self.curves, wanted), strict=True))

    @cached_property
    def _tallies(self) -> Mapping[tuple[int, int], Mapping[str, Tally]]:
        """The rows of `counts` by their keys."""
        names = self.counts.columns.get_level_values(0).unique()
        parts = zip(*[iter(self.counts.to_numpy().T.tolist())] * len(_MEASURES), strict=True)
        columns = [list(map(Tally, *part)) for part in parts]
        return {
            key: dict(zip(names, row, strict=True))
            for key, row in zip(self.counts.index, zip(*columns, strict=True), strict=True)
        }

    def _row(self, frame: str, key: Any) -> Mapping[Any, Any]:
        """A row by its key; nothing where there is none."""
        return self._rows[frame].get(key, {})

    def _stage(self, entity: int, code: int, stage: str) -> Stage:
        there = self._there(entity, code)
        inside = code < len(self.visits.stages)
        position = code if inside else None
        if self.seen is None or stage in self.visits.unused:
            reason = self.reason if self.seen is None else Sentence(NEVER_THERE)
            return Stage(stage, position, None, there, None, (), (), reason)
        moves = self._moves(entity, code)
        dwells = tuple(self._dwell(clock, entity, code) for clock in CLOCKS)
        if not inside:
            return Stage(stage, position, moves, there, None, (), dwells, Sentence(NOT_IN_ORDER))
        conversions = tuple(self._conversion(outlook, entity, code) for outlook in OUTLOOKS)
        reached = self._reached(entity, code)
        return Stage(stage, position, moves, there, reached, conversions, dwells, self.reason)

    def _tally(self, entity: int, code: int, what: str) -> Tally:
        return self._tallies.get((entity, code), {}).get(what, _NOTHING)

    def _there(self, entity: int, code: int) -> Tally | None:
        known = self.seen is not None or self.span.after > self.visits.as_of
        return self._tally(entity, code, "there") if known else None

    def _brief(self, entity: int, code: int, stage: str) -> Brief:
        there = self._there(entity, code)
        if self.seen is None or stage in self.visits.unused:
            return Brief(stage, None, None, None, there, None)
        came, moved, lost = (
            self._tally(entity, code, what).deals for what in ("came_in", "moved_on", "lost")
        )
        return Brief(stage, came, moved, lost, there, self._median(CLOCKS[0], entity, code).value)

    def _moves(self, entity: int, code: int) -> Moves:
        assert self.seen is not None
        tallies = {what: self._tally(entity, code, what) for what in _HAPPENED}
        weeks, passed = self.seen.length_days / 7, tallies["moved_on"].deals
        low, high = intervals.poisson(np.array([float(passed)]), self.level)
        flow = Figure(
            passed / weeks, Interval(float(low[0] / weeks), float(high[0] / weeks), self.level), passed
        )
        return Moves(**tallies, per_week=flow)

    def _reached(self, entity: int, code: int) -> Reached:
        row = self._row("cohorts", ("onward", entity, code))
        n, onward, lost = (int(row.get(name, 0)) for name in ("n", "ended", "lost"))
        share = onward / n if n else np.nan
        low, high = intervals.wilson(np.array([share]), np.array([float(n)]), self.level)
        return Reached(n, onward, lost, self._figure(share, low[0], high[0], n, SMALLEST_SHARE, None))

    def _conversion(self, outlook: Outlook, entity: int, code: int) -> Conversion:
        row = self._row("cohorts", (outlook, entity, code))
        n, horizon = int(row.get("n", 0)), self.horizons[outlook]
        reason = Sentence(NOT_FOLLOWED, {"days": horizon})
        ended, lost = (
            self._figure(
                row.get(name, np.nan), row.get(f"{name}_low", np.nan), row.get(f"{name}_high", np.nan), n,
                SMALLEST_SHARE, reason,
            )
            for name in ("ended_share", "lost_share")
        )  # fmt: skip
        return Conversion(
            outlook, horizon, ended, lost, _known(row.get("staying")), int(row.get("at_risk", 0)),
            _known(row.get("resolved")),
        )  # fmt: skip

    def _dwell(self, clock: str, entity: int, code: int) -> Dwell:
        row, median = self._row("dwells", (clock, entity, code)), self._median(clock, entity, code)
        curve = self._drawn.get((clock, entity, code), ()) if median.n >= SMALLEST_MEDIAN else ()
        return Dwell(
            clock, median, _known(row.get("lower")), _known(row.get("upper")), int(row.get("left", 0)),
            self._tally(entity, code, "there").deals, curve,
        )  # fmt: skip

    def _median(self, clock: str, entity: int, code: int) -> Figure:
        row = self._row("dwells", (clock, entity, code))
        n, longest = int(row.get("n", 0)), float(row.get("longest", 0))
        unknown = Sentence(TOO_THIN) if row.get("is_thin") else Sentence(NOT_HALF, {"days": longest})
        median, low, high = (row.get(name, np.nan) for name in ("median", "low", "high"))
        high = np.inf if np.isnan(high) else high
        return self._figure(median, low, high, n, SMALLEST_MEDIAN, unknown)

    def _figure(
        self, value: float, low: float, high: float, n: int, smallest: int, unknown: Sentence | None
    ) -> Figure:
        """With an interval from the smallest n on; `unknown` says why there is no value though there is the n."""
        if n < smallest:
            few = Sentence(NOT_ENOUGH, {"n": n, "needs": smallest})
            return Figure(_known(value), None, n, few, smallest)
        if np.isnan(value):
            return Figure(None, None, n, unknown)
        return Figure(float(value), Interval(float(low), float(high), self.level), n)


def funnel(
    connection: DuckDBPyConnection, visits: Visits, span: Span, *, onward_days: int, won_days: int,
    level: float = LEVEL,
) -> Funnel:  # fmt: skip
    """The figures of a span, out of what `visits.lay_out` laid out in the connection.

    Whoever holds a deal at the end of the day on which it gets to a stage has it in his or her cohort, whoever holds it
    later; counts go to who held it on their day, and time in a stage to whoever held it meanwhile. Of a span that has
    begun before the history, or ends after the as-of day, the days between count.

    Parameters
    ----------
    span
        Has begun by the as-of day.
    onward_days, won_days
        Working days from entry within which a deal is asked to have got on, or to have been won.

    References
    ----------
    Deals under observation in the days of a period alone: Brenner, Gefeller (1996), Cancer 78(9), 2004-2010.
    """
    connection.execute((files("coachbook.metrics") / "funnel.sql").read_text(encoding="utf-8"))
    seen = visits.seen(span)
    horizons: dict[Outlook, int] = {"onward": onward_days, "won": won_days}
    counts = _counts(connection, seen, min(span.last, visits.as_of))
    created = cohorts = dwells = pd.DataFrame()
    curves = None
    if seen:
        created = _created(connection, visits, seen)
        cohorts = _cohorts(connection, visits, seen, horizons, level)
        dwells, curves = _dwells(connection, visits, seen, level)
    return Funnel(visits, span, seen, horizons, level, counts, created, cohorts, dwells, curves)


def earlier(connection: DuckDBPyConnection, visits: Visits, span: Span, *, level: float = LEVEL) -> Funnel:
    """What a later span is compared with: counts and stays alone, for `Funnel.brief`."""
    connection.execute((files("coachbook.metrics") / "funnel.sql").read_text(encoding="utf-8"))
    seen = visits.seen(span)
    counts = _counts(connection, seen, min(span.last, visits.as_of))
    dwells, curves = _dwells(connection, visits, seen, level) if seen else (pd.DataFrame(), None)
    created = _created(connection, visits, seen) if seen else pd.DataFrame()
    return Funnel(visits, span, seen, {}, level, counts, created, pd.DataFrame(), dwells, curves)


def _counts(connection: DuckDBPyConnection, seen: Span | None, last: date) -> pd.DataFrame:
    """If not a day was seen, only what is there at the end of the last."""
    asked = {"first": seen.first if seen else last + timedelta(days=1), "last": last}
    long = connection.execute("FROM counted($first, $last)", asked).df()
    wide = long.pivot(index=["entity", "code"], columns="what", values=list(_MEASURES)).swaplevel(axis=1)
    columns = pd.MultiIndex.from_product([(*_HAPPENED, "there"), _MEASURES])
    return wide.reindex(columns=columns).fillna(0).astype(np.int64)


def _created(connection: DuckDBPyConnection, visits: Visits, seen: Span) -> pd.DataFrame:
    long = connection.execute("FROM created($first, $last)", {"first": seen.first, "last": seen.last}).df()
    wide = long.pivot(index="entity", columns="position", values="deals")
    return wide.reindex(columns=range(len(visits.stages) + 1)).fillna(0).astype(np.int64)


def _cohorts(
    connection: DuckDBPyConnection, visits: Visits, seen: Span, horizons: Mapping[Outlook, int], level: float
) -> pd.DataFrame:
    _before, now = _numbers(connection, visits.as_of)
    asked = {"first": seen.first, "last": seen.last, "now": now}
    rows = connection.execute("FROM cohort($first, $last, $now)", asked).fetchnumpy()
    index = pd.MultiIndex.from_product(
        [OUTLOOKS, visits.entities.index, range(len(visits.stages))], names=["outlook", "entity", "code"]
    )
    size = len(index) // len(OUTLOOKS)
    within = _levels(rows, visits) * len(visits.stages) + np.tile(rows["position"], 3)
    group = np.concatenate([within, within + size])
    cause = np.concatenate([np.tile(rows[f"{outlook}_cause"], 3) for outlook in OUTLOOKS]).astype(np.int64)
    days = np.concatenate([np.tile(rows[f"{outlook}_days"], 3) for outlook in OUTLOOKS]).astype(float)
    horizon = np.repeat([float(horizons[outlook]) for outlook in OUTLOOKS], size)
    spells = Spells(group, np.zeros(len(group)), days, cause)
    by_then = survival.curves(spells, groups=len(index), causes=2, level=level).at(horizon)
    n = np.bincount(group, minlength=len(index))
    known = np.bincount(group[(cause > 0) | (days >= horizon[group])], minlength=len(index))
    shares = {
        f"{name}_share{end}": bound[:, i]
        for end, bound in zip(("", "_low", "_high"), astuple(by_then.incidence), strict=True)
        for i, name in enumerate(("ended", "lost"))
    }
    columns = {
        "n": n, "ended": np.bincount(group[cause == 1], minlength=len(index)),
        "lost": np.bincount(group[cause == 2], minlength=len(index)), **shares,
        "staying": by_then.staying.value, "at_risk": by_then.at_risk, "resolved": known / np.maximum(n, 1),
    }  # fmt: skip
    return pd.DataFrame(columns, index)[n > 0]


def _dwells(
    connection: DuckDBPyConnection, visits: Visits, seen: Span, level: float
) -> tuple[pd.DataFrame, Curves]:
    before, _number = _numbers(connection, seen.first)
    _before, last = _numbers(connection, seen.last)
    asked = {"first": seen.first, "last": seen.last, "before": before, "number": last}
    rows = connection.execute("FROM spells($first, $last, $before, $number)", asked).fetchnumpy()
    stages = len(visits.stages) + len(visits.others)
    clock = np.tile(np.where(rows["latest"], 0, 1), 3)
    place = (clock * len(visits.entities) + _levels(rows, visits)) * stages + np.tile(rows["code"], 3)
    found = np.flatnonzero(np.bincount(place))
    group = np.searchsorted(found, place)
    entry, exit_, cause = (np.tile(rows[name], 3) for name in ("entry", "exit", "cause"))
    curves = survival.curves(Spells(group, entry, exit_, cause), groups=len(found), causes=1, level=level)
    lower, median, upper = (curves.quantile(share) for share in _QUARTILES)
    deal = np.tile(pd.factorize(rows["deal"])[0], 3)
    pairs = pd.unique(group * (deal.max(initial=0) + 1) + deal)
    ends = curves.offsets[1:] - 1
    times = {
        "lower": lower.value, "median": median.value, "upper": upper.value, "low": median.low, "high": median.high,
        "longest": curves.time[ends],
    }  # fmt: skip
    columns = {
        "n": np.bincount(pairs // (deal.max(initial=0) + 1), minlength=len(found)),
        "left": np.bincount(group[cause > 0], minlength=len(found)),
        **{name: np.maximum(time - 1, 0) for name, time in times.items()},  # the day of entry is the 1st
        "is_thin": curves.thinnest[ends] == 0,
    }
    by_clock, code = np.divmod(found, stages)
    clock, entity = np.divmod(by_clock, len(visits.entities))
    index = pd.MultiIndex.from_arrays(
        [np.array(CLOCKS)[clock], entity, code], names=["clock", "entity", "code"]
    )
    return pd.DataFrame(columns, index), curves


def _drawn(curves: Curves, wanted: Flags) -> list[tuple[Staying, ...]]:
    """The curves at `CURVE_DAYS`; empty where one is not wanted."""
    size = len(wanted)
    parts = [curves.at(np.full(size, day + 1.0)).staying for day in CURVE_DAYS]
    share, low, high = (np.array([astuple(part)[i] for part in parts]).T for i in range(3))
    known = np.where(wanted, np.logical_and.accumulate(~np.isnan(share + low + high), axis=1).sum(axis=1), 0)
    return [
        tuple(map(Staying, CURVE_DAYS[:k], *(x[g, :k].tolist() for x in (share, low, high))))
        for g, k in enumerate(known)
    ]


def _levels(rows: Mapping[str, Any], visits: Visits) -> Ints:
    """Every row three times: with the code of its rep, of its team, and of all."""
    everybody = np.full(len(rows["rep"]), len(visits.entities) - 1)
    return np.concatenate([rows["rep"], rows["team"], everybody]).astype(np.int64)


def _numbers(connection: DuckDBPyConnection, day: date) -> tuple[int, int]:
    """Numbers of the day before and of the day itself, in working days."""
    found = connection.execute(
        "SELECT number - is_working::INTEGER, number FROM known_days WHERE day = ?", [day]
    )
    before, number = found.fetchall()[0]
    return before, number


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
