"""How much money the pipeline turns out a day, what that is made of, and what each part of it would move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from typing import Literal

import numpy as np
import pandas as pd
from duckdb import DuckDBPyConnection
from scipy import sparse, special

from coachbook.metrics.funnel import BEFORE_STAGES, Figure
from coachbook.metrics.judging import NOT_ENOUGH
from coachbook.model.findings import LEVEL, Interval
from coachbook.model.periods import Span
from coachbook.model.quality import Sentence
from coachbook.stats.intervals import Floats, percentiles
from coachbook.stats.sides import DRAWS, Ints
from coachbook.text import N_

Kind = Literal["rep", "team", "org"]
Scope = tuple[Kind, str]
"""Kind and id; of the whole company the id is ''."""
ORG: Scope = ("org", "")
SMALLEST_N = 10
"""Fewest won deals on which an interval of their average size stands."""
SEED = 20_261_125
_SUMS = ("open_days", "decided", "won", "minor", "cycled", "cycle_days")
_CHUNK = 1024
MANY = 500
"""From so many deals on a sum of them is as good as normal."""
_POISSON = np.searchsorted(special.pdtr(np.arange(9), 1.0), (np.arange(2**16) + 0.5) / 2**16).astype(float)
"""Quantiles of Poisson(1) for each of 2**16 equally likely numbers."""

NONE_DECIDED = N_("no deal was decided in these days")
NONE_WON = N_("no deal was won in these days")
NONE_OPEN = N_("no deal was open in these days")
NO_CYCLE = N_("no won deal took as long as a day")
NO_DAYS = N_("the data hold nothing of these days")


@dataclass(frozen=True)
class Velocity:
    """Sales velocity of one scope = open deals × win rate × average size / cycle; higher is better.

    One cohort: the deals that were open in `days`, or decided in them. One basis: what of them was decided by its
    close date in these days.

    Attributes
    ----------
    per_day
        Minor units of the reporting currency per day; `n` won deals. Value None: a part is not defined, and which.
    won_per_day
        Won amount / days, in the same units: what was really brought in. The two agree where as many deals come in as
        are decided and losing takes as long as winning.
    open_deals
        On average at the end of a day. Whoever held a deal that day has it; a decided one is whose the credit is.
    win_rate
        Won / decided, in [0, 1].
    size
        Mean minor units of won deals, whole also where credit is split; one without an amount counts 0.
    cycle
        Mean days from creation to close of won deals. The mean: only sums of the four multiply to money per day.
    """

    per_day: Figure
    won_per_day: Figure
    open_deals: float
    win_rate: float | None
    size: float | None
    cycle: float | None
    decided: int
    won: int
    days: int


@dataclass(frozen=True)
class Velocities:
    """Everybody's in the days `seen` of a span; None: not one. `reason` where days are missing."""

    seen: Span | None
    scopes: Mapping[Scope, Velocity]
    reason: Sentence | None = None

    def of(self, kind: Kind, name: str = "") -> Velocity:
        """Of one scope; who had no deal has none, and the reason."""
        return self.scopes.get((kind, name)) or _nothing(self.seen, self.reason)


def velocity(
    connection: DuckDBPyConnection, span: Span, as_of: date, *, since: date | None = None, level: float = LEVEL,
    seed: int = SEED,
) -> Velocities:  # fmt: skip
    """Sales velocity of everybody at once, in the days of a span up to the as-of day.

    Parameters
    ----------
    connection
        What was known at the end of `as_of` (`Snapshot.known`).
    since
        First day from which the data are whole (`Visits.since`); days before it are left out, and that is said.
    seed
        Of the bootstrap: deals are drawn, each with all that it brings, so that the four parts move jointly.

    Returns
    -------
    Velocities
        Everybody who ever was on the roster, every team, and the company. Deals of owners who never were on the
        roster count in the company alone.

    References
    ----------
    Why open deals, rate and time belong to one population: Little (1961), Operations Research 9(3), 383-387.
    """
    begins = max(span.first, since or span.first)
    reason = Sentence(BEFORE_STAGES, {"day": since}) if since and since > span.first else None
    after = min(span.after, as_of + timedelta(days=1))
    if begins >= after:
        return Velocities(None, {}, reason or Sentence(NO_DAYS))
    seen = Span(begins, after)
    query = (files("coachbook.metrics") / "velocity.sql").read_text(encoding="utf-8")
    rows = connection.execute(query, {"first": seen.first, "after": seen.after}).df()
    scopes = everybody(connection)
    columns = rows[list(_SUMS)].to_numpy(dtype=float)
    unit = pd.factorize(rows["deal_id"])[0].astype(np.int64)
    line, place = spread(rows, scopes)
    sums = np.zeros((len(scopes), len(_SUMS)))
    np.add.at(sums, place, columns[line])
    draws = joint_draws(place, unit[line], columns[line], size=len(scopes), seed=seed)
    won = sums[:, _SUMS.index("won")]
    lows, highs = {}, {}
    for name, made in (("per_day", _velocity(draws, seen)), ("won_per_day", draws[3] / seen.length_days)):
        lows[name], highs[name] = percentiles(made, won, level)
    return Velocities(
        seen,
        {
            scope: _of_sums(
                sums[i], seen, {k: Interval(float(lows[k][i]), float(highs[k][i]), level) for k in lows}
            )
            for i, scope in enumerate(scopes)
        },
        reason,
    )


def everybody(connection: DuckDBPyConnection) -> list[Scope]:
    """Everybody who ever was on the roster, then all teams, then the company."""
    found: list[Scope] = []
    kinds: tuple[tuple[Kind, str], ...] = (("rep", "rep_id"), ("team", "team_id"))
    for kind, column in kinds:
        rows = connection.execute(
            f"SELECT DISTINCT {column} FROM known_roster WHERE {column} IS NOT NULL ORDER BY ALL"
        )
        found += [(kind, id_) for (id_,) in rows.fetchall()]
    return [*found, ORG]


def spread(rows: pd.DataFrame, scopes: list[Scope]) -> tuple[Ints, Ints]:
    """Places of rows with `rep_id` and `team_id` among the scopes: number of the row, number of the scope."""
    lines, places = [], []
    for kind in ("rep", "team"):
        codes = {name: i for i, (of, name) in enumerate(scopes) if of == kind}
        place = rows[f"{kind}_id"].map(codes).fillna(-1).to_numpy(dtype=np.int64)
        line = np.flatnonzero(place >= 0)
        lines.append(line)
        places.append(place[line])
    lines.append(np.arange(len(rows)))
    places.append(np.full(len(rows), len(scopes) - 1))
    return np.concatenate(lines).astype(np.int64), np.concatenate(places).astype(np.int64)


def joint_draws(place: Ints, unit: Ints, values: Floats, *, size: int, seed: int) -> Floats:
    """Sums under a Poisson(1) bootstrap: one weight per unit and draw, the same for all columns.

    A scope in which more than `MANY` units speak in every column is drawn by what the weights would give it, mean and
    covariance, as a normal.

    Parameters
    ----------
    place, unit
        Of each row: the scope, 0..size-1, and what is drawn as one, from 0.
    values
        Rows × columns.

    Returns
    -------
    array
        Columns × size × `DRAWS`.

    References
    ----------
    Hanley, MacGibbon (2006), Comput. Methods Programs Biomed. 83, 57-62.
    """
    columns = values.shape[1]
    spoken = [np.bincount(place[column != 0], minlength=size) for column in values.T]
    large = np.min(spoken, axis=0) > MANY
    total = np.zeros((columns, size, DRAWS))
    rng = np.random.default_rng(seed)
    few = ~large[place]
    _weighted(total, place[few], unit[few], values[few], rng)
    for at in np.flatnonzero(large):
        inside = place == at
        whose = np.unique(unit[inside], return_inverse=True)[1]
        units = np.stack([np.bincount(whose, column) for column in values[inside].T])
        spread_, turned = np.linalg.eigh(units @ units.T)
        noise = rng.standard_normal((columns, DRAWS)) * np.sqrt(np.maximum(spread_, 0.0))[:, None]
        total[:, at] = units.sum(axis=1)[:, None] + turned @ noise
    return total


def _weighted(total: Floats, place: Ints, unit: Ints, values: Floats, rng: np.random.Generator) -> None:
    """Add to `total` what each draw's weights make of the rows."""
    columns, size, _draws = total.shape
    by_place = np.argsort(place, kind="stable")  # then those of one scope are weighed together
    place, values = place[by_place], values[by_place]
    order = pd.factorize(unit[by_place])[0]
    at = (place[:, None] + size * np.arange(columns)).ravel()
    shape = (columns * size, int(order.max(initial=-1)) + 1)
    matrix = sparse.csc_array((values.ravel(), (at, np.repeat(order, columns))), shape=shape)
    matrix.eliminate_zeros()
    for start in range(0, shape[1], _CHUNK):
        part = matrix[:, start : start + _CHUNK]
        rows = np.unique(part.indices)
        weights = _POISSON[rng.integers(2**16, size=(part.shape[1], DRAWS), dtype=np.uint16)]
        total.reshape(columns * size, -1)[rows] += part.tocsr()[rows] @ weights


def _velocity(sums: Floats, seen: Span) -> Floats:
    """Open deals × rate × size / cycle, out of sums in the order of `_SUMS`; NaN where a part is not defined."""
    open_days, decided, won, minor, cycled, cycle_days = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = (
            (open_days / seen.length_days) * (won / decided) * (minor / won) / (cycle_days / cycled)
        )
    return np.where(np.isfinite(found), found, np.nan)


def _of_sums(sums: Floats, seen: Span, intervals: Mapping[str, Interval]) -> Velocity:
    open_days, decided, won, minor, cycled, cycle_days = (float(value) for value in sums)
    reason = _undefined(open_days, decided, won, cycle_days)
    few = Sentence(NOT_ENOUGH, {"n": int(won), "needs": SMALLEST_N}) if won < SMALLEST_N else None

    def figure(name: str, value: float | None, why: Sentence | None) -> Figure:
        if value is None or why or few:
            return Figure(value, None, int(won), why or few, None if why else SMALLEST_N)
        return Figure(value, intervals[name], int(won))

    value = None if reason else float(_velocity(sums, seen))
    return Velocity(
        per_day=figure("per_day", value, reason),
        won_per_day=figure("won_per_day", minor / seen.length_days, None),
        open_deals=open_days / seen.length_days,
        win_rate=won / decided if decided else None,
        size=minor / won if won else None,
        cycle=cycle_days / cycled if cycled else None,
        decided=int(decided), won=int(won), days=seen.length_days,
    )  # fmt: skip


def _undefined(open_days: float, decided: float, won: float, cycle_days: float) -> Sentence | None:
    """Which part is not there."""
    if not decided:
        return Sentence(NONE_DECIDED)
    if not won:
        return Sentence(NONE_WON)
    if not cycle_days:
        return Sentence(NO_CYCLE)
    return None if open_days else Sentence(NONE_OPEN)


def _nothing(seen: Span | None, reason: Sentence | None) -> Velocity:
    if seen:
        return _of_sums(np.zeros(len(_SUMS)), seen, {})
    none = Figure(None, None, 0, reason)
    return Velocity(none, none, 0.0, None, None, None, 0, 0, 0)
