"""How long things stay and how they end: Kaplan-Meier and Aalen-Johansen, many groups in one pass.

Time is counted from a spell's own beginning, mostly in whole working days. A spell seen from its beginning
(`entry` 0) is at risk on [0, `exit`], so one that ends on its day 0 counts. A spell that came under observation
late (`entry` > 0, left-truncated) is at risk on (`entry`, `exit`]: it is known to have stayed until `entry`, so it
says nothing of that time, and if it also ended then it does not count at all. Where the whole first day of
observation was seen, `entry` - 0.5 says so. At one and the same time ends come before spells that go on: who was
last seen at t is still at risk at t. Times are equal only if the floats are. Spells are taken as independent.

With late entries few may be at risk at early times, or nobody, or all at risk may end while others come later: the
curve then falls to 0 too early and stays there. `thinnest` shows the smallest number at risk; from where it
is 0 the data cannot tell, and `at` and `quantile` answer NaN.

References
----------
Kaplan, Meier (1958), JASA 53, 457-481. Aalen, Johansen (1978), Scandinavian Journal of Statistics 5, 141-150. Left
truncation: Andersen, Borgan, Gill, Keiding (1993), Statistical Models Based on Counting Processes, sections III.3, IV.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from coachbook.stats.intervals import Floats

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
ROUNDING = 1e-9
"""A share closer to a bound than this is at it."""


@dataclass(frozen=True)
class Spells:
    """One row per spell: `group` 0..G-1, 0 <= `entry` <= `exit`, `cause` how it ended (1..C; 0: still going on)."""

    group: Ints
    entry: Floats
    exit: Floats
    cause: Ints


@dataclass(frozen=True)
class Estimate:
    """Values with the bounds of their interval; NaN where the data cannot tell."""

    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class AtHorizon:
    """What became of G groups by a horizon; shares in [0, 1], which add up to 1 over staying and C causes.

    `staying` (G), `incidence` (G x C), `mean_time` the mean time stayed up to the horizon (restricted mean),
    `at_risk` how many were under observation at the horizon, `thinnest` the fewest at any time up to it
    (or up to when all had ended); 0 where, and only where, the data cannot tell.
    """

    staying: Estimate
    incidence: Estimate
    mean_time: Floats
    at_risk: Ints
    thinnest: Ints


@dataclass(frozen=True)
class Curves:
    """Step functions of G groups, flat: rows `offsets[g]` to `offsets[g + 1]` are those of group g, by time.

    Each group's first row is its start (time 0, everybody stays), then one row for each time at which a spell
    comes under observation or ends or is last seen. What a row says holds until the next.

    Attributes
    ----------
    offsets
        G + 1 positions.
    time
        Unit of the spells. A day 0 on which something ended has its own row, after the start.
    at_risk
        How many could have ended at that time (at the start: seen from their beginning).
    ended
        Rows x C: how many did, by cause.
    staying, staying_variance
        Share not ended by then, whatever the cause; Greenwood (1926).
    incidence, incidence_variance
        Rows x C: share ended by then by that cause; the delta method of Marubini, Valsecchi (1995), Analysing
        Survival Data, chapter 10, that is the Greenwood-type variance which Allignol, Schumacher, Beyersmann
        (2010), Biometrical Journal 52, 126-137, advise with late entries.
    thinnest
        Smallest `at_risk` so far; 0 from where nobody was, and after all at risk ended while others came later.
    effective
        Number of spells, each followed from its beginning, that the thinnest time is worth: the least of
        `at_risk` / staying just before.
    level
        Of all intervals, in (0, 1).
    """

    offsets: Ints
    time: Floats
    at_risk: Ints
    ended: Ints
    staying: Floats
    staying_variance: Floats
    incidence: Floats
    incidence_variance: Floats
    thinnest: Ints
    effective: Floats
    level: float

    def one(self, group: int) -> Curves:
        """The curve of one group, as curves of one."""
        rows = slice(self.offsets[group], self.offsets[group + 1])
        cut = {
            f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name not in {"offsets", "level"}
        }
        return replace(self, offsets=np.array([0, rows.stop - rows.start]), **cut)

    def staying_interval(self) -> tuple[Floats, Floats]:
        """Bounds of `staying`, pointwise, on the log-log scale.

        Where all or none have ended that scale has no interval: then exact binomial bounds with `effective`
        spells (Clopper, Pearson 1934, Biometrika 26, 404-413). Rows whose `thinnest` is 0 are not left out.

        References
        ----------
        Kalbfleisch, Prentice (1980), The Statistical Analysis of Failure Time Data, chapter 1.
        """
        return _loglog(self.staying, self.staying_variance, self.effective, self.level)

    def incidence_interval(self) -> tuple[Floats, Floats]:
        """Bounds of `incidence`, pointwise, on the complementary log-log scale; else as `staying_interval`.

        References
        ----------
        Beyersmann, Allignol, Schumacher (2012), Competing Risks and Multistate Models with R, chapter 4.
        """
        return _incidence_bounds(self.incidence, self.incidence_variance, self.effective, self.level)

    def at(self, horizon: float | Floats) -> AtHorizon:
        """What became of each group by `horizon` (one for all, or one per group; finite, >= 0).

        NaN where somebody stays at the last time at which anybody was at risk and the horizon is beyond it, and
        from where `thinnest` is 0. If all have ended, and nobody was seen later, that holds ever after.

        Raises
        ------
        ValueError
            A horizon is negative, infinite or NaN.
        """
        due = np.broadcast_to(np.asarray(horizon, dtype=float), len(self.offsets) - 1)
        if not (np.isfinite(due) & (due >= 0)).all():
            raise ValueError("a horizon is a finite time, 0 or later")
        row = self._starts + self._count(self.time <= self._spread(due)) - 1
        ahead = self._starts + self._count(self.time < self._spread(due))
        beyond, ahead = ahead > self._lasts, np.minimum(ahead, self._lasts)
        gone = self.staying[row] == 0
        thinnest = np.where(gone, self.thinnest[row], np.where(beyond, 0, self.thinnest[ahead]))
        thinnest = np.where(self._told[row], thinnest, 0)
        known = thinnest > 0
        effective = self.effective[np.where(gone, row, ahead)]
        staying, incidence = self.staying[row], self.incidence[row]
        bounds = _loglog(staying, self.staying_variance[row], effective, self.level)
        its_bounds = _incidence_bounds(incidence, self.incidence_variance[row], effective, self.level)
        return AtHorizon(
            _known(known, staying, bounds),
            _known(known[:, None], incidence, its_bounds),
            np.where(known, self._area(due), np.nan),
            np.where(beyond, 0, self.at_risk[ahead]),
            thinnest,
        )

    def quantile(self, share: float = 0.5) -> Estimate:
        """First time by which at least `share` have ended, per group (0.5: the median); NaN where not reached.

        The interval has the times at which `staying_interval` includes 1 - `share`: its bounds are the
        first times at which the lower and the upper bound have come down to that. Small groups have a lower
        bound of 0 (a median: below 6), as nothing excludes an earlier time.

        References
        ----------
        Brookmeyer, Crowley (1982), Biometrics 38, 29-41.
        """
        low, high = self.staying_interval()
        left = 1 - share + ROUNDING
        return Estimate(
            self._first(self.staying <= left), self._first(low <= left), self._first(high <= left)
        )

    @property
    def _starts(self) -> Ints:
        return self.offsets[:-1]

    @property
    def _lasts(self) -> Ints:
        return self.offsets[1:] - 1

    @property
    def _told(self) -> Flags:
        """Rows that the data speak for: without a hole before, and "all ended" only if nobody was seen later."""
        told = (self.thinnest > 0) & (self.staying > 0)
        told[self._lasts] = self.thinnest[self._lasts] > 0
        return told

    def _spread(self, per_group: Floats) -> Floats:
        return np.repeat(per_group, np.diff(self.offsets))

    def _count(self, rows: Flags) -> Ints:
        return np.add.reduceat(rows.astype(np.int64), self._starts)

    def _first(self, reached: Flags) -> Floats:
        """Time of the first row of each group at which that is so; NaN where it never is."""
        rows = np.where(reached & self._told, np.arange(len(reached)), len(reached))
        return np.append(self.time, np.nan)[np.minimum.reduceat(rows, self._starts)]

    def _area(self, due: Floats) -> Floats:
        """Under the curve of staying, up to a time per group."""
        until = np.append(self.time[1:], 0.0)
        until[self._lasts] = due
        stop = self._spread(due)
        return np.add.reduceat(
            self.staying * (np.minimum(until, stop) - np.minimum(self.time, stop)), self._starts
        )


def curves(spells: Spells, *, groups: int, causes: int, level: float) -> Curves:
    """Kaplan-Meier and Aalen-Johansen estimates of each group, with intervals at `level`.

    A group without spells has its start only. Time taken grows with the number of spells, and with the largest
    number of distinct times in a group.

    Raises
    ------
    ValueError
        A spell has a group or cause out of range, or not 0 <= entry <= exit < infinity; names the first.
    """
    _check(spells, groups, causes)
    offsets, time, at_risk, ended = _rows(spells, groups, causes)
    size, wide = len(time), (len(time), causes)
    staying, variance, incidence, its_variance = np.ones(size), np.zeros(size), np.zeros(wide), np.zeros(wide)
    thinnest, effective = at_risk.copy(), at_risk.astype(float)
    stays, spread = np.ones(groups), np.zeros(groups)  # the state of each group, the longest first
    left, its_spread, joint = np.zeros((3, causes, groups))
    for row in _steps(offsets):
        # Those at risk are a multinomial draw; the state moves on by it, and so does its covariance.
        n, going = at_risk[row], len(row)
        stays, spread, joint = stays[:going], spread[:going], joint[:, :going]
        chance = ended[row].T / np.maximum(n, 1)
        keep = 1 - ended[row].sum(axis=1) / np.maximum(n, 1)
        draw = stays**2 / np.maximum(n, 1)
        left = left[:, :going] + stays * chance
        its_spread = its_spread[:, :going] + chance * (2 * joint + chance * (spread - draw) + draw)
        joint = keep * (joint + chance * (spread - draw))
        spread = keep * (keep * spread + (1 - keep) * draw)
        thinnest[row] = np.minimum(thinnest[row - 1], np.where(stays > 0, n, 0))
        worth = np.divide(n, stays, out=np.full(going, np.inf), where=stays > 0)
        effective[row] = np.minimum(effective[row - 1], worth)
        stays = stays * keep
        staying[row], variance[row], incidence[row], its_variance[row] = stays, spread, left.T, its_spread.T
    return Curves(
        offsets, time, at_risk, ended, staying, variance, incidence, its_variance, thinnest, effective, level
    )


def _check(spells: Spells, groups: int, causes: int) -> None:
    fine = (spells.group >= 0) & (spells.group < groups) & (spells.cause >= 0) & (spells.cause <= causes)
    fine &= (spells.entry >= 0) & (spells.exit >= spells.entry) & np.isfinite(spells.exit)
    if not fine.all():
        wanted = f"group in 0..{groups - 1}, cause in 0..{causes}, 0 <= entry <= exit"
        message = f"spell {np.argmin(fine)}: {wanted}"
        raise ValueError(message)


def _rows(spells: Spells, groups: int, causes: int) -> tuple[Ints, Floats, Ints, Ints]:
    """Offsets, and of each group's start and distinct times: time, at risk, ended by cause.

    All that happens is one sorted array of whole numbers made of group, rank of the time, and kind (0 last seen,
    1..C ended, C + 1 came under observation or is a start): many times faster than sorting by two columns.
    """
    from_start = spells.entry == 0
    late = ~from_start & (spells.exit > spells.entry)
    seen = late | from_start
    times = np.concatenate([spells.exit[seen], spells.entry[late]])
    moments = np.unique(times)
    kinds = causes + 2
    rank = np.concatenate([np.searchsorted(moments, times) + 1, np.zeros(groups, dtype=np.int64)])
    group = np.concatenate([spells.group[seen], spells.group[late], np.arange(groups)])
    kind = np.append(spells.cause[seen], np.full(int(late.sum()) + groups, causes + 1))
    event = np.sort((group * (len(moments) + 1) + rank) * kinds + kind)
    moment, kind = np.divmod(event, kinds)
    new = np.append(True, moment[1:] != moment[:-1])[: len(moment)]
    size = int(new.sum())
    cells = np.bincount((np.cumsum(new) - 1) * kinds + kind, minlength=size * kinds).reshape(size, kinds)
    rank = moment[new] % (len(moments) + 1)
    start = rank == 0
    came = cells[:, -1]
    came[start] = np.bincount(spells.group[from_start], minlength=groups)
    change = came - cells[:, :-1].sum(axis=1)
    after = np.cumsum(change)  # all who come to a group go: it is 0 at the end of each
    at_risk = np.where(start, after, after - change)
    return np.append(np.flatnonzero(start), size), np.append(0.0, moments)[rank], at_risk, cells[:, 1:-1]


def _steps(offsets: Ints) -> Iterator[Ints]:
    """The second row of all groups that have one, then the third, and so on."""
    lengths = np.diff(offsets)
    longest_first = np.argsort(-lengths, kind="stable")
    starts, lengths = offsets[:-1][longest_first], lengths[longest_first]
    for step in range(1, int(lengths.max(initial=0))):
        yield starts[: np.searchsorted(-lengths, -step)] + step


def _loglog(staying: Floats, variance: Floats, effective: Floats, level: float) -> tuple[Floats, Floats]:
    """Interval of a share not ended; with none or all ended: exact, of that many spells."""
    z = special.ndtri((1 + level) / 2)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        power = np.exp(z * np.sqrt(np.maximum(variance, 0)) / (-staying * np.log(staying)))
        exact = ((1 - level) / 2) ** (1 / effective)
        low, high = staying**power, staying ** (1 / power)
    nobody, everybody = staying < ROUNDING, staying > 1 - ROUNDING
    low = np.where(everybody, exact, np.where(nobody, 0.0, low))
    return low, np.where(nobody, 1 - exact, np.where(everybody, 1.0, high))


def _incidence_bounds(
    incidence: Floats, variance: Floats, effective: Floats, level: float
) -> tuple[Floats, Floats]:
    """The same of what ended, rows x causes: by that cause, against all else."""
    low, high = _loglog(1 - incidence, variance, effective[:, None], level)
    return 1 - high, 1 - low


def _known(known: Flags, value: Floats, bounds: tuple[Floats, Floats]) -> Estimate:
    """NaN for groups of which the data cannot tell."""
    return Estimate(*(np.where(known, x, np.nan) for x in (value, *bounds)))
