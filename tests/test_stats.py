"""Statistics on arrays against SciPy, against published values, and against what they promise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from coachbook.metrics import METRICS
from coachbook.metrics.judging import Pages, Worth, add_metric
from coachbook.metrics.registry import sql
from coachbook.model.findings import Finding
from coachbook.stats import intervals, multiplicity, shards, sides
from coachbook.stats.sides import Observations, Pooled, Side, Sides

LEVEL = 0.95
ESTIMATORS = [sides.totals, sides.ratios, sides.medians, sides.rates]


def _rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def _floats(*values: float) -> NDArray[np.float64]:
    return np.array(values, dtype=float)


# Intervals


@pytest.mark.parametrize("n", [1, 2, 5, 20, 263])
def test_wilson_is_scipys(n: int) -> None:
    wins = np.arange(n + 1)
    low, high = intervals.wilson(wins / n, np.full(n + 1, float(n)), LEVEL)
    expected = [stats.binomtest(int(k), n).proportion_ci(LEVEL, method="wilson") for k in wins]
    assert low == pytest.approx([e.low for e in expected], abs=1e-12)
    assert high == pytest.approx([e.high for e in expected], abs=1e-12)


@pytest.mark.parametrize(
    ("wins", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(wins: int, n: int, low: float, high: float) -> None:
    """Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3."""
    got = intervals.wilson(_floats(wins / n), _floats(n), LEVEL)
    assert (got[0][0], got[1][0]) == pytest.approx((low, high), abs=5.1e-5)


@pytest.mark.parametrize("count", [0, 1, 3, 25, 400])
def test_garwood_leaves_half_of_what_is_left_on_each_side(count: int) -> None:
    (low,), (high,) = intervals.poisson(_floats(count), LEVEL)
    assert stats.poisson.cdf(count, high) == pytest.approx(0.025)
    assert stats.poisson.sf(count - 1, low) == pytest.approx(0.025 if count else 1)


@pytest.mark.parametrize(
    ("count", "level", "low", "high"),
    [(0, 0.95, 0, 3.689), (25, 0.90, 17.38, 34.92), (25, 0.95, 16.18, 36.90), (25, 0.99, 14.00, 41.00)],
)
def test_garwood_as_published(count: int, level: float, low: float, high: float) -> None:
    """R package epitools, `pois.exact`, for 0; GraphPad QuickCalcs, "confidence interval of a count", for 25."""
    got = intervals.poisson(_floats(count), level)
    assert (got[0][0], got[1][0]) == pytest.approx((low, high), abs=0.0051)


@pytest.mark.parametrize(
    ("n", "first", "last"),
    [(6, 1, 6), (9, 2, 8), (10, 2, 9), (13, 3, 11), (16, 4, 13), (17, 5, 13), (18, 5, 14), (20, 6, 15)],
)
def test_median_ranks_as_published(n: int, first: int, last: int) -> None:
    """Table A.7, "Confidence Intervals for the Population Median", coursehero.com/file/5646626."""
    assert intervals.median_ranks(n, LEVEL) == (first - 1, last - 1)


def test_median_ranks_are_scipys() -> None:
    assert [intervals.median_ranks(n, LEVEL) for n in range(6)] == [None] * 6
    for n in range(6, 120):
        below, above = intervals.median_ranks(n, LEVEL) or (-1, -1)
        expected = stats.quantile_test(np.arange(n), q=0, p=0.5).confidence_interval(LEVEL)
        assert (below, above) == (expected.low, expected.high)


@pytest.mark.parametrize("n", [5, 10, 30, 1000])
def test_percentiles_give_students_interval_where_the_draws_are_normal(n: int) -> None:
    """Hesterberg (2015): the draws of a mean spread by sqrt((n - 1) / n) too little; that is made up for."""
    grid = (np.arange(200_000) + 0.5) / 200_000
    draws = 3 + np.sqrt((n - 1) / n) * 2 / np.sqrt(n) * stats.norm.ppf(grid)
    low, high = intervals.percentiles(_rng().permutation(draws)[None], _floats(n), LEVEL)
    student = stats.t.interval(LEVEL, n - 1, loc=3, scale=2 / np.sqrt(n))
    assert (low[0], high[0]) == pytest.approx(student, rel=2e-3)


def test_percentiles_pass_over_draws_that_are_undefined() -> None:
    whole = _rng().normal(size=(1, 500))
    holes = np.insert(whole, [3, 77, 400], np.nan, axis=1)
    nothing = np.full_like(holes, np.nan)
    low, high = intervals.percentiles(np.vstack([holes, nothing]), _floats(12, 12), LEVEL)
    assert (low[0], high[0]) == tuple(x[0] for x in intervals.percentiles(whole, _floats(12), LEVEL))
    assert np.isnan([low[1], high[1]]).all()


# Many looks


@given(st.lists(st.floats(0, 1), max_size=40), st.sampled_from([0.01, 0.05, 0.2]))
def test_discoveries_are_scipys(p: list[float], rate: float) -> None:
    found = multiplicity.discoveries(np.array(p), rate)
    adjusted = stats.false_discovery_control(p) if p else np.array([])
    near = np.abs(adjusted - rate) < 1e-9
    assert ((found == (adjusted <= rate)) | near).all()


def test_discoveries_as_published() -> None:
    """Benjamini, Hochberg (1995), JRSS B 57(1), section 3: of 15 looks the four smallest are found."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459,
         0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]  # fmt: skip
    assert multiplicity.discoveries(np.array(p[::-1]), 0.05).tolist() == [False] * 11 + [True] * 4


def test_an_unknown_look_is_no_look() -> None:
    assert multiplicity.discoveries(_floats(np.nan, 0.04, np.nan), 0.05).tolist() == [False, True, False]
    assert multiplicity.discoveries(_floats(np.nan), 0.05).tolist() == [False]


# An entity and those around it


def _observations(entity: Any, team: Any, x: Any, y: Any = None, *, peer: Any = None) -> Observations:
    """Rows of people who are an entity each; what is nobody's comes from one who is a peer or one who is not."""
    codes, size = np.array(entity, dtype=np.int64), len(entity)
    below = np.ones(size) if y is None else np.array(y, dtype=float)
    counted = np.ones(size, dtype=bool) if peer is None else np.array(peer, dtype=bool)
    return Observations(
        entity=codes,
        team=np.array(team, dtype=np.int64),
        person=np.where(codes >= 0, codes, 100 + counted),
        peer=counted,
        unit=np.arange(size),
        x=np.array(x, dtype=float),
        y=below,
        pooled=Pooled(below, below, below, below),
    )


@st.composite
def observed(draw: st.DrawFn) -> Observations:
    """Up to six entities in up to three groups, some in none, and rows of theirs, or of nobody's."""
    team = draw(st.lists(st.integers(-1, 2), min_size=1, max_size=6))
    row = st.tuples(
        st.integers(-1, len(team) - 1), st.booleans(), st.integers(1, 50), st.integers(0, 50), st.booleans()
    )
    rows = draw(st.lists(row, max_size=30))
    entity, outside, y, part, _all = zip(*rows, strict=True) if rows else ((),) * 5
    x = [min(a, b) for a, b in zip(part, y, strict=True)]
    peer = [not (e < 0 and out) for e, out in zip(entity, outside, strict=True)]
    return _observations(list(entity), team, x, list(y), peer=peer)


def _by_hand(rows: Observations, estimate: Any, chosen: NDArray[np.bool_]) -> float:
    x, y = rows.x[chosen], rows.y[chosen]
    if estimate is sides.totals:
        return float(x.sum())
    if not chosen.any():
        return float("nan")
    return float(np.median(x)) if estimate is sides.medians else float(x.sum() / y.sum())


@pytest.mark.parametrize("estimate", ESTIMATORS, ids=lambda e: e.__name__)
@settings(max_examples=40, deadline=None)
@given(rows=observed())
def test_sides_are_what_a_loop_finds(estimate: Any, rows: Observations) -> None:
    found: Sides = estimate(rows, _rng(), LEVEL)
    group = np.array([rows.team[e] if e >= 0 else -1 for e in rows.entity], dtype=int)
    for e, team in enumerate(rows.team):
        own = rows.entity == e
        others = rows.peer & ~own
        mates = others & (group == team) if team >= 0 else np.zeros(len(own), dtype=bool)
        for side, chosen in ((found.own, own), (found.others, others), (found.team, mates)):
            if side is found.team and team < 0:
                assert np.isnan(side.value[e])
            else:
                expected = _by_hand(rows, estimate, chosen)
                assert side.value[e] == pytest.approx(expected, rel=1e-12, nan_ok=True)
            people = set(rows.person[chosen])
            assert (side.people[e], round(side.n[e])) == (len(people), round(_size(rows, estimate, chosen)))


def _size(rows: Observations, estimate: Any, chosen: NDArray[np.bool_]) -> float:
    return float(rows.y[chosen].sum()) if estimate is sides.ratios else float(chosen.sum())


@settings(max_examples=40, deadline=None)
@given(rows=observed())
def test_own_and_others_are_everybody(rows: Observations) -> None:
    found = sides.totals(rows, _rng(), LEVEL)
    everybody = rows.x[rows.peer].sum()
    assert found.own.value + found.others.value == pytest.approx(np.full(len(rows.team), everybody))


@pytest.mark.parametrize("estimate", ESTIMATORS, ids=lambda e: e.__name__)
@settings(max_examples=25, deadline=None)
@given(rows=observed(), seed=st.integers(0, 99))
def test_the_order_of_rows_does_not_matter(estimate: Any, rows: Observations, seed: int) -> None:
    order = _rng(seed).permutation(len(rows.x))
    columns = ("entity", "person", "peer", "unit", "x", "y")
    mixed = replace(rows, **{c: getattr(rows, c)[order] for c in columns})
    mixed = replace(mixed, pooled=Pooled(mixed.y, mixed.y, mixed.y, mixed.y))
    one, other = estimate(rows, _rng(), LEVEL), estimate(mixed, _rng(), LEVEL)
    for name in ("own", "team", "others"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.value == pytest.approx(b.value, rel=1e-12, nan_ok=True)
        assert (a.n.tolist(), a.people.tolist()) == (b.n.tolist(), b.people.tolist())


@pytest.mark.parametrize("estimate", ESTIMATORS, ids=lambda e: e.__name__)
@settings(max_examples=25, deadline=None)
@given(rows=observed())
def test_nobody_is_in_the_pools_beside_oneself(estimate: Any, rows: Observations) -> None:
    before = estimate(rows, _rng(), LEVEL)
    for e in range(len(rows.team)):
        mine = rows.entity == e
        changed = replace(rows, x=np.where(mine, rows.y - rows.x, rows.x))
        after = estimate(changed, _rng(), LEVEL)
        for name in ("team", "others"):
            a, b = getattr(before, name).value[e], getattr(after, name).value[e]
            assert a == pytest.approx(b, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("estimate", [sides.totals, sides.ratios, sides.medians], ids=lambda e: e.__name__)
def test_another_currency_unit_scales_values_and_intervals(estimate: Any) -> None:
    rng = _rng()
    dollars = _observations(rng.integers(0, 4, 200), [0, 0, 1, 1], rng.integers(1, 9000, 200))
    cents = replace(dollars, x=dollars.x * 100)
    one, hundred = estimate(dollars, _rng(3), LEVEL), estimate(cents, _rng(3), LEVEL)
    for a, b in ((one.own.value, hundred.own.value), (one.low, hundred.low), (one.high, hundred.high)):
        assert b == pytest.approx(100 * a, rel=1e-12)
    assert (one.low < one.own.value).all()
    assert (one.own.value < one.high).all()


@pytest.mark.parametrize("estimate", ESTIMATORS, ids=lambda e: e.__name__)
def test_nobody_and_nothing_is_no_error(estimate: Any) -> None:
    nobody = estimate(_observations([-1, -1], [], [1, 1]), _rng(), LEVEL)
    assert nobody.own.value.shape == (0,)
    nothing = estimate(_observations([], [0, 0], []), _rng(), LEVEL)
    assert nothing.own.n.tolist() == [0, 0]


# Customers


@st.composite
def won_deals(draw: st.DrawFn) -> pd.DataFrame:
    """Wins of a few people with a few customers; some people are in no team, some are no peers."""
    rep = st.sampled_from("abcdexy")  # x, of team t0, and y, of no team, are nobody's peers
    rows = draw(
        st.lists(st.tuples(rep, st.sampled_from("klm"), st.integers(1, 900)), min_size=1, max_size=25)
    )
    frame = pd.DataFrame(rows, columns=["rep_id", "account_id", "amount_minor"])
    frame["team_id"] = frame["rep_id"].map({"a": "t0", "b": "t0", "c": "t0", "d": "t1", "e": "t1", "x": "t0"})
    return frame.assign(
        span="now", status="won", deal_id=[str(i) for i in range(len(frame))], peer=~frame["rep_id"].isin(["x", "y"])
    )  # fmt: skip


@pytest.mark.parametrize("by", ["rep_id", "team_id"])
@settings(max_examples=40, deadline=None)
@given(deals=won_deals())
def test_a_shared_customer_counts_once_in_a_pool(by: str, deals: pd.DataFrame) -> None:
    deals = deals.assign(entity=deals[by])
    with duckdb.connect() as connection:
        connection.register("decided", deals)
        rows = connection.execute(f"FROM ({sql('value_per_customer')}) ORDER BY deal_id::INTEGER").df()
    teams = {"rep_id": [0, 0, 0, 1, 1], "team_id": [-1, -1]}[by]
    known = {"rep_id": list("abcde"), "team_id": ["t0", "t1"]}[by]
    found = sides.ratios(_customers(rows, known, teams), _rng(), LEVEL)
    for e, name in enumerate(known):
        others = deals[deals["peer"] & (deals["entity"] != name)]
        mates = others[others["team_id"] == f"t{teams[e]}"] if teams[e] >= 0 else others[:0]
        pools = ((found.own, deals[deals["entity"] == name]), (found.others, others), (found.team, mates))
        for side, pool in pools:
            customers = pool["account_id"].nunique()
            expected = pool["amount_minor"].sum() / customers if customers else np.nan
            assert side.value[e] == pytest.approx(expected, rel=1e-9, nan_ok=True)


def _customers(rows: pd.DataFrame, known: list[str], teams: list[int]) -> Observations:
    pools = ("y_in_team", "y_in_all", "y_leaves_team", "y_leaves_all")
    return Observations(
        entity=pd.Index(known).get_indexer(pd.Index(rows["entity"])),
        team=np.array(teams),
        person=pd.factorize(rows["rep_id"])[0],
        peer=rows["peer"].to_numpy(bool),
        unit=pd.factorize(rows["unit"])[0],
        x=rows["x"].to_numpy(float),
        y=rows["y"].to_numpy(float),
        pooled=Pooled(*(rows[c].fillna(0).to_numpy(float) for c in pools)),
    )


# What an interval of 95 % is worth


def _covered(found: Sides, truth: Any) -> float:
    return float(np.mean((found.low <= truth) & (truth <= found.high)))


def test_a_rate_of_20_deals_is_covered_and_not_for_free() -> None:
    reps, n = 1500, 20
    truth = _rng(1).uniform(0.15, 0.85, reps)
    won = _rng(2).random((reps, n)) < truth[:, None]
    found = sides.rates(
        _observations(np.repeat(np.arange(reps), n), np.zeros(reps), won.ravel()), _rng(), LEVEL
    )
    assert 0.93 <= _covered(found, truth) <= 0.975
    assert np.mean(found.high - found.low) < 0.40  # Clopper-Pearson's is 0.42 here


@pytest.mark.parametrize(("sigma", "least"), [(0.4, 0.93), (0.8, 0.88)])
def test_a_mean_of_30_skewed_amounts_is_covered_and_not_for_free(sigma: float, least: float) -> None:
    """The sample's amounts spread like sigma 0.4. Skewness costs every known interval; Student's loses more."""
    reps, n, truth = 60, 30, np.exp(sigma**2 / 2)
    coverage, students, widths = [], [], []
    for seed in range(10):
        x = _rng(100 + seed).lognormal(0, sigma, (reps, n))
        rows = _observations(np.repeat(np.arange(reps), n), np.zeros(reps), x.ravel())
        found = sides.ratios(rows, _rng(seed), LEVEL)
        half = stats.t.ppf(0.975, n - 1) * x.std(axis=1, ddof=1) / np.sqrt(n)
        coverage.append(_covered(found, truth))
        students.append(np.mean(np.abs(x.mean(axis=1) - truth) <= half))
        widths.append(np.mean(found.high - found.low))
    best = 2 * 1.96 * np.sqrt((np.exp(sigma**2) - 1) * np.exp(sigma**2) / n)
    assert np.mean(coverage) >= max(least, np.mean(students))
    assert np.mean(widths) < 1.1 * best


def test_a_median_of_15_is_covered() -> None:
    reps, n, coverage = 100, 15, []
    for seed in range(12):
        x = _rng(100 + seed).lognormal(0, 1, (reps, n))
        rows = _observations(np.repeat(np.arange(reps), n), np.zeros(reps), x.ravel())
        coverage.append(_covered(sides.medians(rows, _rng(), LEVEL), 1.0))
    assert 0.95 <= np.mean(coverage) <= 0.98  # 0.9648 by the binomial


RATE = next(m for m in METRICS if m.id == "win_rate_count")
AMOUNT = next(m for m in METRICS if m.id == "won_amount")
TEAM = [0] * 7 + [1] * 6 + [2] * 7


def _span(metric: Any, rng: np.random.Generator, first_rate: float) -> Sides:
    """A month of 20 people with 40 decided deals each, one of whom has a win rate of their own."""
    entity = np.repeat(np.arange(20), 40)
    won = rng.random(800) < np.where(entity == 0, first_rate, 0.5)
    if metric is RATE:
        return sides.rates(_observations(entity, TEAM, won), rng, LEVEL)
    amounts = rng.lognormal(8, 0.8, 800)
    return sides.totals(_observations(entity[won], TEAM, amounts[won]), rng, LEVEL)


def _own_parts(metric: Any, seed: int, first_rate: float) -> list[Finding]:
    rng, pages = _rng(seed), Pages([[] for _ in TEAM], [[] for _ in TEAM])
    spans = {"now": _span(metric, rng, first_rate), "previous": _span(metric, rng, 0.5)}
    add_metric(
        pages, metric, metric.unit, spans, Worth(0.05, 0.10),
        reasons={"year_ago": "too early"}, compared=np.ones(20, dtype=bool),
    )  # fmt: skip
    return [page[0] for page in pages.findings]


@pytest.mark.parametrize("metric", [RATE, AMOUNT], ids=["rate", "amount"])
def test_the_own_part_is_nothing_where_nothing_happened(metric: Any) -> None:
    split = [f.comparisons[0].split for seed in range(25) for f in _own_parts(metric, seed, 0.5)]
    ranges = [s.interval for s in split if s and s.interval]
    assert len(ranges) == 500
    assert np.mean([r.low <= 0 <= r.high for r in ranges]) >= 0.93
    if metric is RATE:
        best = 2 * 1.96 * np.sqrt(0.25 * 2 * (1 / 40 + 1 / 240))
        assert np.mean([r.high - r.low for r in ranges]) < 1.1 * best


def test_the_own_part_is_found_where_it_is() -> None:
    splits = [_own_parts(RATE, seed, 0.9)[0].comparisons[0].split for seed in range(20)]
    assert sum(s is not None and s.verdict is True and s.own > 0 for s in splits) >= 18


def test_a_side_says_how_many_people_stand_behind_it() -> None:
    rows = _observations([0, 0, 1, 2, 2, 2, 3], [0, 0, 0, 1], [1, 2, 3, 4, 5, 6, 7])
    found = sides.totals(rows, _rng(), LEVEL)
    people: dict[str, Side] = {"own": found.own, "team": found.team, "others": found.others}
    assert {name: side.people.tolist() for name, side in people.items()} == {
        "own": [1, 1, 1, 1],
        "team": [2, 2, 2, 0],
        "others": [3, 3, 3, 3],
    }


# Shards of a large company


def _company(seed: int) -> Observations:
    """120 people in 20 teams or none, some rows of outsiders and of people who are no peers."""
    rng = _rng(seed)
    team = np.append(np.repeat(np.arange(20), 5), np.full(20, -1))
    entity = rng.integers(-1, 120, 6000)
    y = rng.integers(1, 900, 6000)
    return _observations(
        entity, team, y * (rng.random(6000) < 0.4), y, peer=(entity >= 0) & (entity % 17 > 0)
    )


@pytest.mark.parametrize("estimate", ESTIMATORS, ids=lambda e: e.__name__)
def test_shards_say_what_the_whole_says(estimate: Any) -> None:
    """Figures, n and people to the last; what is drawn as widely, for the rest of a company is no longer resampled."""
    rows = _company(1)
    if estimate is sides.medians:
        rows = replace(rows, x=rows.y)  # more than half are 0 otherwise, and so are medians
    shard_of = np.where(rows.team >= 0, rows.team // 7, 3)
    whole = estimate(rows, _rng(2), LEVEL)
    for s, part in enumerate(shards.split(rows, shard_of, 4, ranked=estimate is sides.medians)):
        mine = shard_of == s
        found = estimate(part, _rng(3 + s), LEVEL)
        assert found.entities == whole.entities == 120
        for name in ("own", "team", "others"):
            a, b = getattr(found, name), getattr(whole, name)
            assert a.value == pytest.approx(b.value[mine], rel=1e-9, nan_ok=True)
            assert (a.n.tolist(), a.people.tolist()) == (b.n[mine].tolist(), b.people[mine].tolist())
            spread = sides.standard_error(a.draws), sides.standard_error(b.draws)[mine]
            assert spread[0] == pytest.approx(spread[1], rel=0.2, nan_ok=True)


def test_units_that_several_rows_share_are_one_in_a_rest() -> None:
    """Ten customers of nine deals each vary nine times as much as ninety customers of one."""
    apart = _observations(np.repeat([0, 1], 90), [0, 1], np.ones(180))
    shared = replace(apart, unit=np.concatenate([np.arange(90), 90 + np.arange(90) // 9]))
    rests = [shards.split(rows, np.array([0, 1]), 2, ranked=False)[0].rest for rows in (apart, shared)]
    assert [(r.n, r.people, r.x, r.y) for r in rests] == [(90, 1, 90.0, 90.0)] * 2
    assert [(r.xx, r.xy, r.yy) for r in rests] == [(90.0,) * 3, (810.0,) * 3]
    x, y = rests[1].draws(_rng())
    assert np.std(x) == pytest.approx(np.sqrt(810), rel=0.1)
    assert x == pytest.approx(y)
