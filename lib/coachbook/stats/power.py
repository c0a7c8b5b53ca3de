"""Whether two shares can be told apart: the interval of their difference, how often it clears 0, the n that takes.

Two shares differ if Newcombe's interval leaves out 0; power and needed n are those of just this test. A reference of
`np.inf` deals is a share that is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import special

from coachbook.stats.intervals import Floats, wilson

POWER = 0.8
_MOST = 1e7
"""Beyond, no n is said to be enough."""


@dataclass(frozen=True)
class Chance:
    """Power of seeing that a share of `base` fell by the part `drop` of it, among `n` deals.

    `beside_equal`: against another `n` deals; `beside_known`: against a reference so large that its share is known.
    """

    base: float
    drop: float
    n: int
    beside_equal: float
    beside_known: float


def newcombe(x1: Floats, n1: Floats, x2: Floats, n2: Floats, level: float) -> tuple[Floats, Floats]:
    """Interval of x1 / n1 - x2 / n2, from Wilson's of each; arrays are broadcast, NaN where an n is 0.

    References
    ----------
    Newcombe (1998), Statistics in Medicine 17(8), 873-890, method 10.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return _difference(x1 / n1, n1, x2 / n2, n2, level)


def _difference(p1: Floats, n1: Floats, p2: Floats, n2: Floats, level: float) -> tuple[Floats, Floats]:
    (low1, high1), (low2, high2) = wilson(p1, n1, level), wilson(p2, n2, level)
    return p1 - p2 - np.hypot(p1 - low1, high2 - p2), p1 - p2 + np.hypot(high1 - p1, p2 - low2)


def power(p1: float, n1: float, p2: float, n2: float, level: float) -> float:
    """Chance in [0, 1] that the interval of the difference leaves out 0, where the true shares are `p1` and `p2`.

    Exact: all outcomes are gone through, n1 * n2 of them. Where the shares are equal it is the test's true size.
    """
    (share1, chance1), (share2, chance2) = _outcomes(p1, n1), _outcomes(p2, n2)
    low, high = _difference(share1[:, None], np.array(float(n1)), share2, np.array(float(n2)), level)
    return float(chance1 @ ((low > 0) | (high < 0)) @ chance2)


def _outcomes(p: float, n: float) -> tuple[Floats, Floats]:
    """Shares that may be seen among `n`, and how likely each is."""
    if np.isinf(n):
        return np.array([p]), np.ones(1)
    k = np.arange(n + 1)
    log_ways = -special.betaln(k + 1, n - k + 1) - np.log(n + 1)
    return k / n, np.exp(log_ways + special.xlogy(k, p) + special.xlog1py(n - k, -p))


def n_needed(p1: Floats, p2: Floats, n2: Floats, level: float, *, goal: float = POWER) -> Floats:
    """Smallest n1 at which shares `p1` and `p2` are told apart with power `goal`; arrays are broadcast.

    Found by bisection, where the test just holds at an outcome as unlucky as one in 1 / (1 - goal): both shares are
    nearer to each other by ndtri(goal) standard errors of the difference. Exact power goes up in saw-teeth; it passes
    `goal` within 20 % of this n, or within 2 deals. Infinite where no n1 is enough, since the shares are equal or `n2`
    is too small; NaN where something is unknown.
    """
    p1, p2, n2 = np.broadcast_arrays(p1, p2, n2)
    low, high = np.zeros(p1.shape), np.full(p1.shape, np.log(_MOST))
    for _halving in range(40):
        middle = (low + high) / 2
        told = _told_apart(p1, np.exp(middle), p2, n2, level, special.ndtri(goal))
        low, high = np.where(told, low, middle), np.where(told, middle, high)
    n = np.ceil(np.exp(high) - 1e-6)  # halving ends a little above
    return np.where(np.isnan(p1 + p2 + n2), np.nan, np.where(n < _MOST, n, np.inf))


def _told_apart(p1: Floats, n1: Floats, p2: Floats, n2: Floats, level: float, errors: float) -> Floats:
    """Whether the test holds where chance brings the shares nearer by so many standard errors."""
    with np.errstate(invalid="ignore", divide="ignore"):
        part1, part2 = p1 * (1 - p1) / n1, p2 * (1 - p2) / n2
        spread = np.sqrt(part1 + part2)
        nearer = np.sign(p2 - p1) * errors / np.where(spread > 0, spread, 1.0)
        near1, near2 = np.clip(p1 + nearer * part1, 0, 1), np.clip(p2 - nearer * part2, 0, 1)
    low, high = _difference(near1, n1, near2, n2, level)
    return np.where(p1 > p2, low > 0, high < 0)


def table(
    level: float, *, sizes: Iterable[int] = (20, 60, 200), drops: Iterable[float] = (0.2, 0.35, 0.5),
    bases: Iterable[float] = (0.2, 0.5),
) -> tuple[Chance, ...]:  # fmt: skip
    """What can be seen and what cannot: one row per base, relative drop and size, in this order."""
    return tuple(
        Chance(
            base, drop, n,
            beside_equal=power(base * (1 - drop), n, base, n, level),
            beside_known=power(base * (1 - drop), n, base, np.inf, level),
        )
        for base, drop, n in product(bases, drops, sizes)
    )  # fmt: skip
