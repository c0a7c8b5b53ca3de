"""One figure for each entity and for the others around it, with draws that say how sure it is.

An entity (a rep, or a team) stands beside two pools that leave it out: the others of its group (`team`)
and all others (`others`). Pools are sums less the entity's own part, so all entities cost one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

from coachbook.stats import intervals
from coachbook.stats.intervals import Floats

DRAWS = 2000
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Pooled:
    """The denominator of each row inside a pool, where a thing shared by several entities counts once.

    `in_*`: what the row adds to the pool; `leaves_*`: what goes when the row's entity is left out.
    """

    in_team: Floats
    in_all: Floats
    leaves_team: Floats
    leaves_all: Floats


@dataclass(frozen=True)
class Observations:
    """Rows x / y of all entities in one span.

    `entity` codes 0..E-1 (-1: belongs to nobody who gets a page), `team` the group of each entity (-1: none),
    `person` codes of people, `peer` whether the row counts in pools, `unit` what is resampled as one.
    """

    entity: Ints
    team: Ints
    person: Ints
    peer: Flags
    unit: Ints
    x: Floats
    y: Floats
    pooled: Pooled


@dataclass(frozen=True)
class Side:
    """A figure per entity: value (NaN: undefined), n of rows, `people` behind it, draws (E x DRAWS)."""

    value: Floats
    n: Ints
    people: Ints
    draws: Floats


@dataclass(frozen=True)
class Sides:
    """The entity itself with its interval, the others of its team, all others."""

    own: Side
    low: Floats
    high: Floats
    team: Side
    others: Side


Estimator = Callable[[Observations, np.random.Generator, float], Sides]


@dataclass(frozen=True)
class _Adder:
    """Sums over rows for entity, team without it, all without it."""

    rows: Observations

    def own(self, values: Floats) -> Floats:
        """Sum per entity."""
        return _sum_by(self.rows.entity, values, len(self.rows.team))

    def without(
        self, team: Floats, everyone: Floats, off_team: Floats, off_all: Floats
    ) -> tuple[Floats, Floats]:
        """Sums of the two pools, each less the entity's part."""
        peer = self.rows.peer if team.ndim == 1 else self.rows.peer[:, None]
        groups = int(self.rows.team.max(initial=-1)) + 1
        group_of_row = self._group_of_row()
        by_group = _sum_by(group_of_row, team * peer, groups + 1)  # the last row stays 0: no team
        inside = by_group[self.rows.team] - self.own(off_team * peer)
        everywhere = (everyone * peer).sum(axis=0) - self.own(off_all * peer)
        inside[self.rows.team < 0] = np.nan
        return inside, everywhere

    def _group_of_row(self) -> Ints:
        """The group of each row's entity; -1: nobody's row, or nobody's group."""
        return np.append(self.rows.team, -1)[self.rows.entity]

    def plain(self, values: Floats) -> tuple[Floats, Floats, Floats]:
        """Own sum and the two pools' sums of something that simply adds up."""
        return (self.own(values), *self.without(values, values, values, values))

    def people(self) -> tuple[Ints, Ints, Ints]:
        """How many people stand behind each side."""
        first = np.zeros(len(self.rows.person))
        pairs = np.stack([self.rows.person, self.rows.entity], axis=1)
        if len(pairs):
            first[np.unique(pairs, axis=0, return_index=True)[1]] = 1.0
        own, team, others = self.plain(first)
        return own.astype(int), np.nan_to_num(team).astype(int), others.astype(int)

    def tallies(self, code: Ints, width: int) -> tuple[Ints, Ints, Ints]:
        """How often each code occurs on each side: three tables, entity x code."""
        rows, size = self.rows, len(self.rows.team)
        groups = int(rows.team.max(initial=-1)) + 1
        own = _tally(rows.entity, code, (size, width))
        in_pools = _tally(np.where(rows.peer, rows.entity, -1), code, (size, width))
        group = np.where(rows.peer, self._group_of_row(), -1)
        by_group = _tally(group, code, (groups + 1, width))  # the last row stays 0: no team
        everywhere = _tally(np.where(rows.peer, 0, -1), code, (1, width))
        team = np.where(rows.team[:, None] >= 0, by_group[rows.team] - in_pools, 0)
        return own, team, everywhere - in_pools

    def counts(self) -> tuple[Ints, Ints, Ints]:
        """Rows on each side."""
        own, team, others = self.plain(np.ones(len(self.rows.x)))
        return own.astype(int), np.nan_to_num(team).astype(int), others.astype(int)


def rates(rows: Observations, rng: np.random.Generator, level: float) -> Sides:
    """Shares sum(x) / sum(y) with 0 <= x <= y. Wilson's interval at Kish's effective n; Jeffreys draws."""
    add = _Adder(rows)
    values, effective = [], []
    for x, y, yy in zip(add.plain(rows.x), add.plain(rows.y), add.plain(rows.y**2), strict=True):
        values.append(_ratio(x, y))
        effective.append(_ratio(y**2, yy))
    draws = [
        rng.beta(
            np.nan_to_num(value * n)[:, None] + 0.5,
            np.nan_to_num(np.maximum((1 - value) * n, 0.0))[:, None] + 0.5,
            (len(rows.team), DRAWS),
        )
        for value, n in zip(values, effective, strict=True)
    ]
    low, high = intervals.wilson(values[0], effective[0], level)
    return _sides(add, values, draws, low, high)


def totals(rows: Observations, rng: np.random.Generator, level: float) -> Sides:
    """Sums of x: what the same behaviour may bring. Poisson bootstrap; exact where x merely counts."""
    add = _Adder(rows)
    weighted = rows.x[:, None] * _weights(rows, rng)
    draws = list(add.plain(weighted))
    values = list(add.plain(rows.x))
    if np.all(rows.x == 1):
        low, high = intervals.poisson(values[0], level)
    else:
        low, high = intervals.percentiles(draws[0], add.counts()[0].astype(float), level)
    return _sides(add, values, draws, low, high)


def ratios(rows: Observations, rng: np.random.Generator, level: float) -> Sides:
    """sum(x) / sum(y): means, value per customer. Poisson bootstrap over units, jointly."""
    add = _Adder(rows)
    pool = rows.pooled
    weights = _weights(rows, rng)

    def denominators(scale: Floats) -> tuple[Floats, Floats, Floats]:
        def of(share: Floats) -> Floats:
            return share[:, None] * scale if scale.ndim > 1 else share

        pools = add.without(of(pool.in_team), of(pool.in_all), of(pool.leaves_team), of(pool.leaves_all))
        return add.own(of(rows.y)), *pools

    below = denominators(np.ones(1))
    values = [_ratio(x, y) for x, y in zip(add.plain(rows.x), below, strict=True)]
    drawn = zip(add.plain(rows.x[:, None] * weights), denominators(weights), strict=True)
    draws = [_ratio(x, y) for x, y in drawn]
    low, high = intervals.percentiles(draws[0], below[0], level)
    return _sides(add, values, draws, low, high, n=[np.nan_to_num(y).round().astype(int) for y in below])


def medians(rows: Observations, rng: np.random.Generator, level: float) -> Sides:
    """Medians of x. Order-statistic interval; draws follow the bootstrap's own law.

    The median of a resample is the order statistic at ceil(n * U), U ~ Beta((n + 1) / 2, (n + 1) / 2)
    (Efron 1979, Annals of Statistics 7(1), section 3), read off cumulative counts.
    """
    add = _Adder(rows)
    known, code = np.unique(rows.x, return_inverse=True)
    ranked = [side.cumsum(axis=1) for side in add.tallies(code, len(known))]
    values = [_middle(side, known) for side in ranked]
    draws = [_median_draws(side, known, rng) for side in ranked]
    low, high = np.full(len(rows.team), np.nan), np.full(len(rows.team), np.nan)
    for e, cumulative in enumerate(ranked[0]):
        ranks = intervals.median_ranks(_last(cumulative), level)
        if ranks:
            low[e], high[e] = known[np.searchsorted(cumulative, ranks, side="right")]
    return _sides(add, values, draws, low, high)


def _last(cumulative: Ints) -> int:
    return int(cumulative[-1]) if len(cumulative) else 0


def _middle(ranked: Ints, known: Floats) -> Floats:
    """Median per row of cumulative counts; the mean of the middle two where n is even."""
    value = np.full(len(ranked), np.nan)
    for e, cumulative in enumerate(ranked):
        n = _last(cumulative)
        if n:
            value[e] = known[np.searchsorted(cumulative, [(n - 1) // 2, n // 2], side="right")].mean()
    return value


def _median_draws(ranked: Ints, known: Floats, rng: np.random.Generator) -> Floats:
    draws = np.full((len(ranked), DRAWS), np.nan)
    for e, cumulative in enumerate(ranked):
        n = _last(cumulative)
        uniform = rng.beta((n + 1) / 2, (n + 1) / 2, DRAWS)
        if n:
            draws[e] = known[np.searchsorted(cumulative, np.ceil(n * uniform) - 1, side="right")]
    return draws


def standard_error(draws: Floats) -> Floats:
    """Spread of the draws, per row; NaN where there are none."""
    enough = np.sum(~np.isnan(draws), axis=1) > 1
    spread = np.full(len(draws), np.nan)
    spread[enough] = np.nanstd(draws[enough], axis=1)
    return spread


def p_value(estimate: Floats, draws: Floats, n: Floats) -> Floats:
    """Two-sided p of a difference against 0, by its draws' spread and Student's t at `n` - 1."""
    spread = standard_error(draws)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * stats.t.sf(np.abs(estimate) / spread, np.maximum(n - 1, 1))
    return np.where(spread > 0, np.asarray(p), np.nan)


def _weights(rows: Observations, rng: np.random.Generator) -> Floats:
    """Poisson(1) weights, one per unit and draw (Hanley, MacGibbon 2006, Comput. Methods Programs Biomed. 83, 57-62)."""
    units = int(rows.unit.max(initial=-1)) + 1
    return rng.poisson(1.0, (units, DRAWS)).astype(float)[rows.unit]


def _sum_by(codes: Ints, values: Floats, size: int) -> Floats:
    """Sums of rows (or rows of a matrix) per code; negative codes are left out."""
    keep = np.flatnonzero(codes >= 0)
    chooser = sparse.csr_matrix((np.ones(len(keep)), (codes[keep], keep)), shape=(size, len(codes)))
    summed: Floats = np.asarray(chooser @ values)
    return summed


def _tally(row: Ints, column: Ints, shape: tuple[int, int]) -> Ints:
    """How often each (row, column) occurs; negative rows are left out."""
    table = np.zeros(shape, dtype=np.int64)
    keep = row >= 0
    np.add.at(table, (row[keep], column[keep]), 1)
    return table


def _ratio(x: Floats, y: Floats) -> Floats:
    # Subtracting an entity from a pool leaves rounding dust where nothing is left.
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(y > 1e-9, x / y, np.nan)


def _sides(
    add: _Adder, values: list[Floats], draws: list[Floats], low: Floats, high: Floats, n: list[Ints] | None = None
) -> Sides:  # fmt: skip
    """Put the three sides together; `n` is the rows unless the figure is per something else."""
    own, team, others = (
        Side(*parts) for parts in zip(values, n or add.counts(), add.people(), draws, strict=True)
    )
    return Sides(own, low, high, team, others)
