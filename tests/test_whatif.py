"""What one stage would be worth: arithmetic that a reader can redo, and how sure it is."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from coachbook.metrics import whatif as made
from coachbook.metrics.whatif import SMALLEST_N, Shares, Size, Target, WhatIf, what_if

INF = float("inf")
NAN = float("nan")
STAGES = ("contact", "needs", "proposal", "negotiation")
ENTERED = (100, 60, 42, 21)
CONVERSION = Shares((0.6, 0.7, 0.5, 2 / 3), (100, 60, 42, 21))
CHANCE = Shares((7 / 30, 1 / 3, 2 / 3, 1.0), (60, 42, 21, INF))
"""14 won of 60 that got beyond the first stage, of 42 beyond the second, of 21 beyond the third."""
EXPECTED = Shares.given((0.65, 0.7, 0.6, 0.5))
PEERS = Shares((0.6, 0.8, 0.55, 0.75), (4000, 2500, 1500, 800))
SIZE = Size(50_000, 4_000, 14)


def _found(**other: Any) -> dict[tuple[str, Target], WhatIf]:
    asked: dict[str, Any] = {
        "entered": ENTERED, "conversion": CONVERSION, "chance": CHANCE, "size": SIZE,
        "targets": {"expected": EXPECTED, "peers": PEERS}, **other,
    }  # fmt: skip
    return {(w.stage, w.target): w for w in what_if(STAGES, **asked)}


@pytest.mark.parametrize(
    ("stage", "target", "deals", "more"),
    [
        ("contact", "expected", 100 * 0.65 * 7 / 30, 100 * 0.05 * 7 / 30),
        ("needs", "peers", 60 * 0.8 / 3, 60 * 0.1 / 3),
        ("proposal", "expected", 42 * 0.6 * 2 / 3, 42 * 0.1 * 2 / 3),
        ("negotiation", "expected", 10.5, -3.5),
        ("negotiation", "points", 21 * (2 / 3 + 0.05), 1.05),
        ("needs", "points", 15.0, 1.0),
    ],
)
def test_by_hand(stage: str, target: Target, deals: float, more: float) -> None:
    """Everything before and after it as it was: 14 won deals now, whichever stage they are counted by."""
    found = _found()[stage, target]
    assert found.deals.value == pytest.approx(deals)
    assert found.more.value == pytest.approx(more)
    assert found.more_minor.value == pytest.approx(more * 50_000)
    assert found.deals.value - found.more.value == pytest.approx(14)  # type: ignore[operator]
    for figure in (found.deals, found.more, found.more_minor):
        assert figure.interval
        assert figure.interval.level == 0.95
        assert figure.interval.low <= figure.value <= figure.interval.high  # type: ignore[operator]


def test_order_targets_and_n() -> None:
    found = what_if(
        STAGES, entered=ENTERED, conversion=CONVERSION, chance=CHANCE, size=SIZE, targets={"peers": PEERS}
    )
    assert [(w.stage, w.target) for w in found] == [(s, t) for s in STAGES for t in ("peers", "points")]
    assert [w.more.n for w in found if w.target == "peers"] == [60, 42, 21, 21]
    assert [(w.conversion, w.to) for w in found[:2]] == [(0.6, 0.6), (0.6, 0.65)]


def test_what_is_beyond_the_target_says_so() -> None:
    found = _found()
    assert str(found["negotiation", "expected"].more.reason) == made.ALREADY
    assert str(found["needs", "expected"].more.reason) == made.ALREADY
    assert found["needs", "expected"].deals.reason is None
    assert found["contact", "expected"].more.reason is None
    assert not found["negotiation", "expected"].holds


def test_five_points_end_at_one() -> None:
    found = _found(conversion=Shares((0.97, 1.0, 0.95, 0.5), (100, 60, 42, 21)))
    assert (found["contact", "points"].to, found["needs", "points"].to) == (1, 1)
    assert found["contact", "points"].more.value == pytest.approx(100 * 0.03 * 7 / 30)
    full = found["needs", "points"]
    assert (full.more.value, str(full.more.reason)) == (0, made.ALREADY)
    ten = _found(points=0.1)["proposal", "points"]
    assert (ten.to, ten.more.value) == (0.6, pytest.approx(42 * 0.1 * 2 / 3))


def test_too_few_deals_cannot_tell() -> None:
    few = _found(conversion=Shares(CONVERSION.value, (100, SMALLEST_N - 1, SMALLEST_N, 21)))
    for target in ("expected", "peers", "points"):
        said = few["needs", target]
        assert {f.value for f in (said.deals, said.more, said.more_minor)} == {None}
        assert (said.more.n, said.more.n_needed, said.more.interval, said.holds) == (
            9,
            SMALLEST_N,
            None,
            False,
        )
        assert "9" in str(said.more.reason)
        assert few["proposal", target].more.value is not None
    late = _found(chance=Shares(CHANCE.value, (60, 42, 9, INF)))
    assert (late["proposal", "points"].more.value, late["needs", "points"].more.value) == (
        None,
        pytest.approx(1),
    )
    peers = _found(targets={"peers": Shares(PEERS.value, (4000, 9, 1500, 800))})
    assert (peers["needs", "peers"].more.value, peers["needs", "points"].more.n) == (None, 42)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"conversion": Shares((0.6, NAN, 0.5, 0.6), (100, 0, 42, 21))}, made.NOT_KNOWN),
        ({"chance": Shares((0.2, NAN, 0.6, 1.0), (60, 0, 21, INF))}, made.NO_CHANCE),
        ({"targets": {"expected": Shares.given((0.6, NAN, 0.6, 0.6))}}, made.NO_TARGET),
    ],
)
def test_what_is_not_known_has_a_reason(other: dict[str, Any], reason: str) -> None:
    found = _found(**other)
    said = found["needs", "expected"]
    assert (said.more.value, said.deals.value, said.more.n, said.more.n_needed) == (None, None, 0, None)
    assert str(said.more.reason) == reason
    assert found["contact", "expected"].more.value is not None


def test_without_amounts_deals_alone_are_told() -> None:
    found = _found(size=None)["proposal", "expected"]
    assert (found.more_minor.value, str(found.more_minor.reason)) == (None, made.NO_SIZE)
    assert found.more.value == pytest.approx(2.8)


def test_nobody_came_in() -> None:
    found = _found(entered=(0, 0, 0, 0))
    assert found["contact", "points"].more.value == 0
    assert what_if((), entered=(), conversion=Shares((), ()), chance=Shares((), ()), size=None) == ()


# How sure it is


def _steady(**other: Any) -> dict[tuple[str, Target], WhatIf]:
    """The same, come in so many periods that there is no doubt about how many come in one."""
    return _found(entered=[n * 1e6 for n in ENTERED], periods=1e6, **other)


def _quantile(mean: float, n: float, level: float) -> float:
    return float(stats.beta(mean * n + 0.5, (1 - mean) * n + 0.5).ppf(level))


def test_against_a_given_target_at_the_last_stage_the_interval_is_jeffreys() -> None:
    """Nothing else is uncertain there: entered × (target − beta)."""
    found = _steady(targets={"expected": Shares.given((0.65, 0.7, 0.6, 0.9))})["negotiation", "expected"]
    low, high = (21 * (0.9 - _quantile(2 / 3, 21, q)) for q in (0.975, 0.025))
    assert found.more.interval
    assert found.more.interval.low == pytest.approx(low, abs=0.03 * (high - low))
    assert found.more.interval.high == pytest.approx(high, abs=0.03 * (high - low))


def test_five_points_are_as_sure_as_the_chance_after_them() -> None:
    found = _steady()["needs", "points"]
    low, high = (60 * 0.05 * _quantile(1 / 3, 42, q) for q in (0.025, 0.975))
    assert found.more.interval
    assert found.more.interval.low == pytest.approx(low, abs=0.03 * (high - low))
    assert found.more.interval.high == pytest.approx(high, abs=0.03 * (high - low))
    sure = _steady()["negotiation", "points"].more.interval
    assert sure
    assert (sure.low, sure.high) == (pytest.approx(1.05, rel=1e-3), pytest.approx(1.05, rel=1e-3))


def test_how_many_come_is_uncertain_too() -> None:
    """At the last stage of nothing else: 21 came in two periods, whose mean is a gamma's by Jeffreys' prior."""
    found = _found(periods=2.0)["negotiation", "points"].more
    assert found.value == pytest.approx(21 / 2 * 0.05)
    assert found.interval
    for bound, share in ((found.interval.low, 0.025), (found.interval.high, 0.975)):
        assert stats.gamma(21.5, scale=1 / 2).cdf(bound / 0.05) == pytest.approx(share, abs=0.01)


def test_peers_are_uncertain_too() -> None:
    """P(own + gap < peers) by integration, against the bounds of two stages' draws."""
    few = Shares(PEERS.value, (20, 20, 20, 20))
    found = _steady(targets={"peers": few})["negotiation", "peers"].more.interval
    assert found
    own, other = stats.beta(14.5, 7.5), stats.beta(15.5, 5.5)
    for bound, share in ((found.low, 0.025), (found.high, 0.975)):
        below, _error = integrate.quad(lambda x, b=bound: own.pdf(x) * other.cdf(x + b / 21), 0, 1)
        assert below == pytest.approx(share, abs=0.01)


def test_the_size_widens_the_amount_alone() -> None:
    sure, loose = _steady(size=Size(50_000)), _steady(size=Size(50_000, 15_000))
    a, b = sure["negotiation", "points"], loose["negotiation", "points"]
    assert a.more == b.more
    assert a.more_minor.interval
    assert b.more_minor.interval
    assert (a.more_minor.interval.low, a.more_minor.interval.high) == (
        pytest.approx(52_500, rel=1e-3),
        pytest.approx(52_500, rel=1e-3),
    )
    gamma = stats.gamma((50 / 15) ** 2, scale=15_000**2 / 50_000)
    for bound, share in ((b.more_minor.interval.low, 0.025), (b.more_minor.interval.high, 0.975)):
        assert gamma.cdf(bound / 1.05) == pytest.approx(share, abs=0.01)


def test_holds_only_beyond_chance() -> None:
    certain = _found(targets={"peers": Shares((0.9, 0.9, 0.9, 0.75), (4000,) * 4)})
    assert certain["contact", "peers"].holds
    assert not certain["negotiation", "peers"].holds, "0.67 of 21 may well be 0.75"


def test_the_same_figures_every_time_and_another_level() -> None:
    assert _found() == _found()
    assert _found() != _found(seed=1)
    wide, narrow = (_found(level=level)["contact", "expected"].more.interval for level in (0.95, 0.5))
    assert wide
    assert narrow
    assert narrow.level == 0.5
    assert wide.low < narrow.low < narrow.high < wide.high


@given(
    entered=st.integers(1, 500), n=st.integers(SMALLEST_N, 500), own=st.floats(0, 1), then=st.floats(0, 1),
    chance=st.floats(0, 1), size=st.floats(1, 1e6),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_whatever_the_funnel(
    entered: int, n: int, own: float, then: float, chance: float, size: float
) -> None:
    found = what_if(
        ("only",), entered=(entered,), conversion=Shares((own,), (n,)), chance=Shares((chance,), (n,)), size=Size(size),
        targets={"expected": Shares.given((then,))},
    )  # fmt: skip
    for said, to in zip(found, (then, min(own + 0.05, 1)), strict=True):
        assert said.to == to
        assert said.more.value == pytest.approx(entered * chance * (to - own), abs=1e-9)
        assert said.more_minor.value == pytest.approx(
            entered * chance * (to - own) * size, rel=1e-9, abs=1e-6
        )
        for figure in (said.deals, said.more, said.more_minor):
            assert figure.interval
            assert figure.interval.low <= figure.value <= figure.interval.high  # type: ignore[operator]
        assert said.deals.interval
        assert said.deals.interval.high <= entered + 6 * entered**0.5 + 10


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """400 funnels of a known world: the expected gain lies in the interval in about 95 of 100."""
    rng, held, worlds = np.random.default_rng(11), 0, 400
    true, chance, target, flow = 0.5, 0.4, 0.65, 80
    for _world in range(worlds):
        came = int(rng.poisson(flow))
        got = rng.binomial(came, true)
        won = rng.binomial(got, chance)
        said = what_if(
            ("s",), entered=(came,), conversion=Shares((got / came,), (came,)), chance=Shares((won / got,), (got,)),
            size=None, targets={"expected": Shares.given((target,))},
        )[0].more.interval  # fmt: skip
        assert said
        held += said.low <= flow * (target - true) * chance <= said.high
    assert 0.91 <= held / worlds <= 0.985


def test_one_page_has_it_in_milliseconds() -> None:
    _found()
    begun = time.perf_counter()
    for _ in range(5):
        _found()
    assert (time.perf_counter() - begun) / 5 < 0.1
