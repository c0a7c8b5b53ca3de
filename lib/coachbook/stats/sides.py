"""One figure for each entity and for the others around it, with draws that say how sure it is.

An entity (a rep, or a team) stands beside two pools that leave it out: the others of its group (`team`)
and all others (`others`). Pools are sums less the entity's own part, so all entities cost one pass. Of a large
company a shard has the rows of its own people only; all beyond it is one `Rest`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from coachbook.stats import intervals
from coachbook.stats.intervals import Floats

DRAWS = 1000
"""Enough for percentiles (Efron, Tibshirani 1993, An Introduction to the Bootstrap, chapter 13)."""
NEARLY_NORMAL = 100.0
"""A beta whose parameters are both larger is drawn as a normal: its skewness is below 0.1."""
_CHUNK = 1024
"""Units whose weights are held at a time."""
_POISSON = np.searchsorted(special.pdtr(np.arange(9), 1.0), (np.arange(2**16) + 0.5) / 2**16).astype(float)
"""Quantiles of Poisson(1) for each of 2**16 equally likely numbers."""
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
class Rest:
    """Peers beyond the rows at hand, by sums alone: of many people no more is needed.

    `xx`, `xy`, `yy` add products of units' sums. `values`: every x, ascending; medians need them.
    """

    entities: int = 0
    n: int = 0
    people: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0
    values: Floats = field(default_factory=lambda: np.empty(0))

    def draws(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Sums of x and of y as a Poisson bootstrap over units gives them: its means, variances, covariance."""
        z = rng.standard_normal((2, DRAWS))
        slope = self.xy / self.xx if self.xx else 0.0
        alone = np.sqrt(max(self.yy - slope * self.xy, 0.0))
        x = np.sqrt(self.xx) * z[0]
        return self.x + x, self.y + slope * x + alone * z[1]


@dataclass(frozen=True)
class Observations:
    """Rows x / y of all entities in one span.

    `entity` codes 0..E-1 (-1: belongs to nobody who gets a page), `team` the group of each entity (-1: none),
    `person` codes of people, `peer` whether the row counts in pools, `unit` what is resampled as one. A group
    is here whole; `rest` counts among all others.
    """

    entity: Ints
    team: Ints
    person: Ints
    peer: Flags
    unit: Ints
    x: Floats
    y: Floats
    pooled: Pooled
    rest: Rest = field(default_factory=Rest)


@dataclass(frozen=True)
class Side:
    """A figure per entity: value (NaN: undefined), n of rows, `people` behind it, draws (E x DRAWS)."""

    value: Floats
    n: Ints
    people: Ints
    draws: Floats


@dataclass(frozen=True)
class Sides:
    """The entity itself with its interval, the others of its team, all others; `entities`: how many there are in all."""

    own: Side
    low: Floats
    high: Floats
    team: Side
    others: Side
    entities: int


Estimator = Callable[[Observations, np.random.Generator, float], Sides]
Three = tuple[Floats, Floats, Floats]
"""Something of each entity, of its team's others, of all others."""


@dataclass(frozen=True)
class _Sums:
    """What each row adds where: a matrix of places by units, places being entities, groups and everybody."""

    rows: Observations
    matrix: sparse.csc_array
    beyond: Floats | float

    @classmethod
    def of(
        cls, rows: Observations, own: Floats, pooled: Pooled | None = None, beyond: Floats | float = 0.0
    ) -> _Sums:
        """`pooled`: what a row adds to pools, unless the same as `own`; `beyond`: the rest's sum, or its draws."""
        pool = pooled or Pooled(own, own, own, own)
        size, groups = len(rows.team), int(rows.team.max(initial=-1)) + 1
        group = np.append(rows.team, -1)[rows.entity]
        nowhere = np.where(rows.peer, 0, -1)
        blocks = [
            (rows.entity, own, size),
            (np.where(rows.peer, rows.entity, -1), pool.leaves_team, size),
            (np.where(rows.peer, rows.entity, -1), pool.leaves_all, size),
            (np.where(rows.peer, group, -1), pool.in_team, groups + 1),  # the last stays 0: no team
            (nowhere, pool.in_all, 1),
        ]
        first = np.cumsum([0, *(height for _code, _value, height in blocks)])
        keep = [np.flatnonzero(code >= 0) for code, _value, _height in blocks]
        place = np.concatenate([at + b[0][k] for at, b, k in zip(first, blocks, keep, strict=False)])
        value = np.concatenate([b[1][k] for b, k in zip(blocks, keep, strict=True)])
        unit = np.concatenate([rows.unit[k] for k in keep])
        shape = (int(first[-1]), int(rows.unit.max(initial=-1)) + 1)
        return cls(rows, sparse.csc_array((value, (place, unit)), shape=shape), beyond)

    def plain(self) -> Three:
        """The sums."""
        return self._sides(np.asarray(self.matrix.sum(axis=1), dtype=float))

    def drawn(self, seed: int) -> Three:
        """The sums under Poisson(1) weights, one per unit and draw; the same seed, the same weights.

        Hanley, MacGibbon (2006), Comput. Methods Programs Biomed. 83, 57-62.
        """
        rng = np.random.default_rng(seed)
        places, units = self.matrix.shape
        total = np.zeros((places, DRAWS))
        for start in range(0, units, _CHUNK):
            part = self.matrix[:, start : start + _CHUNK]
            total += part @ _POISSON[rng.integers(2**16, size=(part.shape[1], DRAWS), dtype=np.uint16)]
        return self._sides(total)

    def _sides(self, total: Floats) -> Three:
        size, team = len(self.rows.team), self.rows.team
        own, off_team, off_all = (total[i * size : (i + 1) * size] for i in range(3))
        inside = total[3 * size : -1][team] - off_team
        inside[team < 0] = np.nan
        return own, inside, total[-1] + self.beyond - off_all


def _counts(rows: Observations) -> tuple[Ints, Ints, Ints]:
    """Rows on each side."""
    return _whole(_Sums.of(rows, np.ones(len(rows.x)), beyond=rows.rest.n).plain())


def _people(rows: Observations) -> tuple[Ints, Ints, Ints]:
    """How many people stand behind each side."""
    first = np.zeros(len(rows.person))
    pairs = np.stack([rows.person, rows.entity], axis=1)
    if len(pairs):
        first[np.unique(pairs, axis=0, return_index=True)[1]] = 1.0
    return _whole(_Sums.of(rows, first, beyond=rows.rest.people).plain())


def _whole(three: Three) -> tuple[Ints, Ints, Ints]:
    own, team, others = (np.nan_to_num(side).round().astype(np.int64) for side in three)
    return own, team, others


def rates(rows: Observations, rng: np.random.Generator, level: float) -> Sides:
    """Shares sum(x) / sum(y) with 0 <= x <= y. Wilson's interval at Kish's effective n; Jeffreys draws."""
    won = _Sums.of(rows, rows.x, beyond=rows.rest.x).plain()
    every = _Sums.of(rows, rows.y, beyond=rows.rest.y).plain()
    squares = _Sums.of(rows, rows.y**2, beyond=rows.rest.yy).plain()
    values = [_ratio(x, y) for x, y in zip(won, every, strict=True)]
    effective = [_ratio(y**2, yy) for y, yy in zip(every, squares, strict=True)]
    draws = [
        _betas(np.nan_to_num(value * n) + 0.5, np.nan_to_num(np.maximum((1 - value) * n, 0.0)) + 0.5, rng)
        for value, n in zip(values, effective, strict=True)
    ]
    low, high = intervals.wilson(values[0], effective[0], level)
    return _sides(rows, values, draws, low, high)


def totals(rows: Observations, rng: np.random.Generator, level: float) -> Sides:
    """Sums of x: what the same behaviour may bring. Poisson bootstrap; exact where x merely counts."""
    beyond, _y = rows.rest.draws(rng)
    values = list(_Sums.of(rows, rows.x, beyond=rows.rest.x).plain())
    draws = list(_Sums.of(rows, rows.x, beyond=beyond).drawn(_seed(rng)))
    if np.all(rows.x == 1):
        low, high = intervals.poisson(values[0], level)
    else:
        low, high = intervals.percentiles(draws[0], _counts(rows)[0].astype(float), level)
    return _sides(rows, values, draws, low, high)


def ratios(rows: Observations, rng: np.random.Generator, level: float) -> Sides:
    """sum(x) / sum(y): means, value per customer. Poisson bootstrap over units, jointly."""
    beyond, seed = rows.rest.draws(rng), _seed(rng)
    below = _Sums.of(rows, rows.y, rows.pooled, rows.rest.y).plain()
    values = [
        _ratio(x, y) for x, y in zip(_Sums.of(rows, rows.x, beyond=rows.rest.x).plain(), below, strict=True)
    ]
    draws = [
        _ratio(x, y)
        for x, y in zip(
            _Sums.of(rows, rows.x, beyond=beyond[0]).drawn(seed),
            _Sums.of(rows, rows.y, rows.pooled, beyond[1]).drawn(seed),
            strict=True,
        )
    ]
    low, high = intervals.percentiles(draws[0], below[0], level)
    return _sides(rows, values, draws, low, high, n=_whole(below))


def medians(rows: Observations, rng: np.random.Generator, level: float) -> Sides:
    """Medians of x. Order-statistic interval; draws follow the bootstrap's own law.

    The median of a resample is the order statistic at ceil(n * U), U ~ Beta((n + 1) / 2, (n + 1) / 2)
    (Efron 1979, Annals of Statistics 7(1), section 3).
    """
    ordered = _Ordered.of(rows)
    pools = [[ordered.own(e) for e in ordered.entities], [ordered.team(e) for e in ordered.entities],
             [ordered.others(e) for e in ordered.entities]]  # fmt: skip
    values = [np.array([_middle(pool) for pool in side], dtype=float) for side in pools]
    draws = [_median_draws(side, rng) for side in pools]
    low, high = np.full((2, len(rows.team)), np.nan)
    for e, own in enumerate(pools[0]):
        ranks = intervals.median_ranks(len(own), level)
        if ranks:
            low[e], high[e] = own[np.array(ranks)]
    return _sides(rows, values, draws, low, high)


@dataclass(frozen=True)
class _Less:
    """Ascending values without some of them; `gaps`: how many places before each one left out stay."""

    values: Floats
    gaps: Ints

    @classmethod
    def of(cls, values: Floats, leaves: Floats) -> _Less:
        """Both ascending, `leaves` among the values."""
        again = np.arange(len(leaves)) - np.searchsorted(leaves, leaves)
        return cls(values, np.searchsorted(values, leaves) + again - np.arange(len(leaves)))

    def __len__(self) -> int:
        return len(self.values) - len(self.gaps)

    def __getitem__(self, ranks: Ints) -> Floats:
        """The values at ranks from 0."""
        found: Floats = self.values[ranks + np.searchsorted(self.gaps, ranks, side="right")]
        return found


@dataclass(frozen=True)
class _Ordered:
    """Ascending values by entity, of its peers' part alone, by group, and of everybody."""

    teams: Ints
    by_entity: list[Floats]
    leaving: list[Floats]
    by_team: list[Floats]
    everybody: Floats

    @classmethod
    def of(cls, rows: Observations) -> _Ordered:
        group = np.append(rows.team, -1)[rows.entity]
        peers = np.where(rows.peer, rows.x, np.nan)
        return cls(
            rows.team,
            _by_code(rows.entity, rows.x, len(rows.team)),
            _by_code(rows.entity, peers, len(rows.team)),
            _by_code(group, peers, int(rows.team.max(initial=-1)) + 1),
            np.sort(np.concatenate([rows.x[rows.peer], rows.rest.values])),
        )

    @property
    def entities(self) -> range:
        return range(len(self.teams))

    def own(self, e: int) -> _Less:
        return _Less.of(self.by_entity[e], _NOTHING)

    def team(self, e: int) -> _Less:
        inside = self.teams[e] >= 0
        return (
            _Less.of(self.by_team[self.teams[e]], self.leaving[e]) if inside else _Less.of(_NOTHING, _NOTHING)
        )

    def others(self, e: int) -> _Less:
        return _Less.of(self.everybody, self.leaving[e])


_NOTHING: Floats = np.empty(0)


def _by_code(codes: Ints, values: Floats, size: int) -> list[Floats]:
    """Known values of each code 0..size-1, ascending."""
    order = np.lexsort((values, codes))
    order = order[(codes[order] >= 0) & ~np.isnan(values[order])]
    return np.split(values[order], np.searchsorted(codes[order], np.arange(1, size))) if size else []


def _middle(pool: _Less) -> float:
    """The median; the mean of the middle two where n is even."""
    n = len(pool)
    return float(pool[np.array([(n - 1) // 2, n // 2])].mean()) if n else np.nan


def _median_draws(pools: list[_Less], rng: np.random.Generator) -> Floats:
    n = np.array([len(pool) for pool in pools], dtype=np.int64)
    uniform = _betas((n + 1) / 2, (n + 1) / 2, rng)
    draws = np.full((len(pools), DRAWS), np.nan)
    for e, pool in enumerate(pools):
        if n[e]:
            draws[e] = pool[np.clip(np.ceil(n[e] * uniform[e]).astype(np.int64) - 1, 0, n[e] - 1)]
    return draws


def _betas(a: Floats, b: Floats, rng: np.random.Generator) -> Floats:
    """Draws of a beta per row; equal rows have the same ones, since rows are never judged against each other."""
    pairs, which = np.unique(np.stack([a, b], axis=1), axis=0, return_inverse=True)
    a, b = pairs[:, :1], pairs[:, 1:]
    total = a + b
    spread = np.sqrt(a * b / (total**2 * (total + 1)))
    draws: Floats = a / total + spread * rng.standard_normal(DRAWS)
    few = np.flatnonzero(pairs.min(axis=1, initial=np.inf) <= NEARLY_NORMAL)
    draws[few] = rng.beta(a[few], b[few], (len(few), DRAWS))
    return draws[which]


def standard_error(draws: Floats) -> Floats:
    """Spread of the draws, per row; NaN where there are none."""
    known = np.sum(~np.isnan(draws), axis=1)
    spread = np.full(len(draws), np.nan)
    whole, holes = known == draws.shape[1], (known > 1) & (known < draws.shape[1])
    spread[whole], spread[holes] = draws[whole].std(axis=1), np.nanstd(draws[holes], axis=1)
    return spread


def p_value(estimate: Floats, draws: Floats, n: Floats) -> Floats:
    """Two-sided p of a difference against 0, by its draws' spread and Student's t at `n` - 1."""
    spread = standard_error(draws)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * special.stdtr(np.maximum(n - 1, 1), -np.abs(estimate) / spread)
    return np.where(spread > 0, np.asarray(p), np.nan)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**63))


def _ratio(x: Floats, y: Floats) -> Floats:
    # Subtracting an entity from a pool leaves rounding dust where nothing is left.
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(y > 1e-9, x / y, np.nan)


def _sides(
    rows: Observations, values: list[Floats], draws: list[Floats], low: Floats, high: Floats,
    n: tuple[Ints, Ints, Ints] | None = None,
) -> Sides:  # fmt: skip
    """Put the three sides together; `n` is the rows unless the figure is per something else."""
    own, team, others = (
        Side(*parts) for parts in zip(values, n or _counts(rows), _people(rows), draws, strict=True)
    )
    return Sides(own, low, high, team, others, len(rows.team) + rows.rest.entities)
