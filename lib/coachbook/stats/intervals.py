"""Intervals for one figure. Arrays in, arrays (low, high) out; NaN where nothing can be said."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]


def wilson(share: Floats, n: Floats, level: float) -> tuple[Floats, Floats]:
    """Score interval of a share in [0, 1] seen among `n` (may be an effective, fractional n).

    References
    ----------
    Wilson (1927), JASA 22(158), 209-212. Effective n of unequal weights: Kish (1965), Survey Sampling.
    """
    z = special.ndtri((1 + level) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    # At a share of 0 or 1 the bound is exactly that; rounding would put it beside.
    return np.where(share <= 0, 0.0, centre - half), np.where(share >= 1, 1.0, centre + half)


def poisson(count: Floats, level: float) -> tuple[Floats, Floats]:
    """Exact interval of the mean of a count (Garwood 1936, Biometrika 28, 437-442)."""
    tail = (1 - level) / 2
    low = np.where(count > 0, special.chdtri(2 * count, 1 - tail) / 2, 0.0)
    return low, np.asarray(special.chdtri(2 * count + 2, tail)) / 2


@lru_cache(maxsize=4096)
def median_ranks(n: int, level: float) -> tuple[int, int] | None:
    """Ranks (from 0) of the order statistics around a median; None where n is too small.

    The narrowest symmetric pair whose coverage is at least `level` (n >= 6 at 0.95).

    References
    ----------
    David, Nagaraja (2003), Order Statistics, 3rd ed., section 7.1.
    """
    tail = (1 - level) / 2
    below = (
        int(special.bdtrik(tail, n, 0.5)) + 1 if n else -1
    )  # one above where the tail is used up, to go down from
    while below >= 0 and special.bdtr(below, n, 0.5) > tail:
        below -= 1
    return None if below < 0 else (below, n - 1 - below)


def percentiles(draws: Floats, n: Floats, level: float) -> tuple[Floats, Floats]:
    """Interval from bootstrap draws (rows x draws), widened for small `n`.

    The plain percentile interval is too narrow by sqrt((n - 1) / n) * z / t; the levels are moved out to
    make up for it ("expanded percentile": Hesterberg 2015, The American Statistician 69(4), 371-386).
    """
    tail = (1 - level) / 2
    safe = np.maximum(n, 2.0)
    low_level = special.ndtr(np.sqrt(safe / (safe - 1)) * special.stdtrit(safe - 1, tail))
    ordered = np.sort(draws, axis=1)  # NaN sorts last
    count = np.sum(~np.isnan(draws), axis=1)
    return _at(ordered, count, low_level), _at(ordered, count, 1 - low_level)


def _at(ordered: Floats, count: NDArray[np.int64], level: Floats) -> Floats:
    """Linear interpolation of one quantile per row among the first `count` of it."""
    position = level * np.maximum(count - 1, 0)
    below = np.floor(position).astype(int)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    rows = np.arange(len(ordered))
    low, high = ordered[rows, below], ordered[rows, above]
    quantile: Floats = low + (position - below) * (high - low)
    return np.where(count > 0, quantile, np.nan)
