"""Coverage: what is open against what is missing, and what such pipelines brought before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coachbook.metrics import coverage as made
from coachbook.metrics.bridge import Amount
from coachbook.metrics.coverage import SMALLEST_N, TABLES, Coverage, Needed, coverage
from coachbook.metrics.velocity import ORG, Scope
from coachbook.model.findings import K_ANONYMOUS, Interval
from coachbook.model.periods import Period
from tests.oracles import coverage as oracle
from tests.oracles.velocity import Company, Deal, made_up
from tests.test_velocity import exported, one

MAY = Period.parse("2026-05")
TENTH = date(2026, 5, 10)
A: Scope = ("rep", "a")
PEOPLE: list[tuple[str, date, str | None]] = [
    ("a", date.min, "X"),
    ("b", date.min, "X"),
    ("c", date.min, "Y"),
]


def quota(holder: str, id_: str | None, minor: int, **more: Any) -> dict[str, Any]:
    return {
        "holder": holder, "holder_id": id_, "period": "2026-05", "basis": "signed", "amount_minor": minor,
        "currency": "USD", **more,
    }  # fmt: skip


def _found(
    folder: Path, deals: Iterable[Deal], quotas: list[dict[str, Any]], *, as_of: date = TENTH,
    period: Period = MAY, people: list[tuple[str, date, str | None]] = PEOPLE, tables: Mapping[str, Any] | None = None,
    **asked: Any,
) -> Mapping[Scope, Coverage]:  # fmt: skip
    desk = exported(folder, Company(list(deals), people), on=as_of, quotas=quotas, **(tables or {}))
    with desk.snapshots.current().known(as_of, TABLES) as connection:
        return coverage(connection, period, as_of, **asked)


def due(name: str, close: date, amount: int = 100, **more: Any) -> Deal:
    """Open, and still so at the end."""
    return one(name, date(2026, 4, 2), None, close_on=close, amount=amount, **more)


def test_by_hand(tmp_path: Path) -> None:
    """Quota 1,000, won 300; open and due in May 1,050, of which 50 overdue, 40 today: 1.5 times the 700 that are missing."""
    deals = [
        one("won", date(2026, 4, 1), date(2026, 5, 5), amount=300), due("past", date(2026, 5, 9), 50),
        due("today", TENTH, 40), due("last", date(2026, 5, 31), 960), due("next", date(2026, 6, 1), 9999), due("was", date(2026, 4, 30), 9999),
    ]  # fmt: skip
    found = _found(tmp_path, deals, [quota("rep", "a", 1000), quota("org", None, 3000)])
    mine = found[A]
    assert mine.times == 1.5
    assert (mine.pipeline, mine.overdue) == (Amount(3, 1050), Amount(1, 50))
    assert (mine.won_minor, mine.quota_minor, mine.remaining_minor, mine.is_met) == (300, 1000, 700, False)
    assert mine.reason is None
    assert found[ORG].times == 1050 / 2700
    assert (found["team", "X"].times, str(found["team", "X"].reason)) == (None, made.NO_QUOTA)
    assert found["rep", "c"].pipeline == Amount()


@pytest.mark.parametrize(
    ("minor", "times", "reason", "met"),
    [(301, 10.0, None, False), (300, None, made.MET, True), (299, None, made.MET, True), (0, None, made.QUOTA_OF_0, False),
     (-5, None, made.QUOTA_OF_0, False)],
)  # fmt: skip
def test_met_and_quotas_of_nothing(
    minor: int, times: float | None, reason: str | None, met: bool, tmp_path: Path
) -> None:
    deals = [one("won", date(2026, 4, 1), date(2026, 5, 5), amount=300), due("d", date(2026, 5, 20), 10)]
    mine = _found(tmp_path, deals, [quota("rep", "a", minor)])[A]
    assert (mine.times, mine.is_met) == (times, met)
    assert mine.reason == reason if reason is None else str(mine.reason) == reason
    assert mine.remaining_minor == (minor - 300 if minor > 0 else None)


def test_other_bases_and_other_periods_are_other_quotas(tmp_path: Path) -> None:
    others = [
        quota("rep", "a", 5, basis="collected"),
        quota("rep", "a", 7, period="2026-Q2"),
        quota("rep", "b", 900, basis=None),
    ]
    found = _found(tmp_path, [due("d", date(2026, 5, 20))], others)
    assert str(found[A].reason) == made.NO_QUOTA
    assert found["rep", "b"].times == 0


def test_quotas_and_amounts_in_another_currency(tmp_path: Path) -> None:
    """The quota at the rate of the period's first day, the pipeline at the as-of day's."""
    rates = [
        {"currency": "EUR", "into": "USD", "from_on": day, "rate": rate}
        for day, rate in ((date(2026, 1, 1), "2"), (date(2026, 5, 2), "3"), (date(2026, 5, 11), "9"))
    ]
    deal = due("d", date(2026, 5, 20), 100)
    desk = exported(
        tmp_path, Company([], PEOPLE), quotas=[quota("rep", "a", 500, currency="EUR")], fx_rates=rates
    )
    row = {
        "deal_id": "d", "rep_id": "a", "status": "open", "created_on": deal.created, "close_on": date(2026, 5, 20),
        "amount_minor": 100, "currency": "EUR",
    }  # fmt: skip
    desk.export(date(2026, 6, 30), deals=[row])
    with desk.snapshots.current().known(TENTH, TABLES) as connection:
        mine = coverage(connection, MAY, TENTH)[A]
    assert (mine.quota_minor, mine.pipeline) == (1000, Amount(1, 300))
    unrated = _found(tmp_path / "unrated", [deal], [quota("rep", "a", 500, currency="GBP")])[A]
    assert (unrated.times, unrated.quota_minor) == (None, None)
    assert "GBP" in str(unrated.reason)


def test_when_the_period_is_over_nothing_can_come(tmp_path: Path) -> None:
    deals = [due("d", date(2026, 5, 20), 10)]
    last = _found(tmp_path / "1", deals, [quota("rep", "a", 100)], as_of=date(2026, 5, 31))[A]
    assert (last.times, str(last.reason), str(last.needed.reason)) == (None, made.OVER, made.OVER)
    assert _found(tmp_path / "2", deals, [quota("rep", "a", 100)], as_of=date(2026, 5, 30))[A].times == 0.1


def test_shared_deals_count_by_their_parts_and_once_in_the_team(tmp_path: Path) -> None:
    splits = [
        {"deal_id": "won", "rep_id": rep, "kind": "revenue", "share": share}
        for rep, share in (("a", 0.75), ("b", 0.25))
    ]
    overlay = {"deal_id": "won", "rep_id": "c", "kind": "overlay", "share": 1.0}
    deals = [one("won", date(2026, 4, 1), date(2026, 5, 5), amount=300)]
    found = _found(tmp_path, deals, [], tables={"splits": [*splits, overlay]})
    assert {scope: found[scope].won_minor for scope in (A, ("rep", "b"), ("rep", "c"), ("team", "X"), ORG)} == {
        A: 225, ("rep", "b"): 75, ("rep", "c"): 0, ("team", "X"): 300, ORG: 300,
    }  # fmt: skip


# What is needed

APRIL_9 = date(2026, 4, 9)
"""The day on which April had 15 working days left, as May has on the evening of Sunday the 10th."""


def before(name: str, *, won: bool, amount: int = 100, worth: int | None = None, **more: Any) -> Deal:
    """Open and due in April on its 9th; then won with `worth`, or put off."""
    deal = one(name, date(2026, 3, 20), None, close_on=date(2026, 4, 20), amount=amount, **more)
    at = datetime(2026, 4, 15, 12)
    change = (
        {"status": "won", "close_on": date(2026, 4, 15), "amount": worth or amount}
        if won
        else {"close_on": date(2026, 7, 20)}
    )
    deal.steps.append((at, change))
    return deal


def _needed(folder: Path, deals: Iterable[Deal], scope: Scope = A, **asked: Any) -> Needed:
    return _found(folder, deals, [quota("rep", "a", 1000)], **asked)[scope].needed


def test_needed_is_one_over_what_such_a_pipeline_brought(tmp_path: Path) -> None:
    """5 of 20 won, one of them for three times its amount: 700 of 2,000."""
    deals = [before(f"d{n}", won=n < 5, worth=300 if n == 0 else None) for n in range(SMALLEST_N)]
    later = one("not in it", date(2026, 4, 13), date(2026, 4, 20), amount=5000)
    found = _needed(tmp_path, [*deals, later], since=date(2026, 4, 1))
    assert found.share == pytest.approx(0.35)
    assert found.times == pytest.approx(1 / 0.35)
    assert (found.n, found.periods, found.of, found.reason) == (20, 1, "rep", None)
    assert found.interval
    assert found.interval.low < found.times < found.interval.high  # type: ignore[operator]
    assert found.interval.level == 0.95


def test_too_few_of_ones_own_take_the_teams_and_then_the_companys(tmp_path: Path) -> None:
    """Wider only where at least five others stand behind it: less one's own it would tell of them."""
    mates, others = ([f"{team}{n}" for n in range(K_ANONYMOUS)] for team in ("x", "y"))
    people = [*PEOPLE, *((m, date.min, "X") for m in mates), *((o, date.min, "Y") for o in others)]
    own = [before(f"a{n}", won=True) for n in range(SMALLEST_N - K_ANONYMOUS)]
    team = [before(m, won=False, owner=m) for m in mates]
    rest = [before(f"c{n}", won=n < 5, owner=others[n % K_ANONYMOUS]) for n in range(SMALLEST_N)]

    def needed(case: str, deals: list[Deal]) -> Needed:
        return _needed(tmp_path / case, deals, since=date(2026, 4, 1), people=people)

    first = needed("1", [*own, *team, *rest])
    assert (first.of, first.n, first.share) == ("team", 20, 0.75)
    then = needed("2", [*own, *rest])
    assert (then.of, then.n, then.share) == ("org", 35, 20 / 35)
    few = needed("3", own)
    assert (few.times, few.interval, few.n, few.share) == (None, None, 15, 1)
    assert "15" in str(few.reason)
    four = needed("4", [*own, *team[1:], before("again", won=False, owner=mates[1])])
    assert (four.of, four.n, four.times) == ("rep", 15, None)


def test_reasons_why_nothing_is_known_to_be_needed(tmp_path: Path) -> None:
    lost = [before(f"d{n}", won=False) for n in range(SMALLEST_N)]
    desk = exported(tmp_path, Company(lost, PEOPLE), on=TENTH, quotas=[])
    with desk.snapshots.current().known(TENTH, TABLES) as connection:

        def ask(**asked: Any) -> Needed:
            return coverage(connection, MAY, TENTH, **asked)[A].needed

        assert str(ask().reason) == made.NO_YIELD
        early = ask(since=date(2026, 4, 10))
        assert (early.times, early.n, str(early.reason)) == (None, 0, made.NONE_EARLIER)
        assert str(ask(earlier=0).reason) == made.NONE_EARLIER
        assert ask(since=APRIL_9).n == 20
    assert _needed(tmp_path / "open", lost, as_of=date(2026, 4, 29)).n == 0, "April is not over yet"


def test_a_deal_in_two_pipelines_is_one_deal(tmp_path: Path) -> None:
    deals = []
    for n in range(SMALLEST_N):
        deal = one(f"d{n}", date(2026, 2, 2), None, close_on=date(2026, 3, 25), amount=100)
        deal.steps.append((datetime(2026, 3, 20, 9), {"close_on": date(2026, 4, 20)}))
        deal.steps.append(
            (datetime(2026, 4, 20, 9), {"status": "won" if n < 10 else "lost", "close_on": date(2026, 4, 20)})
        )
        deals.append(deal)
    found = _needed(tmp_path, deals)
    assert (found.n, found.periods, found.share) == (20, 2, 0.25)


@pytest.mark.parametrize(
    ("seed", "as_of"), [(4, date(2026, 5, 10)), (5, date(2026, 6, 17)), (6, date(2026, 6, 1))]
)
def test_a_count_evening_by_evening_finds_the_same(seed: int, as_of: date, tmp_path: Path) -> None:
    company = made_up(seed)
    period = Period.containing("month", as_of)
    now = period.span.first, period.span.after
    quotas = [quota("rep", rep, 2000, period=period.id) for rep in ("a", "b", "d")] + [
        quota("team", "Y", 10**6, period=period.id)
    ]
    desk = exported(tmp_path, company, quotas=quotas)
    with desk.snapshots.current().known(as_of, TABLES) as connection:
        found = coverage(connection, period, as_of)
    first = min(deal.created for deal in company.deals)
    looks: list[dict[Scope, dict[str, tuple[float, float]]]] = []
    for earlier in period.back(12)[:-1]:
        closing = earlier.span.first, earlier.span.after
        day = oracle.same_point(now, as_of, closing)
        if day >= first:
            looks.append(oracle.pipeline(company, day, closing, as_of))  # type: ignore[arg-type]
    pipes, won = oracle.pipeline(company, as_of, now, as_of), oracle.won(company, now, as_of)
    due_quota = {(q["holder"], q["holder_id"]): q["amount_minor"] for q in quotas}
    told = 0
    for scope, mine in found.items():
        pipe = pipes.get(scope, {})
        assert mine.pipeline == Amount(len(pipe), sum(int(worth) for worth, _won in pipe.values()))
        assert mine.won_minor == won.get(scope, 0)
        remaining = due_quota.get(scope, 0) - mine.won_minor
        assert mine.times == (
            mine.pipeline.minor / remaining if scope in due_quota and remaining > 0 else None
        )
        mine_before = [look[scope] for look in looks if scope in look]
        deals = {deal for look in mine_before for deal in look}
        if len(deals) >= SMALLEST_N:
            worth = sum(w for look in mine_before for w, _ in look.values())
            brought = sum(b for look in mine_before for _, b in look.values())
            assert (mine.needed.of, mine.needed.n) == (scope[0], len(deals))
            assert mine.needed.share == pytest.approx(brought / worth)
            told += 1
    assert told >= 2
    for scope, mine in found.items():
        own = {deal for look in looks for deal in look.get(scope, {})}
        if len(own) < SMALLEST_N:
            assert (mine.needed.of, mine.needed.times, mine.needed.n) == (scope[0], None, len(own)), (
                "so few people are nobody's reference"
            )


def test_the_interval_is_that_of_a_bootstrap_over_deals(tmp_path: Path) -> None:
    deals = [before(f"d{n}", won=n % 3 == 0, amount=100 + 40 * (n % 7)) for n in range(60)]
    found = _needed(tmp_path, deals, since=APRIL_9)
    rng = np.random.default_rng(3)
    worth = np.array([100 + 40 * (n % 7) for n in range(60)], dtype=float)
    won = np.where(np.arange(60) % 3 == 0, worth, 0)
    picks = rng.integers(60, size=(8000, 60))
    low, high = np.quantile(worth[picks].sum(axis=1) / won[picks].sum(axis=1), [0.025, 0.975])
    assert found.interval
    assert found.interval.low == pytest.approx(low, abs=0.08 * (high - low))
    assert found.interval.high == pytest.approx(high, abs=0.15 * (high - low))


@pytest.mark.parametrize(
    ("times", "verdict"), [(4.1, True), (4.0, True), (3.0, None), (2.0, None), (1.9, False), (None, None)]
)
def test_enough_only_beyond_the_whole_interval(times: float | None, verdict: bool | None) -> None:
    needed = Needed(3.0, Interval(2.0, 4.0), 1 / 3, 50, 4, "rep")
    said = Coverage(times, Amount(), Amount(), 0, 100, 100, is_met=False, needed=needed, reason=None)
    assert said.is_enough is verdict
    unknown = Needed(None, None, None, 0, 0, "rep")
    assert (
        Coverage(9.0, Amount(), Amount(), 0, 1, 1, is_met=False, needed=unknown, reason=None).is_enough
        is None
    )


def test_nobody_and_nothing(tmp_path: Path) -> None:
    found = _found(tmp_path, [], [quota("org", None, 10)], people=[])
    assert set(found) == {ORG}
    assert (found[ORG].times, found[ORG].needed.n) == (0, 0)
