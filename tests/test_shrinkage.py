"""Shares drawn toward their peers: against statsmodels, published values, brute force, and what they promise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, special, stats
from statsmodels.stats.proportion import proportion_confint

from coachbook.stats import shrinkage
from coachbook.stats.intervals import wilson
from coachbook.stats.shrinkage import Prior, Shrunken

LEVEL = 0.95
Array = NDArray[np.float64]


def _rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def _floats(*values: float) -> Array:
    return np.array(values, dtype=float)


def _shrunken(x: Array, n: Array, group: NDArray[np.int64] | None = None) -> Shrunken:
    return shrinkage.shrink(x, n, LEVEL, prior=shrinkage.fit(x, n, group), group=group)


# Jeffreys' interval


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [1, 2, 7, 50, 400])
def test_jeffreys_is_statsmodels_and_has_the_usual_ends(n: int, level: float) -> None:
    k = np.arange(n + 1)
    low, high = shrinkage.jeffreys(k.astype(float), np.full(n + 1, float(n)), level)
    expected = proportion_confint(k, n, method="jeffreys", alpha=1 - level)
    assert low[1:] == pytest.approx(expected[0][1:], abs=1e-10)
    assert high[:-1] == pytest.approx(expected[1][:-1], abs=1e-10)
    assert (low[0], high[-1]) == (0.0, 1.0)


def test_jeffreys_of_nothing_is_everything() -> None:
    assert shrinkage.jeffreys(_floats(0), _floats(0), LEVEL) == (_floats(0), _floats(1))


@given(x=st.integers(0, 60), lost=st.integers(0, 60))
def test_jeffreys_narrows_and_mirrors(x: int, lost: int) -> None:
    (low, twice_low), (high, twice_high) = shrinkage.jeffreys(
        _floats(x, 2 * x), _floats(x + lost, 2 * (x + lost)), LEVEL
    )
    assert 0 <= low <= high <= 1
    if x + lost:
        assert twice_high - twice_low < high - low
    mirrored = shrinkage.jeffreys(_floats(lost), _floats(x + lost), LEVEL)
    assert (1 - mirrored[1][0], 1 - mirrored[0][0]) == pytest.approx((low, high), abs=1e-12)


# The prior

TUMOURS = np.array([0] * 14 + [1] * 8 + [2] * 9 + [1, 5, 2, 5, 3, 2, 7, 7, 3, 3, 2, 9, 10] + [4] * 7
    + [10, 4, 4, 4, 5, 11, 12, 5, 5, 6, 5, 6, 6, 6, 6, 16, 15, 15, 9, 4], dtype=float)  # fmt: skip
RATS = np.array([20] * 7 + [19] * 4 + [18, 18, 17] + [20] * 4 + [19, 19, 18, 18, 25, 24, 23] + [20] * 6
    + [10, 49, 19, 46, 27, 17, 49, 47, 20, 20, 13, 48, 50] + [20] * 7
    + [48, 19, 19, 19, 22, 46, 49, 20, 20, 23, 19, 22, 20, 20, 20, 52, 46, 47, 24, 14], dtype=float)  # fmt: skip
"""Tumours among 71 groups of rats: Tarone (1982), Biometrics 38, 215-220, as in BDA3, table 5.1."""


def test_the_prior_of_71_groups_of_rats_as_published() -> None:
    """Gelman et al. (2013), Bayesian Data Analysis, 3rd ed., section 5.3: E(alpha) = 2.4, E(beta) = 14.3."""
    prior = shrinkage.fit(TUMOURS, RATS)
    alpha, beta = prior.mean * prior.deals, (1 - prior.mean) * prior.deals
    assert (alpha[0], beta[0]) == pytest.approx((2.4, 14.3), abs=0.15)


def test_a_known_prior_gives_the_textbook_posterior() -> None:
    """The same book, section 5.1: 4 of 14 after Beta(1.4, 8.6) is Beta(5.4, 18.6), its mean 0.223."""
    known = Prior(_floats(1)[None], _floats(10)[None], _floats(0.14e12)[None], _floats(0.86e12)[None])
    one = shrinkage.shrink(_floats(4), _floats(14), LEVEL, prior=known)
    assert one.value[0] == pytest.approx(0.223, abs=0.003)
    assert (one.low[0], one.high[0]) == pytest.approx(stats.beta.interval(LEVEL, 5.4, 18.6), abs=1e-6)
    assert one.own[0] == pytest.approx(14 / 24)


@pytest.mark.parametrize(("mean", "deals"), [(0.3, 20), (0.05, 60), (0.6, 4)])
def test_many_reps_give_the_prior_of_maximum_likelihood(mean: float, deals: float) -> None:
    n = _rng(1).integers(1, 90, 3000)
    x = stats.betabinom.rvs(n, deals * mean, deals * (1 - mean), random_state=2)

    def unlikely(at: Array) -> float:
        m, c = special.expit(at[0]), np.exp(at[1])
        return -float(stats.betabinom.logpmf(x, n, c * m, c * (1 - m)).sum())

    best = optimize.minimize(unlikely, [special.logit(mean), np.log(deals)], method="Nelder-Mead").x
    prior = shrinkage.fit(x.astype(float), n.astype(float))
    assert prior.mean[0] == pytest.approx(special.expit(best[0]), rel=0.01)
    assert prior.deals[0] == pytest.approx(np.exp(best[1]), rel=0.05)


def _by_brute_force(x: Array, n: Array) -> tuple[Array, Array, Array]:
    """Posterior mean and 95 % interval of each rep, on a fine grid over logit mean and log precision."""
    logit_m, logit_c = np.linspace(-14, 14, 141), np.linspace(-9, 9, 61)[:, None]
    m, c = special.expit(logit_m), stats.hmean(n[n > 0]) * np.exp(logit_c)
    a, b = c * m, c * special.expit(-logit_m)
    log_density = stats.logistic.logpdf(logit_c) - (np.logaddexp(0, -logit_m) + np.logaddexp(0, logit_m)) / 2
    for k, t in zip(x, n, strict=True):
        log_density = log_density + special.betaln(k + a, t - k + b) - special.betaln(a, b)
    density = special.softmax(log_density)
    likely = density > 1e-5 * density.max()
    density, a, b = density[likely] / density[likely].sum(), a[likely], b[likely]
    after = x[:, None] + a, (n - x)[:, None] + b
    return (after[0] / (after[0] + after[1])) @ density, *(
        _quantile(density, *after, q) for q in (0.025, 0.975)
    )


def _quantile(weight: Array, a: Array, b: Array, q: float) -> Array:
    """Of a mixture of betas (reps x nodes), by bisection."""
    low, high = np.zeros(len(a)), np.ones(len(a))
    for _halving in range(14):
        middle = (low + high) / 2
        below = special.betainc(a, b, middle[:, None]) @ weight < q
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return middle


WORLDS = {
    "five": (_floats(2, 5, 9, 4, 30), _floats(12, 10, 40, 25, 60)),
    "alike": (_floats(4, 4, 4, 4, 4, 4), _floats(10, 10, 10, 10, 10, 10)),
    "apart": (_floats(1, 19, 3, 17), _floats(20, 20, 20, 20)),
    "two": (_floats(3, 9), _floats(10, 10)),
    "one": (_floats(3), _floats(10)),
    "of all sizes": (_floats(0, 1, 4, 30, 70), _floats(0, 3, 12, 60, 300)),
    "rats": (TUMOURS[::9], RATS[::9]),
}


@pytest.mark.parametrize("name", WORLDS)
def test_the_fast_way_is_brute_force(name: str) -> None:
    x, n = WORLDS[name]
    fast, (value, low, high) = _shrunken(x, n), _by_brute_force(x, n)
    width = high - low
    assert (np.abs(fast.value - value) <= 0.02 * width).all()
    assert (np.abs(fast.low - low) <= 0.05 * width).all()
    assert (np.abs(fast.high - high) <= 0.10 * width).all()


def test_where_nobody_has_won_the_fast_way_is_on_the_safe_side() -> None:
    x, n = np.zeros(5), _floats(5, 10, 20, 8, 3)
    fast, (value, _low, high) = _shrunken(x, n), _by_brute_force(x, n)
    assert (np.abs(fast.value - value) <= 0.04 * high).all()
    assert (fast.low <= 1e-6).all()
    assert ((high <= fast.high) & (fast.high <= 1.4 * high)).all()


def test_few_that_look_alike_do_not_settle_the_spread() -> None:
    """The likelihood alone is highest at an infinite precision here, and the interval would lose half its width."""
    x, n = WORLDS["alike"]
    found = _shrunken(x, n)
    pooled = stats.beta.interval(LEVEL, 24.5, 36.5)
    assert (found.own > 0.1).all()
    assert (found.high - found.low > 1.3 * (pooled[1] - pooled[0])).all()


def test_one_alone_is_about_what_jeffreys_says() -> None:
    x, n = _floats(3, 20, 0), _floats(10, 80, 15)
    found = _shrunken(x, n, np.arange(3))
    low, high = shrinkage.jeffreys(x, n, LEVEL)
    assert found.value == pytest.approx((x + 0.5) / (n + 1), abs=0.01)
    assert found.low == pytest.approx(low, abs=0.03)
    assert found.high == pytest.approx(high, abs=0.03)


def test_nobody_and_nothing_is_no_error() -> None:
    nobody = _shrunken(_floats(), _floats())
    assert nobody.value.shape == nobody.low.shape == (0,)
    nothing = _shrunken(_floats(0, 0, 3), _floats(0, 0, 9), np.array([0, 0, 2]))
    assert nothing.value[:2] == pytest.approx(0.5)
    assert (nothing.low[:2] < 0.01).all()
    assert (nothing.high[:2] > 0.99).all()
    assert nothing.own[:2].tolist() == [0, 0]


def test_a_rep_without_deals_is_expected_to_be_like_the_others() -> None:
    found = _shrunken(_floats(30, 33, 27, 0), _floats(100, 100, 100, 0))
    assert found.value[3] == pytest.approx(0.3, abs=0.02)
    assert found.high[3] - found.low[3] > (found.high - found.low)[:3].max()


def test_the_fewer_deals_the_further_drawn() -> None:
    n = _floats(5, 10, 20, 40, 80, 160)
    found = _shrunken(np.append(n * 0.8, n * 0.2), np.append(n, n))
    for side in (slice(0, 6), slice(6, 12)):
        assert (np.diff(found.own[side]) > 0).all()
        assert (np.diff(np.abs(found.value - 0.5)[side]) > 0).all()
        assert (np.diff((found.high - found.low)[side]) < 0).all()


# What holds for all reps


@st.composite
def reps(draw: st.DrawFn) -> tuple[Array, Array, NDArray[np.int64]]:
    """Up to twelve reps in up to three groups, of which some may be empty."""
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 2)), min_size=1, max_size=12
        )
    )
    x, lost, group = (np.array(column) for column in zip(*rows, strict=True))
    return x.astype(float), (x + lost).astype(float), group


@settings(max_examples=150, deadline=None)
@given(reps())
def test_a_value_lies_between_its_own_share_and_its_groups(
    rows: tuple[Array, Array, NDArray[np.int64]],
) -> None:
    x, n, group = rows
    prior = shrinkage.fit(x, n, group)
    found = shrinkage.shrink(x, n, LEVEL, prior=prior, group=group)
    means = (prior.won / (prior.won + prior.lost))[group]
    share = np.divide(x, n, out=means[:, 0].copy(), where=n > 0)
    assert (found.value >= np.minimum(share, means.min(axis=1)) - 1e-12).all()
    assert (found.value <= np.maximum(share, means.max(axis=1)) + 1e-12).all()
    assert ((found.low >= 0) & (found.low <= found.value)).all()
    assert ((found.value <= found.high) & (found.high <= 1)).all()
    assert ((found.own >= 0) & (found.own < 1)).all()
    assert prior.weight.sum(axis=1) == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(reps(), st.integers(0, 99))
def test_neither_order_nor_what_counts_as_success_matters(
    rows: tuple[Array, Array, NDArray[np.int64]], seed: int
) -> None:
    x, n, group = rows
    found, order = _shrunken(x, n, group), _rng(seed).permutation(len(n))
    mixed, failures = _shrunken(x[order], n[order], group[order]), _shrunken(n - x, n, group)
    for name in ("value", "low", "high", "own"):
        assert getattr(mixed, name) == pytest.approx(getattr(found, name)[order], rel=1e-6, abs=1e-9)
    assert failures.value == pytest.approx(1 - found.value, abs=1e-6)
    assert failures.low == pytest.approx(1 - found.high, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(reps())
def test_all_groups_at_once_are_each_alone(rows: tuple[Array, Array, NDArray[np.int64]]) -> None:
    x, n, group = rows
    together = _shrunken(x, n, group)
    for code in np.unique(group):
        mine = group == code
        alone = _shrunken(x[mine], n[mine])
        for name in ("value", "low", "high", "own"):
            assert getattr(together, name)[mine] == pytest.approx(getattr(alone, name), rel=1e-9, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(reps())
def test_twice_as_many_deals_narrow(rows: tuple[Array, Array, NDArray[np.int64]]) -> None:
    x, n, _group = rows
    once, twice = _shrunken(x, n), _shrunken(2 * x, 2 * n)
    assert (twice.high - twice.low)[n > 0].sum() <= (once.high - once.low)[n > 0].sum()


# Draws and ranks


def test_draws_spread_as_the_intervals_say() -> None:
    x, n = TUMOURS[::9], RATS[::9]
    prior, found = shrinkage.fit(x, n), _shrunken(x, n)
    drawn = shrinkage.draws(x, n, _rng(), 20_000, prior=prior)
    assert drawn.mean(axis=1) == pytest.approx(found.value, abs=0.003)
    assert np.quantile(drawn, 0.025, axis=1) == pytest.approx(found.low, abs=0.02)
    assert np.quantile(drawn, 0.975, axis=1) == pytest.approx(found.high, abs=0.02)
    assert (drawn[:, :50] == shrinkage.draws(x, n, _rng(), 20_000, prior=prior)[:, :50]).all()


def test_draws_of_a_group_share_what_is_unknown_of_it() -> None:
    x, n, group = np.full(12, 4.0), np.full(12, 10.0), np.repeat([0, 1], 6)
    drawn = shrinkage.draws(x, n, _rng(), 4000, prior=shrinkage.fit(x, n, group), group=group)
    together = np.corrcoef(drawn)
    assert together[0, 1] > 0.1
    assert abs(together[0, 6]) < 0.05


def _ranks(x: Array, n: Array, group: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    drawn = shrinkage.draws(x, n, _rng(), 1000, prior=shrinkage.fit(x, n, group), group=group)
    return np.array(shrinkage.rank_intervals(drawn, LEVEL, _rng(8), group))


def test_ranks_of_those_far_apart_are_certain_and_of_those_alike_are_open() -> None:
    assert _ranks(_floats(100, 700, 400), _floats(900, 900, 900)).tolist() == [[3, 1, 2], [3, 1, 2]]
    assert _ranks(np.full(6, 4.0), np.full(6, 10.0)).tolist() == [[1] * 6, [6] * 6]
    assert _ranks(np.zeros(4), np.full(4, 30.0)).tolist() == [[1] * 4, [4] * 4]
    assert _ranks(_floats(3), _floats(10)).tolist() == [[1], [1]]


def test_ranks_are_within_groups() -> None:
    x, n, group = _floats(100, 700, 400, 300, 800), np.full(5, 900.0), np.array([1, 0, 1, 1, 0])
    assert _ranks(x, n, group).tolist() == [[3, 2, 1, 2, 1], [3, 2, 1, 2, 1]]


def test_ranks_by_hand() -> None:
    drawn = np.array([[0.9, 0.9, 0.2, 0.9], [0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.8, 0.1]])
    low, high = shrinkage.rank_intervals(drawn, 0.95, _rng())
    assert (low.tolist(), high.tolist()) == ([1, 2, 1], [3, 2, 3])
    low, high = shrinkage.rank_intervals(drawn, 0.4, _rng())
    assert (low.tolist(), high.tolist()) == ([1, 2, 3], [1, 2, 3])


def test_equal_draws_are_ranked_at_random() -> None:
    low, high = shrinkage.rank_intervals(np.zeros((3, 400)), LEVEL, _rng())
    assert (low.tolist(), high.tolist()) == ([1] * 3, [3] * 3)


# What intervals of 95 % are worth

REPS, GROUPS = 20, 400
BANDS = ((5, 20), (20, 60), (60, 200))
Truth = Callable[[np.random.Generator], Array]
SPREAD: dict[str, Truth] = {
    "beta": lambda rng: rng.beta(6, 14, REPS * GROUPS),
    "wide beta": lambda rng: rng.beta(1.2, 2.8, REPS * GROUPS),
    "two kinds": lambda rng: np.where(rng.random(REPS * GROUPS) < 0.2, 0.15, 0.40),
    "no spread": lambda rng: np.full(REPS * GROUPS, 0.3),
}


def _world(name: str) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    """True shares, successes, n in the three bands alike, group: 400 groups of 20 reps."""
    rng = _rng(11)
    truth = SPREAD[name](rng)
    least, most = np.array(BANDS)[rng.integers(3, size=len(truth))].T
    n = rng.integers(least, most)
    return truth, rng.binomial(n, truth).astype(float), n.astype(float), np.repeat(np.arange(GROUPS), REPS)


def _covered(truth: Array, n: Array, low: Array, high: Array) -> list[float]:
    inside = (low <= truth) & (truth <= high)
    return [float(inside[(n >= least) & (n < most)].mean()) for least, most in BANDS]


@pytest.mark.parametrize("name", SPREAD)
def test_intervals_of_own_shares_cover_whatever_the_truth(name: str) -> None:
    truth, x, n, _group = _world(name)
    for low, high in (wilson(x / n, n, LEVEL), shrinkage.jeffreys(x, n, LEVEL)):
        covered = _covered(truth, n, low, high)
        assert min(covered) >= 0.93, covered
        assert max(covered) <= 0.975, covered


@pytest.mark.parametrize(
    ("name", "least", "width"),
    [("beta", 0.93, 0.85), ("wide beta", 0.93, 1.0), ("two kinds", 0.92, 0.9), ("no spread", 0.98, 0.6)],
)
def test_shrunken_values_cover_in_less_width_and_are_nearer(name: str, least: float, width: float) -> None:
    """Where reps are of two kinds the beta is the wrong family; 0.93 of those with few deals are covered still."""
    truth, x, n, group = _world(name)
    found = _shrunken(x, n, group)
    covered = _covered(truth, n, found.low, found.high)
    assert min(covered) >= least, covered
    low, high = shrinkage.jeffreys(x, n, LEVEL)
    assert np.mean(found.high - found.low) <= width * np.mean(high - low)
    errors = [np.sqrt(np.mean((value - truth) ** 2)) for value in (found.value, x / n)]
    assert errors[0] < width * errors[1]


def test_rank_intervals_cover_the_true_ranks() -> None:
    truth, x, n, group = _world("beta")
    true_rank = stats.rankdata(-truth.reshape(GROUPS, REPS), axis=1).ravel()
    drawn = shrinkage.draws(x, n, _rng(), 400, prior=shrinkage.fit(x, n, group), group=group)
    low, high = shrinkage.rank_intervals(drawn, LEVEL, _rng(8), group)
    assert 0.93 <= np.mean((low <= true_rank) & (true_rank <= high)) <= 0.98
    assert np.mean(high - low) < 0.75 * (REPS - 1)
