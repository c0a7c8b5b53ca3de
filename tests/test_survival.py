"""Staying and endings: against statsmodels, published values, sums done by hand, and against what they promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight

from coachbook.stats import intervals, survival
from coachbook.stats.survival import Curves, Spells

LEVEL = 0.95
Row = tuple[int, float, float, int]
rows_of_three_groups = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(0, 8), st.integers(0, 2)).map(
        lambda r: (r[0], float(r[1]), float(r[1] + r[2]), r[3])
    ),
    max_size=40,
)


def _curves(rows: Sequence[Row], groups: int = 1, causes: int = 2, level: float = LEVEL) -> Curves:
    """Rows of group, entry, exit, cause."""
    group, entry, exit_, cause = np.array(rows, dtype=float).reshape(-1, 4).T
    spells = Spells(group.astype(np.int64), entry, exit_, cause.astype(np.int64))
    return survival.curves(spells, groups=groups, causes=causes, level=level)


def _seen_from_start(ends: Sequence[float], cause: int = 1) -> list[Row]:
    return [(0, 0.0, float(end), cause) for end in ends]


def _random(seed: int, n: int, *, late: float) -> list[Row]:
    """Whole days with many ties; a share `late` of them came under observation late, before they ended."""
    rng = np.random.default_rng(seed)
    entry = np.where(rng.random(n) < late, rng.integers(1, 6, n), 0)
    exit_ = entry + rng.integers(1, 25, n)
    return list(zip([0] * n, entry.tolist(), exit_.tolist(), rng.integers(0, 3, n).tolist(), strict=True))


def _same(one: Curves, other: Curves) -> None:
    for x, y in zip(astuple(one), astuple(other), strict=True):
        np.testing.assert_array_equal(x, y)


def _at_times(curve: Curves, times: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.searchsorted(curve.time, times, side="right") - 1


# Published


SIX_MP = [*_seen_from_start([6, 6, 6, 7, 10, 13, 16, 22, 23]),
          *_seen_from_start([6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35], 0)]  # fmt: skip
PLACEBO = _seen_from_start([1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23])


@pytest.mark.parametrize(
    ("rows", "time", "staying", "error", "low", "high"),
    [
        (SIX_MP, 6, 0.8571, 0.0764, 0.6197, 0.9516),
        (SIX_MP, 7, 0.8067, 0.0869, 0.5631, 0.9228),
        (SIX_MP, 10, 0.7529, 0.0963, 0.5032, 0.8894),
        (SIX_MP, 13, 0.6902, 0.1068, 0.4316, 0.8491),
        (SIX_MP, 16, 0.6275, 0.1141, 0.3675, 0.8049),
        (SIX_MP, 22, 0.5378, 0.1282, 0.2678, 0.7468),
        (SIX_MP, 23, 0.4482, 0.1346, 0.1881, 0.6801),
        (PLACEBO, 1, 0.9048, 0.0641, 0.6700, 0.9753),
        (PLACEBO, 2, 0.8095, 0.0857, 0.5689, 0.9239),
    ],
)
def test_freireichs_remissions_as_published(
    rows: list[Row], time: float, staying: float, error: float, low: float, high: float
) -> None:
    """Freireich et al. (1963), Blood 21, 699-716, as Stata lists it (Rodríguez, data.princeton.edu/pop509/gehan.html)."""
    curve = _curves(rows, causes=1)
    by_then = curve.at(time).staying
    assert (by_then.value[0], by_then.low[0], by_then.high[0]) == pytest.approx(
        (staying, low, high), abs=5.1e-5
    )
    assert np.sqrt(curve.staying_variance[_at_times(curve, np.array([time]))]) == pytest.approx(
        error, abs=5.1e-5
    )


def test_freireichs_medians_as_published() -> None:
    """23 and 8 weeks (Kleinbaum, Klein 2012, Survival Analysis, chapter 2); bounds of 6-MP read off the list above."""
    both = _curves(SIX_MP + [(1, *row[1:]) for row in PLACEBO], groups=2, causes=1)
    median = both.quantile()
    assert median.value.tolist() == [23, 8]
    assert median.low[0] == 13
    assert np.isnan(median.high[0])


def test_a_cumulative_incidence_as_published() -> None:
    """Satagopan et al. (2004), British Journal of Cancer 91, 1229-1235, table 2: 305 women, 1 breast cancer, 2 other."""
    ends = {7: 0, 10: 1, 14: 0, 16: 1, 18: 2, 23: 1, 24: 0, 26: 2, 27: 1}
    rows = [row for end, cause in ends.items() for row in _seen_from_start([end], cause)]
    curve = _curves(rows + _seen_from_start([60] * 296, 0))
    at = _at_times(curve, np.array([10.0, 16, 18, 23, 26, 27]))
    assert curve.at_risk[at].tolist() == [304, 302, 301, 300, 298, 297]
    assert curve.staying[at] == pytest.approx([0.997, 0.993, 0.990, 0.987, 0.983, 0.980], abs=5.1e-4)
    assert np.diff(curve.incidence[at, 0], prepend=0) == pytest.approx(
        [0.003, 0.003, 0, 0.003, 0, 0.003], abs=5e-4
    )


# By hand


BY_HAND: list[Row] = [
    (0, 0, 0, 1),  # over on its first day
    (0, 0, 2, 2),
    (0, 0, 2, 0),
    (0, 1, 3, 1),
    (0, 3, 3, 1),  # first seen when it ended: never at risk
    (0, 2, 5, 0),
    (0, 0, 4, 1),
]


def test_late_entries_ties_and_a_day_zero_by_hand() -> None:
    curve = _curves(BY_HAND)
    # Day 0: 1 of 4. Day 2: 1 of 3 and the one from day 1; who comes on day 2 is not yet at risk. Day 3: 1 of 3.
    # Day 4: 1 of 2. Staying 1 * 3/4 * 3/4 * 2/3 * 1/2.
    assert curve.time.tolist() == [0, 0, 1, 2, 3, 4, 5]
    assert curve.at_risk.tolist() == [4, 4, 3, 4, 3, 2, 1]
    assert curve.thinnest.tolist() == [4, 4, 3, 3, 3, 2, 1]
    assert curve.ended.tolist() == [[0, 0], [1, 0], [0, 0], [0, 1], [1, 0], [1, 0], [0, 0]]
    assert curve.staying == pytest.approx([1, 0.75, 0.75, 0.5625, 0.375, 0.1875, 0.1875])
    # Won: 1/4, then 0.5625 / 3, then 0.375 / 2. Lost: 0.75 / 4.
    assert curve.incidence[:, 0] == pytest.approx([0, 0.25, 0.25, 0.25, 0.4375, 0.625, 0.625])
    assert curve.incidence[:, 1] == pytest.approx([0, 0, 0, 0.1875, 0.1875, 0.1875, 0.1875])
    # Greenwood on day 2: 0.5625**2 * (1 / (4 * 3) + 1 / (4 * 3)).
    assert curve.staying_variance[3] == pytest.approx(0.052734375)
    # Worth the least of 4/1, 4/1, 3/0.75, 4/0.75, 3/0.5625, 2/0.375, 1/0.1875.
    assert curve.effective.tolist() == pytest.approx([4] * 7)


def test_a_horizon_by_hand() -> None:
    by_then = _curves(BY_HAND).at(4.5)
    assert by_then.staying.value == pytest.approx([0.1875])
    assert by_then.incidence.value == pytest.approx(np.array([[0.625, 0.1875]]))
    assert by_then.at_risk.tolist() == by_then.thinnest.tolist() == [1]
    # 2 days at 0.75, one at 0.5625, one at 0.375, half a day at 0.1875.
    assert by_then.mean_time == pytest.approx([1.5 + 0.5625 + 0.375 + 0.09375])
    assert _curves(BY_HAND).quantile(0.5).value.tolist() == [3]
    assert _curves(BY_HAND).quantile(0.25).value.tolist() == [0]


# statsmodels


@pytest.mark.parametrize("late", [0.0, 0.4])
@pytest.mark.parametrize("seed", range(8))
def test_staying_is_statsmodels(seed: int, late: float) -> None:
    rows = _random(seed, 60, late=late)
    _, entry, exit_, cause = np.array(rows).T
    theirs = SurvfuncRight(exit_, (cause > 0).astype(int), entry=np.where(entry > 0, entry, -1))
    curve = _curves(rows)
    at = _at_times(curve, theirs.surv_times)
    assert curve.at_risk[at].tolist() == theirs.n_risk.tolist()
    assert curve.staying[at] == pytest.approx(theirs.surv_prob, abs=1e-12)
    some = curve.staying[at] > 0
    assert np.sqrt(curve.staying_variance[at][some]) == pytest.approx(theirs.surv_prob_se[some], abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [0.25, 0.5, 0.6])
def test_quantiles_are_statsmodels(seed: int, share: float) -> None:
    rows = [
        (0, 0, e + np.random.default_rng(i).random(), c)
        for i, (_, _, e, c) in enumerate(_random(seed, 61, late=0))
    ]
    _, _, exit_, cause = np.array(rows).T
    theirs = SurvfuncRight(exit_, (cause > 0).astype(int))
    ours = _curves(rows).quantile(share)
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = theirs.quantile_ci(share)
    expected = [theirs.quantile(share), low, np.nan if np.isinf(high) else high]
    np.testing.assert_allclose([ours.value[0], ours.low[0], ours.high[0]], expected)


@pytest.mark.parametrize("seed", range(8))
def test_incidence_is_statsmodels(seed: int) -> None:
    rows = [
        *_random(seed, 60, late=0),
        (0, 0, 30, 0),
    ]  # one stays: statsmodels has no variance where all ended
    _, _, exit_, cause = np.array(rows).T
    theirs = CumIncidenceRight(exit_, cause)
    curve = _curves(rows)
    at = _at_times(curve, theirs.times)
    assert curve.incidence[at] == pytest.approx(np.stack(theirs.cinc, axis=1), abs=1e-12)
    assert np.sqrt(curve.incidence_variance[at]) == pytest.approx(np.stack(theirs.cinc_se, axis=1), abs=1e-9)


@given(rows_of_three_groups)
def test_incidence_with_late_entries_is_the_sum_that_marubini_and_valsecchi_write(rows: list[Row]) -> None:
    """Marubini, Valsecchi (1995), chapter 10, with the risk sets of late entries."""
    curve = _curves([(0, *row[1:]) for row in rows])
    for cause in (0, 1):
        f, expected = curve.incidence[:, cause], []
        for t in range(len(f)):
            total = 0.0
            for s in range(1, t + 1):
                n, d, k = float(curve.at_risk[s]), float(curve.ended[s].sum()), float(curve.ended[s, cause])
                if d:
                    before, later = curve.staying[s - 1], f[t] - f[s]
                    total += later**2 * d / (n * (n - d)) if d < n else 0.0
                    total += before**2 * (n - k) * k / n**3 - 2 * later * before * k / n**2
            expected.append(total)
        assert curve.incidence_variance[:, cause] == pytest.approx(expected, abs=1e-12)


# What holds for any spells


@given(rows_of_three_groups, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[Row], random: Random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    _same(_curves(rows, 3), _curves(shuffled, 3))


@given(rows_of_three_groups)
def test_each_group_stands_alone(rows: list[Row]) -> None:
    together, renamed = _curves(rows, 3), _curves([(2 - row[0], *row[1:]) for row in rows], 3)
    for group in range(3):
        alone = _curves([(0, *row[1:]) for row in rows if row[0] == group])
        _same(together.one(group), alone)
        _same(renamed.one(2 - group), alone)


@given(rows_of_three_groups)
def test_every_row_twice_halves_the_variance(rows: list[Row]) -> None:
    once, twice = _curves(rows, 3), _curves(rows * 2, 3)
    assert twice.staying == pytest.approx(once.staying)
    assert twice.incidence == pytest.approx(once.incidence)
    assert 2 * twice.staying_variance == pytest.approx(once.staying_variance, abs=1e-12)
    assert 2 * twice.incidence_variance == pytest.approx(once.incidence_variance, abs=1e-12)


@given(rows_of_three_groups)
def test_shares_add_up_and_move_one_way(rows: list[Row]) -> None:
    curves = _curves(rows, 3)
    assert curves.staying + curves.incidence.sum(axis=1) == pytest.approx(
        np.ones(len(curves.time)), abs=1e-12
    )
    for group in range(3):
        one = curves.one(group)
        assert (np.diff(one.staying) <= 0).all()
        assert (np.diff(one.incidence, axis=0) >= 0).all()
        assert (np.diff(one.time) >= 0).all()
        assert (np.diff(one.thinnest) <= 0).all()


@given(rows_of_three_groups)
def test_intervals_hold_their_values(rows: list[Row]) -> None:
    curves = _curves(rows, 3)
    for value, (low, high) in [
        (curves.staying, curves.staying_interval()),
        (curves.incidence, curves.incidence_interval()),
    ]:
        assert ((low >= 0) & (low <= value + 1e-9) & (value <= high + 1e-9) & (high <= 1)).all()


@given(rows_of_three_groups)
def test_one_cause_is_staying_upside_down(rows: list[Row]) -> None:
    curves = _curves([(*row[:3], min(row[3], 1)) for row in rows], 3, causes=1)
    (low, high), (its_low, its_high) = curves.staying_interval(), curves.incidence_interval()
    assert curves.incidence_variance[:, 0] == pytest.approx(curves.staying_variance, abs=1e-12)
    assert its_low[:, 0] == pytest.approx(1 - high, abs=1e-6)
    assert its_high[:, 0] == pytest.approx(1 - low, abs=1e-6)


@given(rows_of_three_groups, st.floats(0, 20))
def test_a_horizon_reads_off_the_curve(rows: list[Row], horizon: float) -> None:
    curves = _curves(rows, 3)
    by_then = curves.at(np.array([horizon, horizon, horizon]))
    for group in range(3):
        one = curves.one(group)
        at = _at_times(one, np.array([horizon]))
        seen = [
            r
            for r in rows
            if r[0] == group and (r[1] < horizon or r[1] == 0) and horizon <= r[2] and r[2] > 0
        ]
        if horizon > 0:
            assert by_then.at_risk[group] == len(seen)
        if not np.isnan(by_then.staying.value[group]):
            assert by_then.staying.value[[group]] == one.staying[at]
            assert by_then.incidence.value[[group]].tolist() == one.incidence[at].tolist()
            assert by_then.thinnest[group] > 0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 2)), min_size=1, max_size=30))
def test_spells_seen_whole_are_counted(ends: list[tuple[int, int]]) -> None:
    curve = _curves([(0, 0, end, cause) for end, cause in ends])
    n = len(ends)
    for time in range(12):
        by_then = curve.at(time)
        shares = np.array([sum(end <= time and cause == c for end, cause in ends) / n for c in (1, 2)])
        assert by_then.incidence.value[0] == pytest.approx(shares, abs=1e-12)
        assert by_then.staying.value[0] == pytest.approx(1 - shares.sum(), abs=1e-12)
        variance = curve.incidence_variance[_at_times(curve, np.array([time]))[0]]
        assert variance == pytest.approx(shares * (1 - shares) / n, abs=1e-12)
    assert curve.quantile().value[0] == sorted(end for end, _ in ends)[(n - 1) // 2]
    assert curve.at(12).mean_time[0] == pytest.approx(np.mean([end for end, _ in ends]))


# What the data cannot tell


def test_nobody_ended_yet() -> None:
    by_then = _curves(_seen_from_start([5] * 20, 0)).at(5)
    assert by_then.staying.value.tolist() == [1]
    # Of 20 seen to stay, the share that ends may still be 1 - 0.025 ** (1 / 20) = 0.168.
    assert by_then.incidence.low.tolist() == [[0, 0]]
    assert by_then.incidence.high[0] == pytest.approx([0.1684, 0.1684], abs=5e-5)
    assert by_then.staying.low == pytest.approx([0.8316], abs=5e-5)
    assert np.isnan(_curves(_seen_from_start([5] * 20, 0)).quantile().value).all()


def test_all_ended_one_way() -> None:
    """Clopper, Pearson (1934): 12 of 12 is 0.735 to 1, none of 12 is 0 to 0.265."""
    by_then = _curves(_seen_from_start(range(1, 13))).at(60)
    assert by_then.incidence.value[0].tolist() == pytest.approx([1, 0])
    assert by_then.incidence.low[0] == pytest.approx([0.735, 0], abs=5e-4)
    assert by_then.incidence.high[0] == pytest.approx([1, 0.265], abs=5e-4)
    assert (by_then.staying.value[0], by_then.staying.low[0]) == (0, 0)
    assert (by_then.at_risk.tolist(), by_then.thinnest.tolist()) == ([0], [1])


@pytest.mark.parametrize(
    ("rows", "known_until"),
    [
        ([], -1),
        ([(0, 0, 4, 1), (0, 0, 6, 0)], 6),  # one still stays: beyond its last day nobody knows
        ([(0, 0, 4, 1), (0, 0, 6, 2)], 9),  # all ended: so it remains
        ([(0, 2, 4, 1), (0, 2, 6, 0)], -1),  # nobody was seen from the beginning
        ([(0, 0, 3, 0), (0, 4, 8, 1)], 3),  # nobody was at risk after 3 and up to 4
        ([(0, 0, 3, 0), (0, 3, 8, 1)], 9),  # the next comes as the last goes
        ([(0, 0, 3, 1), (0, 3, 8, 1)], 2),  # all ended on 3, but there was one who stayed
        ([(0, 0, 3, 1), (0, 5, 8, 1)], 2),
        ([(0, 7, 7, 1)], -1),
    ],
)
def test_a_horizon_the_data_cannot_reach(rows: list[Row], known_until: int) -> None:
    curve = _curves(rows)
    known = [time for time in range(10) if not np.isnan(curve.at(time).staying.value[0])]
    assert known == list(range(known_until + 1))
    for time in range(10):
        by_then = curve.at(time)
        unknown = time not in known
        assert np.isnan(by_then.incidence.value[0]).all() == np.isnan(by_then.mean_time[0]) == unknown
        assert (by_then.thinnest[0] == 0) == unknown


def test_an_end_too_early_is_no_median() -> None:
    """The only one seen from the beginning ends on day 3; ten who were there on day 5 say that most stay longer."""
    crowd: list[Row] = [(0, 4, 30 + i, 1) for i in range(10)]
    assert np.isnan(_curves([(0, 0, 3, 1), *crowd]).quantile().value).all()
    curve = _curves([(0, 0, 3, 1), (0, 0, 20, 1), *crowd])
    assert curve.quantile().value.tolist() == [3]
    assert curve.at(20).thinnest.tolist() == [1]
    assert curve.at(20).staying.low[0] < 0.02
    assert curve.at(20).staying.high[0] > 0.85


@pytest.mark.parametrize("n", range(1, 12))
def test_a_median_of_few_is_bounded_only_from_six_on(n: int) -> None:
    """As for order statistics: `intervals.median_ranks`."""
    median = _curves(_seen_from_start(range(1, n + 1))).quantile()
    bounded = intervals.median_ranks(n, LEVEL) is not None
    assert (median.low[0] > 0) == bounded
    assert np.isfinite(median.high[0]) == bounded


def test_no_groups_and_groups_without_spells() -> None:
    assert _curves([], groups=0).at(3).staying.value.shape == (0,)
    curves = _curves([(1, 0.0, 2.0, 1)], groups=3)
    np.testing.assert_equal(curves.at(2).staying.value, [np.nan, 0, np.nan])
    np.testing.assert_equal(curves.quantile().value, [np.nan, 2, np.nan])
    assert curves.one(0).time.tolist() == [0]


@pytest.mark.parametrize(
    "row",
    [
        (3, 0, 1, 1),
        (-1, 0, 1, 1),
        (0, 0, 1, 3),
        (0, 0, 1, -1),
        (0, 2, 1, 1),
        (0, -1, 1, 1),
        (0, 0, np.nan, 0),
    ],
)
def test_a_spell_that_cannot_be_is_named(row: Row) -> None:
    with pytest.raises(ValueError, match=r"^spell 1: "):
        _curves([(0, 0, 1, 1), row], groups=3)


@pytest.mark.parametrize("horizon", [-1.0, np.nan, np.inf])
def test_a_horizon_is_a_time(horizon: float) -> None:
    with pytest.raises(ValueError, match="finite time"):
        _curves(BY_HAND).at(horizon)


# How often the truth is inside


WON, LOST = 0.02, 0.03
"""Hazards per day; the truth at a horizon is known."""


def _simulated(groups: int, n: int, *, late: float, seed: int = 11) -> Curves:
    """Each group has n spells, of which a share came under observation late; observation stops at random."""
    rng = np.random.default_rng(seed)
    size = (groups, 3 * n)
    entry = np.where(rng.random(size) < late, rng.uniform(0.5, 30, size), 0.0)
    end = rng.exponential(1 / (WON + LOST), size)
    qualifies = np.argsort(end <= entry, axis=1, kind="stable")[
        :, :n
    ]  # the first n of those that were ever seen
    entry, end = (np.take_along_axis(x, qualifies, axis=1).ravel() for x in (entry, end))
    stop = entry + rng.exponential(60, groups * n)
    cause = np.where(rng.random(groups * n) < WON / (WON + LOST), 1, 2)
    spells = Spells(
        np.repeat(np.arange(groups), n), entry, np.minimum(end, stop), np.where(end <= stop, cause, 0)
    )
    return survival.curves(spells, groups=groups, causes=2, level=LEVEL)


@pytest.mark.parametrize(("n", "late"), [(40, 0.0), (40, 0.4), (12, 0.0)])
def test_intervals_hold_the_truth_often_enough(n: int, late: float) -> None:
    curves, horizon = _simulated(4000, n, late=late), 20.0
    by_then, median = curves.at(horizon), curves.quantile()
    stay = np.exp(-(WON + LOST) * horizon)
    lost, half = (1 - stay) * LOST / (WON + LOST), np.log(2) / (WON + LOST)
    known = ~np.isnan(by_then.staying.value)
    assert known.mean() > 0.95
    for estimate, truth in [(by_then.staying, stay), (by_then.incidence, np.array([1 - stay - lost, lost]))]:
        inside = ((estimate.low <= truth) & (truth <= estimate.high))[known].mean(axis=0)
        assert np.min(inside) >= 0.93
        assert np.max(inside) <= 0.98
        assert np.nanmean(estimate.value, axis=0) == pytest.approx(truth, abs=0.01)
    inside = (median.low <= half) & ~(median.high < half)
    assert inside[known].mean() >= 0.93
