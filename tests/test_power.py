"""Intervals of differences, power and needed n against statsmodels, published values and plain enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats import proportion

from coachbook.stats import power
from coachbook.stats.intervals import wilson
from tests.house.reference import POWER, power_page

LEVEL = 0.95
SHARES = [0.05, 0.15, 0.25, 0.4, 0.5, 0.7, 0.9]


def _floats(*values: float) -> NDArray[np.float64]:
    return np.array(values, dtype=float)


def _newcombe(x1: int, n1: int, x2: int, n2: int, level: float = LEVEL) -> tuple[float, float]:
    low, high = power.newcombe(_floats(x1), _floats(n1), _floats(x2), _floats(n2), level)
    return float(low[0]), float(high[0])


# The interval of a difference


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((0, 10, 0, 10), -0.2775, 0.2775),
        ((10, 10, 0, 20), 0.6791, 1.0),
        ((10, 10, 0, 10), 0.6075, 1.0),
    ],
)
def test_newcombe_as_published(counts: tuple[int, int, int, int], low: float, high: float) -> None:
    """Newcombe (1998), Statistics in Medicine 17, 873-890, table II, method 10."""
    assert _newcombe(*counts) == pytest.approx((low, high), abs=5.1e-5)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_newcombe_is_statsmodels(level: float) -> None:
    for x1, n1, x2, n2 in [(3, 8, 5, 9), (0, 4, 1, 30), (40, 200, 90, 300), (12, 12, 11, 40), (1, 1, 0, 1)]:
        expected = proportion.confint_proportions_2indep(x1, n1, x2, n2, method="newcomb", alpha=1 - level)
        assert _newcombe(x1, n1, x2, n2, level) == pytest.approx(expected, abs=1e-12)


def test_newcombe_takes_arrays_and_says_nothing_of_nothing() -> None:
    low, high = power.newcombe(_floats(9, 0)[:, None], _floats(10), _floats(3, 0), _floats(10, 0), LEVEL)
    assert low.shape == high.shape == (2, 2)
    assert (low[0, 0], high[0, 0]) == _newcombe(9, 10, 3, 10)
    assert np.isnan([low[:, 1], high[:, 1]]).all()


@settings(max_examples=60, deadline=None)
@given(
    n=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    parts=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    level=st.sampled_from([0.8, 0.95, 0.99]),
)
def test_newcombe_is_the_same_from_both_sides(
    n: tuple[int, int], parts: tuple[float, float], level: float
) -> None:
    (n1, n2), (x1, x2) = n, (round(part * size) for part, size in zip(parts, n, strict=True))
    low, high = _newcombe(x1, n1, x2, n2, level)
    assert (-high, -low) == pytest.approx(_newcombe(x2, n2, x1, n1, level), abs=1e-12)
    assert (-high, -low) == pytest.approx(_newcombe(n1 - x1, n1, n2 - x2, n2, level), abs=1e-12)
    assert -1 <= low <= x1 / n1 - x2 / n2 <= high <= 1
    more = _newcombe(2 * x1, 2 * n1, 2 * x2, 2 * n2, level)
    assert more[1] - more[0] < high - low


@pytest.mark.parametrize("sizes", [(12, 12), (20, 60), (60, 200)])
def test_newcombe_covers_what_it_says(sizes: tuple[int, int]) -> None:
    """Exact coverage at 400 pairs of shares: close to 0.95 on average, nowhere far below."""
    k1, k2 = (np.arange(n + 1) for n in sizes)
    low, high = power.newcombe(k1[:, None], np.array(sizes[0]), k2, np.array(sizes[1]), LEVEL)
    shares = np.random.default_rng(3).uniform(0.05, 0.95, (400, 2))
    covered = []
    for p1, p2 in shares:
        inside = (low <= p1 - p2) & (p1 - p2 <= high)
        covered.append(stats.binom.pmf(k1, sizes[0], p1) @ inside @ stats.binom.pmf(k2, sizes[1], p2))
    assert 0.945 <= np.mean(covered) <= 0.965
    assert np.min(covered) >= 0.90


# Power


@pytest.mark.parametrize(("p1", "n1", "p2", "n2"), [(0.1, 7, 0.8, 9), (0.5, 11, 0.2, 4), (0.3, 8, 0.3, 8)])
def test_power_adds_up_the_outcomes_in_which_statsmodels_tells_apart(
    p1: float, n1: int, p2: float, n2: int
) -> None:
    told = 0.0
    for x1, x2 in product(range(n1 + 1), range(n2 + 1)):
        low, high = proportion.confint_proportions_2indep(x1, n1, x2, n2, method="newcomb")
        told += stats.binom.pmf(x1, n1, p1) * stats.binom.pmf(x2, n2, p2) * (low > 0 or high < 0)
    assert told > 0
    assert power.power(p1, n1, p2, n2, LEVEL) == pytest.approx(told, abs=1e-12)


@pytest.mark.parametrize(("p1", "n", "p2"), [(0.1, 25, 0.2), (0.65, 60, 0.5), (0.5, 60, 0.5)])
def test_power_beside_a_known_share_is_that_of_wilson(p1: float, n: int, p2: float) -> None:
    k = np.arange(n + 1)
    low, high = proportion.proportion_confint(k, n, method="wilson")
    told = stats.binom.pmf(k, n, p1)[(low > p2) | (high < p2)].sum()
    assert power.power(p1, n, p2, np.inf, LEVEL) == pytest.approx(told, abs=1e-12)
    assert power.power(p1, n, p2, 40_000, LEVEL) == pytest.approx(told, abs=0.03)


@pytest.mark.parametrize(("p1", "p2", "n"), [(0.2, 0.27, 500), (0.5, 0.6, 400), (0.3, 0.2, 300)])
def test_power_of_many_is_statsmodels_approximation(p1: float, p2: float, n: int) -> None:
    expected = proportion.power_proportions_2indep(p1 - p2, p2, n, return_results=False)
    assert power.power(p1, n, p2, n, LEVEL) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize(("share", "n1", "n2"), [(0.2, 60, 60), (0.5, 60, 200), (0.3, 200, np.inf)])
def test_equal_shares_are_told_apart_as_rarely_as_promised(share: float, n1: int, n2: float) -> None:
    assert 0.025 <= power.power(share, n1, share, n2, LEVEL) <= 0.06
    assert power.power(share, n1, share, n2, 0.99) <= 0.015


def test_power_does_not_ask_who_is_first_nor_what_counts_as_success() -> None:
    there = power.power(0.15, 30, 0.4, 50, LEVEL)
    assert 0.3 < there < 0.9
    assert power.power(0.4, 50, 0.15, 30, LEVEL) == pytest.approx(there, abs=1e-12)
    assert power.power(0.85, 30, 0.6, 50, LEVEL) == pytest.approx(there, abs=1e-12)


# The n that is needed


@pytest.mark.parametrize("n2", [20, 60, 200, np.inf])
@pytest.mark.parametrize(("level", "goal"), [(0.95, 0.8), (0.99, 0.9)])
def test_exact_power_passes_the_goal_where_n_needed_says(n2: float, level: float, goal: float) -> None:
    looked = 0
    for p1, p2 in product(SHARES, SHARES):
        (needed,) = power.n_needed(_floats(p1), _floats(p2), _floats(n2), level, goal=goal)
        if needed <= 200:
            looked += 1
            margin = max(0.2 * needed, 2)
            reach = range(max(int(needed - margin), 0), int(needed + margin) + 1)
            exact = [power.power(p1, n, p2, n2, level) if n else 0 for n in reach]
            assert min(exact) < goal <= max(exact), (p1, p2, needed)
        elif np.isinf(needed):
            assert power.power(p1, 1000, p2, n2, level) < goal, (p1, p2)
    assert looked >= 10


def test_n_needed_is_infinite_where_no_n_is_enough_and_unknown_where_a_share_is() -> None:
    needed = power.n_needed(
        _floats(0.3, 0.25, 0.3, 0.3, np.nan, 0.3), _floats(0.3, 0.3, 0.2, 0.2, 0.2, np.nan),
        _floats(500, 60, 0, np.inf, 60, 60), LEVEL,
    )  # fmt: skip
    assert np.isinf(needed[:3]).all()
    assert np.isfinite(needed[3])
    assert np.isnan(needed[4:]).all()


def test_n_needed_of_shares_without_any_chance() -> None:
    needed = power.n_needed(
        _floats(0, 1, 0, 1), _floats(1, 0, 0.5, 0.5), _floats(20, np.inf, np.inf, 200), LEVEL
    )
    for n, (p1, p2, n2) in zip(
        needed, [(0, 1, 20), (1, 0, np.inf), (0, 0.5, np.inf), (1, 0.5, 200)], strict=True
    ):
        assert power.power(p1, n, p2, n2, LEVEL) >= 0.8
        if n > 1:
            assert power.power(p1, n - 1, p2, n2, LEVEL) < 0.8


@settings(max_examples=60, deadline=None)
@given(p=st.tuples(st.floats(0.02, 0.98), st.floats(0.02, 0.98)), n2=st.floats(5, 1e6))
def test_n_needed_shrinks_with_the_reference_and_grows_with_what_is_asked(
    p: tuple[float, float], n2: float
) -> None:
    p1, p2 = _floats(p[0]), _floats(p[1])
    (needed,) = power.n_needed(p1, p2, _floats(n2), LEVEL)
    assert needed >= 1
    assert power.n_needed(p1, p2, _floats(2 * n2), LEVEL)[0] <= needed
    assert power.n_needed(p1, p2, _floats(n2), 0.99)[0] >= needed
    assert power.n_needed(p1, p2, _floats(n2), LEVEL, goal=0.9)[0] >= needed
    assert power.n_needed(1 - p1, 1 - p2, _floats(n2), LEVEL)[0] == pytest.approx(needed, abs=1)


def test_n_needed_of_many_is_that_of_each() -> None:
    p1, p2, n2 = np.random.default_rng(1).random((3, 50))
    together = power.n_needed(p1, p2, 500 * n2, LEVEL)
    assert together.tolist() == [
        power.n_needed(*(_floats(x) for x in row), LEVEL)[0] for row in zip(p1, p2, 500 * n2, strict=True)
    ]


# The table


def test_the_table_says_what_can_be_seen() -> None:
    rows = power.table(LEVEL)
    assert [(r.base, r.drop, r.n) for r in rows] == list(product((0.2, 0.5), (0.2, 0.35, 0.5), (20, 60, 200)))
    halved = {(r.base, r.n): r for r in rows if r.drop == 0.5}
    for (base, n), row in halved.items():
        drawn = np.random.default_rng(n).binomial(n, [[base / 2], [base]], (2, 20_000)) / n
        (low1, high1), (low2, high2) = (wilson(share, np.full(20_000, float(n)), LEVEL) for share in drawn)
        clear = drawn[1] - drawn[0] > np.hypot(high1 - drawn[0], drawn[1] - low2)
        other = drawn[0] - drawn[1] > np.hypot(high2 - drawn[1], drawn[0] - low1)
        assert row.beside_equal == pytest.approx(np.mean(clear | other), abs=0.012)
        assert row.beside_known == pytest.approx(np.mean((high1 < base) | (low1 > base)), abs=0.012)


def test_the_power_table_of_the_docs_is_made_from_the_code() -> None:
    assert POWER.read_text(encoding="utf-8") == power_page(), "run: make reference"
