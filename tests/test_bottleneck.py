"""Where deals stick: arithmetic by hand, references without oneself, silence on noise and speech where there is a drop."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, stats
from statsmodels.stats import proportion

from coachbook.metrics.bottleneck import (
    FAMILIES,
    NOT_EXPECTED,
    OTHERS_NEEDED,
    OWN_NEEDED,
    AtStage,
    Bottlenecks,
    Cohorts,
    Decision,
    Gap,
    NamedStage,
    People,
    bottlenecks,
    cohorts,
)
from coachbook.metrics.judging import MOST_NEEDED, NO_PEERS, NOT_ENOUGH
from coachbook.metrics.visits import lay_out
from coachbook.model.findings import Comparison, Finding, With
from coachbook.model.periods import Span
from coachbook.model.quality import Sentence
from coachbook.stats.multiplicity import discoveries
from tests.warehouse import Desk

Array = NDArray[np.float64]
WORTH = 0.05
REPS, STAGES = 20, 5


def of(*pairs: Sequence[tuple[int, int]]) -> Cohorts:
    """One row per rep: (onward, n) at each stage."""
    table = np.array(pairs, dtype=float)
    return Cohorts(table[:, :, 1], table[:, :, 0])


def one_role(reps: int) -> People:
    return People(np.zeros(reps, dtype=np.int64), np.zeros(reps, dtype=np.int64))


def judged(
    pooled: Cohorts, *periods: Cohorts, expected: Sequence[float | None] = (), people: People | None = None,
    worth: float = WORTH,
) -> Bottlenecks:  # fmt: skip
    reps, stages = pooled.n.shape
    wanted = {f"s{i}": share for i, share in enumerate(expected or [None] * stages)}
    none = Cohorts(np.zeros((reps, stages)), np.zeros((reps, stages)))
    return bottlenecks(wanted, periods or (none,), pooled, people or one_role(reps), worth=worth)


def beside(finding: Finding, what: With) -> Comparison:
    found = finding.against(what)
    assert found is not None
    return found


def first(found: Bottlenecks) -> AtStage:
    return found.of(0)[0]


def statsmodels_gap(x1: float, n1: float, x2: float, n2: float, alpha: float = 0.05) -> tuple[float, float]:
    low, high = proportion.confint_proportions_2indep(x1, n1, x2, n2, method="newcomb", alpha=alpha)
    return float(low), float(high)


# By hand: seven of the company against one rep


MATES = [(60, 100)] * 6
"""Six others at a stage: 360 of 600."""


def test_the_gap_to_peers_leaves_oneself_out_and_pools_deals() -> None:
    pooled = first(judged(of([(6, 30)], [(20, 200)], *[[(60, 100)]] * 5))).pooled
    assert (pooled.value, pooled.n) == (0.2, 30)
    peers = beside(pooled, "peers")
    assert (peers.value, peers.n) == (320 / 700, 700)  # the mean of their six shares is 310 / 600
    assert peers.difference == pytest.approx(0.2 - 320 / 700)
    assert peers.interval is not None
    assert (peers.interval.low, peers.interval.high) == pytest.approx(statsmodels_gap(6, 30, 320, 700))
    assert (peers.interval.low, peers.interval.high) == pytest.approx((-0.36844, -0.08026), abs=5e-6)
    assert (peers.verdict, peers.n_needed) == (True, None)


def test_the_gap_to_what_is_expected_has_wilsons_interval() -> None:
    found = judged(of([(9, 30)], *[[pair] for pair in MATES]), expected=[0.6])
    gap = beside(first(found).pooled, "expected")
    assert (gap.value, gap.n) == (0.6, 0)
    assert gap.difference == pytest.approx(-0.3)
    assert gap.interval is not None
    low, high = proportion.proportion_confint(9, 30, method="wilson")
    assert (gap.interval.low, gap.interval.high) == pytest.approx((low - 0.6, high - 0.6), abs=1e-12)
    assert (gap.interval.low, gap.interval.high) == pytest.approx((-0.43335, -0.12124), abs=5e-6)
    others = first(found).others
    assert (others.against, others.value, others.difference) == ("expected", 0.6, pytest.approx(0.0))


def test_a_movement_is_company_and_team_and_own() -> None:
    """Twelve reps in two teams; company (78 - 61) / 110, team 5 / 50 - company, own -2 / 10 - 5 / 50."""
    now = of([(2, 10)], *[[(6, 10)]] * 5, *[[(8, 10)]] * 6)
    then = of([(4, 10)], *[[(5, 10)]] * 5, *[[(6, 10)]] * 6)
    people = People(np.zeros(12, dtype=np.int64), np.repeat([0, 1], 6))
    moved = beside(first(judged(now, now, then, people=people)).now, "previous")
    assert (moved.value, moved.difference) == (0.4, pytest.approx(-0.2))
    split = moved.split
    assert split is not None
    assert split.team is not None
    assert (split.company, split.team, split.own) == pytest.approx((17 / 110, 0.1 - 17 / 110, -0.3))
    assert split.interval is not None
    (low1, high1), (low0, high0) = statsmodels_gap(2, 10, 30, 50), statsmodels_gap(4, 10, 25, 50)
    assert split.interval.low == pytest.approx(-0.3 - np.hypot(-0.4 - low1, high0 + 0.1))
    assert split.interval.high == pytest.approx(-0.3 + np.hypot(high1 + 0.4, -0.1 - low0))
    assert (split.interval.low, split.interval.high) == pytest.approx((-0.66917, 0.13206), abs=5e-6)
    assert (split.verdict, split.company_verdict) == (None, True)


@pytest.mark.parametrize(
    ("mates", "beyond", "has_team"), [(5, 6, True), (4, 7, False), (7, 4, False), (9, 0, True)]
)
def test_a_team_part_tells_of_no_few_people(mates: int, beyond: int, has_team: bool) -> None:
    now = of([(2, 10)], *[[(6, 10)]] * (mates + beyond))
    then = of([(5, 10)], *[[(5, 10)]] * (mates + beyond))
    people = People(np.zeros(1 + mates + beyond, dtype=np.int64), np.repeat([0, 1], [1 + mates, beyond]))
    split = beside(first(judged(now, now, then, people=people)).now, "previous").split
    assert split is not None
    assert (split.team is not None) == has_team
    assert (split.company, split.own) == pytest.approx((0.1, -0.4))


def test_a_team_is_those_of_ones_own_role_in_it() -> None:
    """Six others are in the team, three of them peers; eight peers are elsewhere."""
    now, then = of([(2, 10)], *[[(6, 10)]] * 14), of([(5, 10)], *[[(5, 10)]] * 14)
    people = People(np.repeat([0, 1, 0], [4, 3, 8]), np.repeat([0, 1], [7, 8]))
    split = beside(first(judged(now, now, then, people=people)).now, "previous").split
    assert split is not None
    assert (split.team, split.own) == (None, pytest.approx(-0.4))


def test_fewer_than_five_others_with_such_deals_are_no_reference() -> None:
    for others, known in ((5, True), (4, False)):
        at = first(judged(of([(9, 90)], *[[(60, 100)]] * others, [(0, 0)]), expected=[0.6]))
        peers = beside(at.pooled, "peers")
        assert (peers.value is not None) == known
        assert peers.reason == ("" if known else NO_PEERS)
        assert at.decision == ("coach" if known else "wait")
        assert at.reason == (None if known else Sentence(NO_PEERS, {"k": 5}))
        assert at.n_needed is None
        assert NamedStage("stage_conversion", "expected", "worse", "s0") in at.named
        assert at.others.value == 0.6
        assert (at.others.difference is not None) == known


def test_only_the_same_role_is_a_peer() -> None:
    found = judged(
        of([(9, 30)], *[[pair] for pair in MATES], [(0, 500)], [(0, 500)]),
        people=People(np.array([0] * 7 + [1, -1]), np.zeros(9, dtype=np.int64)),
    )
    assert beside(first(found).pooled, "peers").value == 0.6
    for stranger in (7, 8):
        assert beside(found.of(stranger)[0].pooled, "peers").reason == NO_PEERS


def test_the_period_hides_peers_whom_the_window_would_give_away() -> None:
    """All but one had deals in the period alone: the window less the period is that one's."""
    now = of(*[[(6, 10)]] * 8)
    alone, everybody = of(*[[(6, 10)]] * 7, [(9, 20)]), of(*[[(9, 20)]] * 8)
    assert beside(first(judged(alone, now)).now, "peers").reason == NO_PEERS
    assert beside(first(judged(everybody, now)).now, "peers").value == 0.6
    assert beside(first(judged(now, now)).now, "peers").value == 0.6


# Verdicts, and the n that is needed


def test_verdicts_are_those_of_the_contract() -> None:
    reps = of([(450, 1000)], [(590, 1000)], [(6, 10)], [(570, 1000)], *[[(60_000, 100_000)]] * 6)
    true, false, unknown, small = (
        beside(found.pooled, "expected") for (found,) in map(judged(reps, expected=[0.6]).of, range(4))
    )
    assert (true.verdict, true.n_needed) == (True, None)
    assert (false.verdict, false.n_needed) == (False, None)
    assert unknown.verdict is None
    assert (small.verdict, small.difference) == (None, pytest.approx(-0.03))  # reaches to -6.1 points
    assert small.n_needed is not None
    assert 2000 < small.n_needed < 3000  # 1000 x (3.09 / 2)**2


def test_what_is_beyond_chance_but_not_worth_acting_on_is_no_name() -> None:
    at = everybody((57_000, 100_000), (60_000, 100_000))
    gap = beside(at.pooled, "peers")
    assert gap.interval is not None
    assert -WORTH < gap.interval.low < gap.interval.high < 0
    assert (gap.verdict, at.decision, at.named) == (False, None, ())


def test_nothing_and_next_to_nothing_are_not_judged() -> None:
    found = judged(of([(0, 0), (0, 4), (0, 5)], *[[(60, 100)] * 3] * 6), expected=[0.6, 0.6, None])
    none, few, enough = found.of(0)
    assert (none.pooled.value, none.pooled.interval, none.pooled.reason) == (None, None, NOT_ENOUGH)
    assert (few.pooled.value, few.pooled.interval, few.pooled.n) == (0.0, None, 4)
    for at in (none, few):
        for comparison in (beside(at.pooled, "peers"), beside(at.pooled, "expected")):
            assert (comparison.value, comparison.interval, comparison.verdict) == (0.6, None, None)
            assert comparison.n_needed == beside(none.pooled, comparison.against).n_needed
            assert comparison.reason == NOT_ENOUGH
        assert (at.decision, at.named) == ("wait", ())
    assert enough.pooled.interval is not None
    assert beside(enough.pooled, "expected").reason == NOT_EXPECTED
    assert beside(enough.pooled, "expected").n_needed is None


def test_a_page_says_at_how_much_it_looked() -> None:
    """The first rep's own at two stages, one of which is expected; peers' at both that are."""
    found = judged(of([(0, 4), (5, 9), (5, 9)], *[[(60, 100)] * 3] * 6), expected=[0.6, 0.6, None])
    assert found.looked_at.tolist() == [2 + 1 + 2] + [3 + 2 + 2] * 6


def test_without_a_period_before_nothing_moved() -> None:
    now = of([(9, 30)], *[[pair] for pair in MATES])
    moved = beside(first(judged(now, now)).now, "previous")
    assert (moved.value, moved.difference, moved.split, moved.verdict) == (None, None, None, None)


# Names and decisions


def p_value(x1: float, n1: float, x2: float, n2: float) -> float:
    """The level at which Newcombe's interval just touches 0."""

    def beyond(log_p: float) -> float:
        low, high = statsmodels_gap(x1, n1, x2, n2, float(np.exp(log_p)))
        return low if x1 / n1 > x2 / n2 else -high

    if x1 / n1 == x2 / n2:
        return 1.0
    return 0.0 if beyond(-28.0) > 0 else float(np.exp(optimize.brentq(beyond, -28.0, -1e-9)))


def test_names_are_benjamini_hochbergs_over_the_stages() -> None:
    rng = np.random.default_rng(7)
    n = rng.integers(5, 90, (12, 6)).astype(float)
    table = Cohorts(n, rng.binomial(n.astype(int), rng.choice([0.25, 0.5, 0.6], n.shape)).astype(float))
    found = judged(table, expected=[0.5] * 6, worth=0.0)
    rest_n, rest = n.sum(axis=0) - n, table.onward.sum(axis=0) - table.onward
    beside_peers = np.array(
        [
            [p_value(*four) for four in zip(*rows, strict=True)]
            for rows in zip(table.onward, n, rest, rest_n, strict=True)
        ]
    )
    score = np.abs(table.onward / n - 0.5) / np.sqrt(0.25 / n)
    for family, p in enumerate((beside_peers, 2 * stats.norm.sf(score))):
        held = np.array([discoveries(row, 0.05 / FAMILIES) for row in p])
        assert 3 < held.sum() < held.size / 2
        assert (held != (p <= 0.05 / FAMILIES / 6)).any()  # the step up is at work
        assert (found.worse[family] | found.better[family]).tolist() == held.tolist()


def in_periods(*of_the_rep: int, long: int = 60) -> Bottlenecks:
    """Of 30 deals in each of the last periods so many got on, of 100 in the window `long`; peers: 60 %."""
    periods = [of([(onward, 30)], *[[pair] for pair in MATES]) for onward in of_the_rep]
    return judged(of([(long, 100)], *[[(240, 400)]] * 6), *periods)


@pytest.mark.parametrize(
    ("periods", "long", "direction"),
    [
        ((5, 18, 18), 60, None),
        ((5, 5, 18), 60, "worse"),
        ((18, 5, 5), 60, "worse"),
        ((18, 18, 5, 5), 60, None),
        ((18, 18, 18), 30, "worse"),
        ((29, 29, 18), 60, "better"),
        ((29, 5, 18), 60, None),
        ((29, 29, 18), 30, None),
        ((5,), 60, None),
    ],
)
def test_a_name_needs_the_window_or_two_of_the_last_three_periods(
    periods: tuple[int, ...], long: int, direction: str | None
) -> None:
    at = first(in_periods(*periods, long=long))
    assert [(name.against, name.direction) for name in at.named] == (
        [("peers", direction)] if direction else []
    )
    assert (at.decision == "coach") == (direction == "worse")


def everybody(own: tuple[int, int], others: tuple[int, int], expected: float | None = 0.6) -> AtStage:
    return first(judged(of([own], *[[others]] * 6), expected=[expected]))


@pytest.mark.parametrize(
    ("own", "others", "expected", "decision"),
    [
        ((150, 500), (300, 500), 0.6, "coach"),
        ((150, 500), (300, 500), None, "coach"),
        ((50, 500), (200, 500), 0.6, "coach"),  # everybody sticks, and this rep more than all
        ((200, 500), (200, 500), 0.6, "fix"),
        ((300, 500), (200, 500), 0.6, "fix"),
        ((1, 3), (200, 500), 0.6, "fix"),
        ((16, 50), (235, 500), 0.6, "wait"),  # worse than peers at 0.95, but not once all looks are counted
        ((6, 10), (300, 500), 0.6, "wait"),
        ((300, 500), (12, 20), 0.6, "wait"),
        ((400, 500), (300, 500), 0.6, None),
        ((4000, 5000), (8, 10), None, "wait"),
        ((30000, 50000), (30000, 50000), 0.6, None),
        ((30000, 50000), (30000, 50000), None, None),
    ],
)
def test_whose_matter_it_is(
    own: tuple[int, int], others: tuple[int, int], expected: float | None, decision: Decision | None
) -> None:
    at = everybody(own, others, expected)
    assert at.decision == decision
    assert (at.n_needed is not None) == (decision == "wait") == (at.reason is not None)


def test_what_waits_says_for_what() -> None:
    own = everybody((6, 10), (300, 500))
    assert own.n_needed is not None
    assert own.reason == Sentence(OWN_NEEDED, {"n": own.n_needed})
    others = everybody((48, 50), (36, 60))
    assert others.n_needed is not None
    assert others.reason == Sentence(OTHERS_NEEDED, {"n": others.n_needed})
    assert others.n_needed > 360
    assert everybody((49, 100), (10, 12), None).n_needed != MOST_NEEDED
    # 50 x 0.1386**2 / (0.09**2 - 0.0174**2): until it is no worse, not until it is known how much better.
    better = everybody((32, 50), (300, 500), None)
    assert better.n_needed == 124
    assert everybody((3000, 5000), (3, 5), None).n_needed == MOST_NEEDED  # no n is enough beside so few


# Whatever the counts


@st.composite
def companies(draw: st.DrawFn) -> tuple[list[Cohorts], Cohorts, People, list[float | None]]:
    """Three periods, a window with more before them, people of up to two roles and teams."""
    reps, stages = draw(st.integers(1, 14)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    most = draw(st.sampled_from([3, 20, 200]))
    share = rng.choice([0.2, 0.5, 0.9], (reps, stages))
    parts: list[Cohorts] = []
    for _period in range(4):
        n = rng.integers(0, most, share.shape)
        parts.append(Cohorts(n.astype(float), rng.binomial(n, share).astype(float)))
    window = Cohorts(np.sum([p.n for p in parts], axis=0), np.sum([p.onward for p in parts], axis=0))
    people = People(rng.choice([-1, 0, 0, 0, 1], reps), rng.choice([-1, 0, 0, 1], reps))
    return (
        parts[:3],
        window,
        people,
        [draw(st.sampled_from([None, 0.4, 0.5, 1.0])) for _stage in range(stages)],
    )


Company = tuple[list[Cohorts], Cohorts, People, list[float | None]]


def pages(company: Company) -> list[tuple[AtStage, ...]]:
    periods, window, people, expected = company
    found = judged(window, *periods, people=people, expected=expected)
    return [found.of(rep) for rep in range(len(window.n))]


def changed(cohort: Cohorts, rows: NDArray[np.int64] | slice = slice(None), times: int = 1) -> Cohorts:
    return Cohorts(cohort.n[rows] * times, cohort.onward[rows] * times)


@settings(max_examples=40, deadline=None)
@given(company=companies(), seed=st.integers(0, 2**32))
def test_the_order_of_reps_does_not_matter(company: Company, seed: int) -> None:
    periods, window, people, expected = company
    order = np.random.default_rng(seed).permutation(len(window.n))
    other = (
        [changed(p, order) for p in periods], changed(window, order), People(people.peers[order], people.team[order]), expected,
    )  # fmt: skip
    before = pages(company)
    assert pages(other) == [before[rep] for rep in order]


@settings(max_examples=40, deadline=None)
@given(company=companies())
def test_nobody_enters_the_own_reference(company: Company) -> None:
    periods, window, people, expected = company

    def without_the_first(cohort: Cohorts) -> Cohorts:
        n, onward = cohort.n.copy(), cohort.onward.copy()
        n[0], onward[0] = 7, 0
        return Cohorts(n, onward)

    other = [without_the_first(p) for p in periods], without_the_first(window), people, expected
    for one, two in zip(pages(company)[0], pages(other)[0], strict=True):
        assert one.others == two.others
        for what in ("now", "pooled"):
            a, b = (beside(getattr(at, what), "peers") for at in (one, two))
            assert (a.value, a.n) == (b.value, b.n)
        a, b = (beside(at.now, "previous") for at in (one, two))
        if a.split and b.split:
            assert a.split.company == b.split.company


def verdicts(at: AtStage) -> list[bool | None]:
    return [c.verdict for c in (*at.now.comparisons, *at.pooled.comparisons, at.others)]


@settings(max_examples=40, deadline=None)
@given(company=companies(), times=st.integers(2, 50))
def test_more_of_the_same_never_turns_true_into_false(company: Company, times: int) -> None:
    periods, window, people, expected = company
    more = [changed(p, times=times) for p in periods], changed(window, times=times), people, expected
    for one, two in zip(pages(company), pages(more), strict=True):
        for before, after in zip(one, two, strict=True):
            said = zip(verdicts(before), verdicts(after), strict=True)
            assert not [pair for pair in said if pair[0] is True and pair[1] is not True]
            needed = [c.n_needed for c in (*before.now.comparisons, *before.pooled.comparisons) if c.interval]
            assert all((n is None) or n >= 5 for n in needed)


@settings(max_examples=40, deadline=None)
@given(company=companies())
def test_parts_add_up_and_decisions_exclude_each_other(company: Company) -> None:
    periods, window, people, expected = company
    found = judged(window, *periods, people=people, expected=expected)
    assert (found.coach.astype(int) + found.fix + found.wait <= 1).all()
    assert not any((worse & better).any() for worse, better in zip(found.worse, found.better, strict=True))
    for rep in range(len(window.n)):
        for at in found.of(rep):
            moved = beside(at.now, "previous")
            if moved.split:
                parts = moved.split.company + (moved.split.team or 0) + moved.split.own
                assert parts == pytest.approx(moved.difference)
            for name in at.named:
                assert beside(at.pooled, name.against).value is not None
            if at.decision == "coach":
                assert NamedStage("stage_conversion", "peers", "worse", at.stage) in at.named


# Truth: many companies at once


def simulated(
    share: Array, n: float, rng: np.random.Generator, *, expected: float, exactly: bool = False
) -> Bottlenecks:
    """Companies of `REPS` reps in two teams, one after the other; `n` deals a rep, stage and period, on average or exactly."""
    sizes = [np.full(share.shape, int(n)) if exactly else rng.poisson(n, share.shape) for _period in range(4)]
    parts = [Cohorts(size.astype(float), rng.binomial(size, share).astype(float)) for size in sizes]
    window = Cohorts(np.sum([p.n for p in parts], axis=0), np.sum([p.onward for p in parts], axis=0))
    people = People(np.repeat(np.arange(len(share) // REPS), REPS), np.arange(len(share)) % 2)
    return judged(window, *parts[:3], people=people, expected=[expected] * share.shape[1])


def bottleneck_named(found: Bottlenecks) -> NDArray[np.bool_]:
    """Per review."""
    named: NDArray[np.bool_] = (found.worse[0] | found.worse[1]).any(axis=1)
    return named


@pytest.mark.parametrize("n", [2, 5, 15, 50])
@pytest.mark.parametrize("base", [0.15, 0.5, 0.85])
def test_where_nobody_differs_nearly_nobody_is_named(n: int, base: float) -> None:
    found = simulated(np.full((400 * REPS, STAGES), base), n, np.random.default_rng(n), expected=base)
    assert bottleneck_named(found).mean() <= 0.05
    better = (found.better[0] | found.better[1]).any(axis=1)
    assert (bottleneck_named(found) | better).mean() <= 0.05
    assert found.coach.any(axis=1).mean() <= 0.05 / FAMILIES * 2
    assert (found.looked_at > 3).all()


@pytest.mark.parametrize(("base", "drop"), [(0.5, 0.35), (0.5, 0.5), (0.2, 0.5)])
@pytest.mark.parametrize("what", ["name", "verdict"])
def test_the_n_that_a_page_asks_for_finds_the_drop(base: float, drop: float, what: str) -> None:
    """A page with too few deals says how many it takes; with so many, four reviews in five find the drop."""
    few = np.full((REPS, STAGES), 2000.0)
    onward = few * base
    few[0, 2], onward[0, 2] = 10, 10 * base * (1 - drop)
    page = judged(Cohorts(few, onward), expected=[base] * STAGES).of(0)[2]
    assert (page.decision, page.named) == ("wait", ())
    needed = page.n_needed if what == "name" else beside(page.pooled, "peers").n_needed
    assert needed is not None
    companies, rng = 600, np.random.default_rng(needed)
    share = np.full((companies * REPS, STAGES), base)
    share[::REPS, 2] = base * (1 - drop)
    found = simulated(share, np.ceil(needed / 4), rng, expected=base, exactly=True)
    at = slice(None, None, REPS), 2
    told = found.coach[at] if what == "name" else _told_worse(found.pooled.peers)[at]
    assert 0.74 <= told.mean() <= 0.88
    assert found.coach[1::REPS].any(axis=1).mean() <= 0.05


def _told_worse(gap: Gap) -> NDArray[np.bool_]:
    told: NDArray[np.bool_] = (gap.high < 0) & (gap.size <= -gap.worth)
    return told


@pytest.mark.parametrize("n", [5, 15, 40])
def test_with_half_of_the_stages_truly_bad_few_names_are_false(n: int) -> None:
    """One rep of each company is truly bad at three stages of six; at the others, nobody differs."""
    share = np.full((1000 * REPS, 6), 0.6)
    share[::REPS, :3] = 0.35
    found = simulated(share, n, np.random.default_rng(n), expected=0.6)
    named = [w[::REPS] | b[::REPS] for w, b in zip(found.worse[:2], found.better[:2], strict=True)]
    right = sum(np.sum(w[::REPS, :3], axis=1) for w in found.worse[:2])
    every = sum(np.sum(x, axis=1) for x in named)
    assert np.mean((every - right) / np.maximum(every, 1)) <= 0.05
    assert (every - right).sum() / every.sum() <= 0.05
    assert right.sum() / (6 * 1000) >= {5: 0.15, 15: 0.6, 40: 0.95}[n]


@pytest.mark.parametrize("stuck", [1, STAGES])
def test_where_everybody_sticks_the_process_is_to_be_fixed_and_nobody_coached(stuck: int) -> None:
    share = np.full((400 * REPS, STAGES), 0.6)
    share[:, :stuck] = 0.35
    found = simulated(share, 15, np.random.default_rng(stuck), expected=0.6)
    assert found.fix[:, :stuck].mean() >= 0.95
    assert found.fix[:, stuck:].sum() <= 0.05 * len(share)
    assert found.coach.any(axis=1).mean() <= 0.05 / FAMILIES
    assert found.worse[1][:, :stuck].mean() > 0.5
    assert found.worse[2][:, :stuck].all()


def test_owners_permuted_are_silent_and_the_planted_one_is_found() -> None:
    """One company's deals on their way through the funnel; the first rep loses half of them at the third stage."""
    rng, each, lots = np.random.default_rng(3), 60, 60
    owner = np.repeat(np.arange(REPS), 4 * each)
    period = np.tile(np.repeat(np.arange(4), each), REPS)
    share = np.where((owner[:, None] == 0) & (np.arange(STAGES) == 2), 0.35, 0.7)
    onward = np.logical_and.accumulate(rng.random(share.shape) < share, axis=1)
    there = np.hstack([np.ones((len(owner), 1), dtype=bool), onward[:, :-1]])

    def review(owners: NDArray[np.int64]) -> Bottlenecks:
        """Rows of `owners`: the same company with the deals in other hands."""
        reps = len(owners) * REPS
        hand = (owners + REPS * np.arange(len(owners))[:, None]).ravel()

        def count(which: NDArray[np.bool_], periods: set[int]) -> Array:
            weight = which * np.isin(period, list(periods))[:, None]
            return np.stack([np.bincount(hand, np.tile(w, len(owners)), reps) for w in weight.T], axis=1)

        windows = [Cohorts(count(there, p), count(onward, p)) for p in ({3}, {2}, {1}, {0, 1, 2, 3})]
        people = People(np.repeat(np.arange(len(owners)), REPS), np.zeros(reps, dtype=np.int64))
        return judged(windows[3], *windows[:3], people=people, expected=[0.7] * STAGES)

    true = review(owner[None])
    assert [at.stage for at in true.of(0) if at.decision == "coach"] == ["s2"]
    assert bottleneck_named(true)[1:].sum() <= 1
    permuted = review(np.stack([rng.permutation(owner) for _lot in range(lots)]))
    assert bottleneck_named(permuted).mean() <= 0.05
    assert permuted.coach.any(axis=1).mean() <= 0.05


# Out of a history


DAYS = [day for n in range(28) if (day := date(2026, 1, 5) + timedelta(n)).weekday() < 5]
"""Twenty working days, from a Monday on."""


def history(folder: Path, *lives: tuple[str, int, int | None]) -> Desk:
    """Deals of an owner that got to stage a on a working day, and to b so many working days later (None: never)."""
    deals: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    for nr, (owner, came, stayed) in enumerate(lives):
        moves = [(came, "a", None)] + ([] if stayed is None else [(came + stayed, "b", "a")])
        deals.append({"deal_id": f"d{nr}", "created_on": DAYS[came], "stage": moves[-1][1], "rep_id": owner})
        for seq, (day, new, old) in enumerate(moves):
            at = datetime.combine(DAYS[day], time(12))
            fields = {"stage": (old, new)} | (
                {} if old else {"status": (None, "open"), "owner": (None, owner)}
            )
            events += [
                {"deal_id": f"d{nr}", "occurred_at": at, "field": name, "seq": seq, "old": was, "new": now}
                for name, (was, now) in fields.items()
            ]
    desk = Desk(folder)
    reps = [{"rep_id": rep, "name": rep, "team_id": "t", "role": "rep"} for rep in ("r1", "r2")]
    desk.export(DAYS[-1], deals=deals, deal_events=events, reps=reps)
    return desk


def counted(desk: Desk, span: Span, reps: Sequence[str], *, since: date | None = DAYS[0]) -> Cohorts:
    with desk.snapshots.current().known(DAYS[-1]) as connection:
        visits = lay_out(connection, ("lead", "a", "b"), DAYS[-1], since=since)
        return cohorts(connection, visits, span, reps, within_days=5)


def test_deals_count_once_they_were_followed_and_by_what_they_did_until_then(tmp_path: Path) -> None:
    """As of working day 19 with five days to get on: who came on day 14 was followed, who came on day 15 was not."""
    desk = history(
        tmp_path,
        ("r1", 0, 5), ("r1", 0, 6), ("r1", 3, None), ("r1", 14, 2), ("r1", 14, None), ("r1", 15, 1), ("r1", 15, None),
        ("r2", 2, 1),
    )  # fmt: skip
    whole = counted(desk, Span(DAYS[0], DAYS[-1]), ["r2", "nobody", "r1"])
    assert whole.n.tolist() == [[0, 1, 1], [0, 0, 0], [0, 5, 2]]
    assert whole.onward.tolist() == [[0, 1, 0], [0, 0, 0], [0, 2, 0]]
    part = counted(desk, Span(DAYS[3], DAYS[14]), ["r1"])
    assert (part.n.tolist(), part.onward.tolist()) == ([[0, 1, 2]], [[0, 0, 0]])


def test_without_a_history_nobody_is_judged(tmp_path: Path) -> None:
    found = counted(history(tmp_path, ("r1", 0, 5)), Span(DAYS[0], DAYS[1]), ["r1", "r2"], since=DAYS[3])
    assert (found.n.shape, found.n.sum(), found.onward.sum()) == ((2, 3), 0, 0)
    page = judged(found, found).of(0)
    assert [at.decision for at in page] == ["wait"] * 3
    assert {at.pooled.reason for at in page} == {NOT_ENOUGH}
