"""Sales velocity: four parts of one cohort, and what each would move."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coachbook.metrics import velocity as made
from coachbook.metrics.velocity import (
    MANY,
    ORG,
    SMALLEST_N,
    Velocities,
    everybody,
    joint_draws,
    spread,
    velocity,
)
from coachbook.model.periods import Span
from coachbook.stats.sides import DRAWS
from tests.oracles import velocity as oracle
from tests.oracles.velocity import AS_OF, Company, Deal
from tests.warehouse import Desk

MARCH = Span(date(2026, 3, 1), date(2026, 4, 1))
SECOND = Span(date(2026, 4, 1), date(2026, 7, 1))


def exported(folder: Path, company: Company, *, on: date = AS_OF, **tables: Any) -> Desk:
    """A company of the oracle as one export."""
    desk = Desk(folder)
    desk.export(on, **rows(company), **tables)
    return desk


def rows(company: Company) -> dict[str, list[dict[str, Any]]]:
    """Its canonical tables."""
    deals, events = [], []
    for deal in company.deals:
        before: dict[str, Any] = {}
        for seq, (at, values) in enumerate(deal.steps):
            events += [
                {"deal_id": deal.id, "occurred_at": at, "field": name, "seq": seq, "old": _text(before.get(name)), "new": _text(value)}
                for name, value in values.items()
            ]  # fmt: skip
            before |= values
        deals.append(
            {
                "deal_id": deal.id, "rep_id": before["owner"], "stage": before["stage"], "status": before["status"],
                "created_on": deal.created, "close_on": before["close_on"], "amount_minor": before["amount"],
            }
        )  # fmt: skip
    people = [
        {"rep_id": rep, "effective_on": None if since == date.min else since, "name": rep, "team_id": team,
         "role": "rep", "start_on": None if since == date.min or rep == "b" else since}
        for rep, since, team in company.roster
    ]  # fmt: skip
    return {"deals": deals, "deal_events": events, "reps": people}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def one(name: str, created: date, closed: date | None, status: str = "won", **more: Any) -> Deal:
    """Created at nine, decided at noon."""
    born = {"stage": "A", "status": "open", "close_on": date(2026, 6, 1), "amount": 100, "owner": "a", **more}
    steps: list[oracle.Transaction] = [(datetime.combine(created, datetime.min.time()).replace(hour=9), born)]
    if closed:
        at = datetime.combine(closed, datetime.min.time()).replace(hour=12)
        steps.append((at, {"status": status, "close_on": closed}))
    return Deal(name, steps)


def _found(
    folder: Path, deals: Iterable[Deal], span: Span = MARCH, *, as_of: date = AS_OF, **asked: Any
) -> Velocities:
    roster = [("a", date.min, "X"), ("b", date.min, "X"), ("idle", date.min, "Y")]
    with exported(folder, Company(list(deals), roster)).snapshots.current().known(as_of) as connection:
        return velocity(connection, span, as_of, **asked)


def test_by_hand(tmp_path: Path) -> None:
    """Of 31 days: open on 10 + 20 + 31 of their ends; 1 of 2 won, at 600, after 40 days."""
    deals = [
        one("won", date(2026, 1, 30), date(2026, 3, 11), amount=600),
        one("lost", date(2026, 2, 1), date(2026, 3, 21), "lost"), one("open", date(2026, 2, 1), None),
        one("later", date(2026, 4, 1), None), one("before", date(2026, 1, 5), date(2026, 2, 28)),
    ]  # fmt: skip
    found = _found(tmp_path, deals, since=MARCH.first)
    for scope in (("rep", "a"), ("team", "X"), ORG):
        mine = found.of(*scope)
        assert mine.open_deals == pytest.approx(61 / 31)
        assert (mine.win_rate, mine.size, mine.cycle) == (0.5, 600, 40)
        assert mine.per_day.value == pytest.approx(61 / 31 * 0.5 * 600 / 40)
        assert mine.won_per_day.value == pytest.approx(600 / 31)
        assert (mine.decided, mine.won, mine.days, mine.per_day.n) == (2, 1, 31, 1)
    assert found.seen == MARCH
    assert found.reason is None


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("span", "as_of"), [(SECOND, AS_OF), (SECOND, date(2026, 5, 4)), (MARCH, AS_OF)])
def test_a_walk_day_by_day_finds_the_same(seed: int, span: Span, as_of: date, tmp_path: Path) -> None:
    company = oracle.made_up(seed)
    after = min(span.after, as_of + timedelta(days=1))
    expected = oracle.velocity(company, span.first, after, as_of)
    with exported(tmp_path, company).snapshots.current().known(as_of) as connection:
        found = velocity(connection, span, as_of)
        assert {scope for scope in expected if scope[0] != "org"} <= set(found.scopes)
    length = (after - span.first).days
    seen = 0
    for scope, mine in found.scopes.items():
        sums = {"open_days": 0.0, "decided": 0.0, "won": 0.0, "minor": 0.0, **expected.get(scope, {})}
        assert mine.open_deals * length == pytest.approx(sums["open_days"])
        assert (mine.decided, mine.won, mine.days) == (sums["decided"], sums["won"], length)
        assert mine.won_per_day.value == pytest.approx(sums["minor"] / length)
        if sums["won"] and sums["open_days"] and sums.get("cycle_days"):
            assert mine.per_day.value == pytest.approx(oracle.per_day(sums, length))
            seen += 1
        else:
            assert mine.per_day.value is None
            assert mine.per_day.reason
    assert seen >= 3


def test_reps_and_nobody_add_up_to_the_company(tmp_path: Path) -> None:
    company = oracle.made_up(3)
    with exported(tmp_path, company).snapshots.current().known(AS_OF) as connection:
        found = velocity(connection, SECOND, AS_OF).scopes
    nobody = oracle.velocity(
        Company(list(company.deals), []), SECOND.first, SECOND.after, AS_OF
    )[ORG]  # fmt: skip
    assert found[ORG].open_deals * 91 == pytest.approx(nobody["open_days"])
    assert sum(v.decided for (kind, _id), v in found.items() if kind == "rep") < found[ORG].decided


def test_nobodys_and_an_idle_rep_have_a_reason(tmp_path: Path) -> None:
    idle = _found(tmp_path, [one("lost", date(2026, 2, 1), date(2026, 3, 9), "lost", owner="b")])
    assert str(idle.of("rep", "idle").per_day.reason) == made.NONE_DECIDED
    assert idle.of("rep", "idle").won_per_day.value == 0
    none_won = idle.of("rep", "b")
    assert (none_won.per_day.value, none_won.win_rate, none_won.size) == (None, 0, None)
    assert str(none_won.per_day.reason) == made.NONE_WON


def test_a_deal_closed_before_it_was_created_has_no_cycle_but_counts(tmp_path: Path) -> None:
    wrong = one("wrong", date(2026, 3, 9), date(2026, 3, 9), amount=300)
    wrong.steps[-1][1]["close_on"] = date(2026, 3, 2)
    found = _found(tmp_path, [wrong, one("w", date(2026, 3, 2), date(2026, 3, 22))]).of("org")
    assert (found.won, found.size, found.cycle) == (2, 200, 20)
    assert found.per_day.value == pytest.approx(20 / 31 * 1 * 200 / 20)


def test_a_cycle_of_no_days_is_no_divisor(tmp_path: Path) -> None:
    found = _found(
        tmp_path, [one("quick", date(2026, 3, 9), date(2026, 3, 9)), one("o", date(2026, 3, 2), None)]
    ).of("org")
    assert (found.per_day.value, found.cycle) == (None, 0)
    assert str(found.per_day.reason) == made.NO_CYCLE


def test_a_rep_who_never_held_what_was_won_has_no_velocity(tmp_path: Path) -> None:
    deals = [one("w", date(2026, 2, 1), date(2026, 3, 1)), one("o", date(2026, 2, 1), None, owner="b")]
    found = _found(tmp_path, deals)
    assert str(found.of("rep", "a").per_day.reason) == made.NONE_OPEN
    assert found.of("org").per_day.value == pytest.approx(1 * 1 * 100 / 28)


def test_without_a_deal_or_before_the_history_nothing_is_said(tmp_path: Path) -> None:
    deals = [one("w", date(2026, 2, 1), date(2026, 3, 9))]
    before = _found(tmp_path / "1", deals, since=date(2026, 4, 1))
    assert (before.seen, before.of("org").per_day.value, before.of("rep", "x").days) == (None, None, 0)
    assert "April" in str(before.reason) or "2026" in str(before.reason)
    half = _found(tmp_path / "2", deals, since=date(2026, 3, 9))
    assert half.seen == Span(date(2026, 3, 9), MARCH.after)
    assert half.of("org").days == 23
    ahead = _found(tmp_path / "3", deals, Span(date(2027, 1, 1), date(2027, 2, 1)))
    assert str(ahead.of("org").per_day.reason) == made.NO_DAYS


def _many(won: int, lost: int, *, spread_: int = 7) -> list[Deal]:
    return [
        one(f"w{n}", date(2026, 1, 6) + timedelta(days=n % spread_), date(2026, 3, 2) + timedelta(days=n % 28), amount=100 + 37 * (n % 11))
        for n in range(won)
    ] + [one(f"l{n}", date(2026, 1, 20), date(2026, 3, 5) + timedelta(days=n % 20), "lost") for n in range(lost)]  # fmt: skip


def test_an_interval_takes_ten_won_deals(tmp_path: Path) -> None:
    nine = _found(tmp_path / "9", _many(SMALLEST_N - 1, 10)).of("org").per_day
    assert (nine.interval, nine.n, nine.n_needed) == (None, 9, SMALLEST_N)
    assert nine.value
    assert nine.reason
    ten = _found(tmp_path / "10", _many(SMALLEST_N, 10)).of("org").per_day
    assert ten.interval
    assert ten.interval.level == 0.95
    assert ten.interval.low < ten.value < ten.interval.high  # type: ignore[operator]
    assert ten.reason is None


def test_the_interval_is_that_of_a_bootstrap_over_deals(tmp_path: Path) -> None:
    """Written out: as many deals as chance brings, each with all that it brings, so that the parts move together."""
    deals = _many(60, 50)
    found = _found(tmp_path, deals).of("rep", "a")
    own = []
    for deal in deals:
        sums = oracle.velocity(Company([deal], []), MARCH.first, MARCH.after, AS_OF)[oracle.ORG]
        own.append(
            [sums.get(k, 0.0) for k in ("open_days", "decided", "won", "minor", "cycled", "cycle_days")]
        )
    table, rng = np.array(own), np.random.default_rng(5)
    drawn = np.array(
        [table[rng.integers(len(table), size=rng.poisson(len(table)))].sum(axis=0) for _ in range(4000)]
    )
    open_days, decided, won, minor, cycled, cycle = drawn.T
    values = open_days / 31 * won / decided * (minor / won) / (cycle / cycled)
    for figure, draws in ((found.per_day, values), (found.won_per_day, minor / 31)):
        low, high = np.quantile(draws, [0.025, 0.975])
        assert figure.interval
        width = high - low
        assert figure.interval.low == pytest.approx(low, abs=0.09 * width)
        assert figure.interval.high == pytest.approx(high, abs=0.09 * width)


def test_the_order_of_deals_and_a_second_look_change_nothing(tmp_path: Path) -> None:
    deals = _many(14, 9)
    straight, turned = (_found(tmp_path / str(n), d) for n, d in enumerate((deals, deals[::-1])))
    assert straight == turned


def test_one_weight_per_deal_wherever_it_counts() -> None:
    """Two scopes that share a deal move together in it; columns of one deal too."""
    place, unit = np.array([1, 2, 0, 1]), np.array([0, 2, 0, 1])
    values = np.array([[3.0, 0.0], [1.0, 1.0], [1.0, 2.0], [5.0, 7.0]])
    draws = joint_draws(place, unit, values, size=4, seed=7)
    assert draws.shape == (2, 4, DRAWS)
    first, third = draws[0, 0], draws[1, 2]
    assert np.array_equal(draws[1, 0], 2 * first)
    assert np.array_equal(draws[0, 1] - 3 * first, draws[1, 1] / 7 * 5)
    assert not draws[:, 3].any()
    assert first.mean() == pytest.approx(1, abs=0.12)
    assert first.var() == pytest.approx(1, abs=0.25)
    assert abs(np.corrcoef(first, third)[0, 1]) < 0.15
    assert np.array_equal(draws, joint_draws(place, unit, values, size=4, seed=7))
    assert joint_draws(place[:0], unit[:0], values[:0], size=2, seed=1).shape == (2, 2, DRAWS)


def test_everybody_is_there_and_rows_go_to_their_scopes(tmp_path: Path) -> None:
    with exported(tmp_path, oracle.made_up(1, 3)).snapshots.current().known(AS_OF) as connection:
        scopes = everybody(connection)
        reps = connection.execute(
            "SELECT 'b' AS rep_id, 'Y' AS team_id UNION ALL SELECT NULL, NULL UNION ALL SELECT 'e', NULL"
        ).df()
    assert scopes == [*(("rep", r) for r in "abcde"), ("team", "X"), ("team", "Y"), ORG]
    line, place = spread(reps.sort_values("rep_id", na_position="last"), scopes)
    assert sorted(zip(line.tolist(), place.tolist(), strict=True)) == [
        (0, 1),
        (0, 6),
        (0, 7),
        (1, 4),
        (1, 7),
        (2, 7),
    ]


def test_many_deals_are_drawn_by_mean_and_covariance() -> None:
    """As the weights would have it; a scope in which one column is rare keeps its weights."""
    n = 4 * MANY
    rng = np.random.default_rng(2)
    unit, place = np.tile(np.arange(n), 2), np.repeat([0, 1], n)
    first = rng.exponential(size=n)
    table = np.stack([first, first + rng.random(n)], axis=1)
    rare = np.ones((n, 2)) * (np.arange(n) < 20)[:, None]
    draws = joint_draws(place, unit, np.concatenate([table, rare]), size=3, seed=1)
    for at, values in enumerate((table, rare)):
        assert np.allclose(draws[:, at].mean(axis=1), values.sum(axis=0), rtol=0.05)
        assert np.cov(draws[:, at]) == pytest.approx(values.T @ values, rel=0.15)
    assert not draws[:, 2].any()
    assert np.array_equal(draws[:, 1], draws[:, 1].round()), "twenty deals, each some times"
    assert not np.any(draws[:, 0] == draws[:, 0].round())
    twice = joint_draws(np.zeros(2 * n, int), unit, np.concatenate([table, table]) / 2, size=1, seed=1)
    alone = joint_draws(np.zeros(n, int), unit[:n], table, size=1, seed=1)
    assert np.allclose(np.cov(twice[:, 0]), np.cov(alone[:, 0])), "two rows of one deal are one deal"
