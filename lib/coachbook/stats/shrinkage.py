"""Shares of many reps, each drawn toward what its peers let expect: the fewer its own deals, the further.

A rep's share is taken to be one of a beta distribution of its group's shares. How wide that is, the data say only
roughly (a handful of peers hardly at all), so nothing is plugged in: all here is averaged over the mean and the
spread that the group's data allow. That is Bayes' rule with a vague prior on both, hence a rep counts among its own
group, once, and intervals hold what is uncertain about the group too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from coachbook.stats.intervals import Floats

Ints = NDArray[np.int64]
_NODES = 24
_WIDEST = 8.0
"""Precisions from e**-8 to e**8 times a group's typical n hold 0.999 of their prior."""


@dataclass(frozen=True)
class Prior:
    """What groups let expect of a share: a weighted grid, groups x nodes.

    At each node a precision: the number of deals that the group's word is worth beside a rep's own. Given it, the
    group's mean is a beta of `won` and `lost`, which are as many deals as all reps tell of it.
    """

    weight: Floats
    precision: Floats
    won: Floats
    lost: Floats

    @property
    def mean(self) -> Floats:
        """Expected share of a rep not yet seen, in (0, 1), per group."""
        means: Floats = np.sum(self.weight * self.won / (self.won + self.lost), axis=1)
        return means

    @property
    def deals(self) -> Floats:
        """Geometric mean of the precision, in deals, per group. Of one rep alone it only tells of the vague prior."""
        worth: Floats = np.exp(np.sum(self.weight * np.log(self.precision), axis=1))
        return worth


@dataclass(frozen=True)
class Shrunken:
    """Per rep: `value` in (0, 1), interval, and the share of `value` in [0, 1] that is the rep's own (0: without deals)."""

    value: Floats
    low: Floats
    high: Floats
    own: Floats


def jeffreys(successes: Floats, n: Floats, level: float) -> tuple[Floats, Floats]:
    """Equal-tailed interval of a share, its prior Beta(1/2, 1/2); from 0 where nothing, to 1 where all was a success.

    References
    ----------
    Brown, Cai, DasGupta (2001), Statistical Science 16(2), 101-133, section 3.1.2.
    """
    tail = (1 - level) / 2
    a, b = successes + 0.5, n - successes + 0.5
    low, high = special.betaincinv(a, b, tail), special.betaincinv(a, b, 1 - tail)
    return np.where(successes <= 0, 0.0, low), np.where(successes >= n, 1.0, high)


def fit(successes: Floats, n: Floats, group: Ints | None = None) -> Prior:
    """The prior of each group from all of its reps, at once for all groups.

    Parameters
    ----------
    successes, n
        Per rep, 0 <= successes <= n; may be effective, fractional ones. Reps with n = 0 tell nothing.
    group
        Code 0..G-1 per rep: one per stage and set of peers, say. Without it all are one group.

    Notes
    -----
    A typical rep's weight on the group is uniform a priori (typical n: the harmonic mean), the group's mean Jeffreys'.
    So there is no edge to fall off: a few reps that look alike do not make the precision infinite, one rep alone or
    all at 0 leave it open. The mean given the precision weighs reps by n / (n + precision) (Kleinman). Of four peers
    who differ more than the prior thinks likely, intervals at 0.95 cover 0.90 for those of few deals; of twenty, 0.94.

    References
    ----------
    Uniform shrinkage: Christiansen, Morris (1997), JASA 92, 618-632; Natarajan, Kass (2000), JASA 95, 227-237.
    Mean: Kleinman (1973), JASA 68, 46-54.
    """
    group = _one_group(n) if group is None else group
    seen = n > 0
    successes, n, group, groups = successes[seen], n[seen], group[seen], int(group.max(initial=-1)) + 1
    reps = np.bincount(group, minlength=groups)
    typical = np.maximum(reps, 1) / np.where(reps > 0, np.bincount(group, 1 / n, groups), 1.0)
    centre, half = np.zeros(groups), np.full(groups, _WIDEST)
    for _zoom in range(2):
        logit = centre[:, None] + half[:, None] * np.linspace(-1, 1, _NODES)
        prior = _weighed(successes, n, group, logit, typical)
        centre = np.sum(prior.weight * logit, axis=1)
        spread = np.sqrt(np.sum(prior.weight * (logit - centre[:, None]) ** 2, axis=1))
        half = np.minimum(2 * half / (_NODES - 1) + 4 * spread, _WIDEST)
    return prior


def _weighed(successes: Floats, n: Floats, group: Ints, logit: Floats, typical: Floats) -> Prior:
    """Nodes where the typical rep's weight on its group has these logits (groups x nodes), and how likely they are."""
    precision = typical[:, None] * np.exp(logit)
    at = precision[group]
    told = (at + 1) / (n[:, None] + at)
    yes = _per_group(told * successes[:, None], group, len(precision))
    no = _per_group(told * (n - successes)[:, None], group, len(precision))
    won, lost = yes + 0.5, no + 0.5
    mean = won / (won + lost)
    a, b = precision * mean, precision * (1 - mean)
    likelihood = special.betaln(successes[:, None] + a[group], (n - successes)[:, None] + b[group])
    likelihood = _per_group(likelihood - special.betaln(a, b)[group], group, len(precision))
    # Over the mean, the likelihood is nearly that of `yes` and `no` deals: integrated as such.
    likelihood += special.betaln(won, lost) - yes * np.log(mean) - no * np.log1p(-mean)
    density = likelihood + special.log_expit(logit) + special.log_expit(-logit)
    return Prior(special.softmax(density, axis=1), precision, won, lost)


def shrink(
    successes: Floats, n: Floats, level: float, *, prior: Prior, group: Ints | None = None
) -> Shrunken:
    """Each rep's share given its own deals and its group's prior; arrays as in `fit`.

    Posterior mean and variance are exact over the prior's nodes; the interval is that of the beta which has them. Where
    nobody of a group has any success it is up to 0.4 too wide. Reps whom the prior was not fitted on may be shrunken too.

    References
    ----------
    Kass, Steffey (1989), JASA 84, 717-726; for betas: Kelly, Tang, Morris (2017), J. Statistical Software 78(5).
    """
    group = _one_group(n) if group is None else group
    weight, precision = prior.weight[group], prior.precision[group]
    own = n[:, None] / (n[:, None] + precision)
    mean = (prior.won / (prior.won + prior.lost))[group]
    wander = (1 - own) ** 2 * (mean * (1 - mean) / (prior.won + prior.lost + 1)[group])
    node = (successes[:, None] + precision * mean) / (n[:, None] + precision)
    value = np.sum(weight * node, axis=1)
    variance = (node * (1 - node) - wander) / (n[:, None] + precision + 1) + wander
    variance = np.sum(weight * (variance + (node - value[:, None]) ** 2), axis=1)
    size = value * (1 - value) / variance - 1
    low, high = (
        special.betaincinv(value * size, (1 - value) * size, q) for q in ((1 - level) / 2, (1 + level) / 2)
    )
    return Shrunken(value, low, high, np.sum(weight * own, axis=1))


def draws(
    successes: Floats,
    n: Floats,
    rng: np.random.Generator,
    count: int,
    *,
    prior: Prior,
    group: Ints | None = None,
) -> Floats:
    """Joint draws of all reps' shares (reps x count): those of a group share its mean and its precision."""
    group = _one_group(n) if group is None else group
    groups = len(prior.weight)
    level = np.cumsum(prior.weight, axis=1)[:, None, :-1]
    node = np.sum(rng.random((groups, count))[:, :, None] > level, axis=2)
    precision, won, lost = (
        np.take_along_axis(a, node, axis=1) for a in (prior.precision, prior.won, prior.lost)
    )
    mean = np.clip(rng.beta(won, lost), 1e-9, 1 - 1e-9)
    a, b = precision * mean, precision * (1 - mean)
    return rng.beta(successes[:, None] + a[group], (n - successes)[:, None] + b[group])


def rank_intervals(
    drawn: Floats, level: float, rng: np.random.Generator, group: Ints | None = None
) -> tuple[Ints, Ints]:
    """Lowest and highest rank of each rep within its group at `level`; 1 is the highest share.

    `drawn` as `draws` gives them. Draws that are the same (0 or 1, by underflow) are put in order at random.

    References
    ----------
    Goldstein, Spiegelhalter (1996), JRSS A 159(3), 385-443.
    """
    group = _one_group(drawn) if group is None else group
    key = 2.0 * group[:, None] - drawn - 1e-9 * rng.random(drawn.shape)
    place = np.argsort(np.argsort(key, axis=0), axis=0)
    first = np.searchsorted(np.sort(group), group)
    rank = place - first[:, None] + 1
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(rank, tails, axis=1, method="inverted_cdf").astype(np.int64)
    return low, high


def _one_group(rows: Floats) -> Ints:
    return np.zeros(len(rows), dtype=np.int64)


def _per_group(values: Floats, group: Ints, groups: int) -> Floats:
    """Sums over the reps of each group: (reps x nodes) to (groups x nodes)."""
    return np.stack([np.bincount(group, column, groups) for column in values.T], axis=1, dtype=float)
