"""What was to close in a period, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from coachbook.metrics.bridge import Amount
from coachbook.metrics.slippage import OUTCOMES, Slippage, slippage
from coachbook.model.periods import Span
from tests.warehouse import Desk

MARCH = Span(date(2026, 3, 1), date(2026, 4, 1))
AS_OF = date(2026, 4, 30)
BORN = datetime(2026, 1, 5, 9)
Step = tuple[datetime, str, str]


def _deal(
    name: str, *steps: Step, close: str = "2026-03-15", amount: str = "100", owner: str = "r1", **more: Any
) -> Any:
    """A deal's row and its log, from its birth with what it was to its last change."""
    now = {"stage": "A", "status": "open", "close_on": close, "amount": amount, "owner": owner}
    events = [
        {"deal_id": name, "occurred_at": BORN, "field": field, "old": None, "new": value, "seq": seq}
        for seq, (field, value) in enumerate(now.items())
    ]
    for seq, (at, field, new) in enumerate(steps, start=10):
        events.append(
            {"deal_id": name, "occurred_at": at, "field": field, "old": now[field], "new": new, "seq": seq}
        )
        now[field] = new
    row = {
        "deal_id": name, "rep_id": now["owner"], "stage": now["stage"], "status": now["status"], "created_on": BORN.date(),
        "close_on": date.fromisoformat(now["close_on"]) if now["close_on"] else None, "amount_minor": int(now["amount"]),
    }  # fmt: skip
    return {**row, **more}, events


def _found(
    folder: Path, *deals: Any, as_of: date = AS_OF, **tables: Any
) -> Mapping[tuple[str, str], Slippage]:
    desk = Desk(folder)
    people = [
        {"rep_id": r, "name": r, "team_id": t, "role": "rep"}
        for r, t in (("r1", "t1"), ("r2", "t1"), ("r3", "t2"))
    ]
    events = [event for _row, log in deals for event in log]
    desk.export(AS_OF, deals=[row for row, _log in deals], deal_events=events, reps=people, **tables)
    with desk.snapshots.current().known(as_of) as connection:
        return slippage(connection, MARCH, as_of)


def _at(day: int, month: int = 3) -> datetime:
    return datetime(2026, month, day, 12)


CASES = {
    "won": ([(_at(10), "status", "won")], "won"),
    "lost": ([(_at(10), "status", "lost")], "lost"),
    "put off": ([(_at(10), "close_on", "2026-04-20")], "slipped"),
    "put off to the first day after": ([(_at(10), "close_on", "2026-04-01")], "slipped"),
    "put off inside": ([(_at(10), "close_on", "2026-03-31")], "overdue"),
    "forgotten": ([], "overdue"),
    "without a date any more": ([(_at(10), "close_on", "")], "slipped"),
    "put off and won inside": ([(_at(10), "close_on", "2026-04-20"), (_at(20), "status", "won")], "won"),
    "won afterwards": ([(_at(2, 4), "status", "won")], "overdue"),
    "put off before": ([(_at(10, 2), "close_on", "2026-05-01")], None),
    "decided before": ([(_at(10, 2), "status", "won")], None),
    "pulled in later": ([(_at(10, 2), "close_on", "2026-05-01"), (_at(9), "close_on", "2026-03-20")], None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_became_of_a_deal(case: str, tmp_path: Path) -> None:
    steps, outcome = CASES[case]
    found = _found(tmp_path, _deal("d", *steps))
    counted = {} if outcome is None else {outcome: Amount(1, 100)}
    for scope in (("rep", "r1"), ("team", "t1"), ("org", "")):
        seen = found[scope].outcomes if scope in found else {}
        assert {name: a for name, a in seen.items() if a.count} == counted


def test_before_the_period_is_over_what_is_to_come_is_due(tmp_path: Path) -> None:
    deals = (
        _deal("coming", close="2026-03-20"),
        _deal("today", close="2026-03-14"),
        _deal("passed", close="2026-03-13"),
    )
    found = _found(tmp_path, *deals, as_of=date(2026, 3, 14))["org", ""]
    assert {name: a.count for name, a in found.outcomes.items() if a.count} == {"due": 1, "overdue": 2}


def test_it_stays_with_who_had_it_when_the_period_began(tmp_path: Path) -> None:
    deals = (
        _deal("handed on", (_at(9), "owner", "r3"), (_at(10), "close_on", "2026-05-01"), amount="70"),
        _deal("own", owner="r3", amount="30"), _deal("nobody's", owner="gone", amount="5"),
    )  # fmt: skip
    found = _found(tmp_path, *deals)
    assert {scope: s.due.minor for scope, s in found.items()} == {
        ("rep", "r1"): 70, ("rep", "r3"): 30, ("team", "t1"): 70, ("team", "t2"): 30, ("org", ""): 105,
    }  # fmt: skip
    assert (found["org", ""].share, found["org", ""].share_of_value) == (1 / 3, 70 / 105)


def test_worth_is_that_of_the_beginning_at_its_rate(tmp_path: Path) -> None:
    rates = [
        {"currency": "EUR", "into": "USD", "from_on": date(2026, month, 1), "rate": rate}
        for month, rate in ((1, "2"), (3, "3"), (4, "9"))
    ]
    deal, events = _deal("d", (_at(10), "amount", "500"), (_at(11), "close_on", "2026-05-01"), currency="EUR")
    for event in events:
        event["currency"] = "EUR"
    assert _found(tmp_path, (deal, events), fx_rates=rates)["org", ""].outcomes["slipped"] == Amount(1, 300)


def test_pushes_are_later_days_while_open_but_not_in_the_closing_transaction(tmp_path: Path) -> None:
    closing = _at(20)
    deal = _deal(
        "d", (_at(10, 2), "close_on", "2026-03-16"), (_at(3), "close_on", "2026-03-20"), (_at(4), "close_on", "2026-03-18"),
        (_at(5), "close_on", "2026-04-01"), (closing, "close_on", "2026-04-20"), (closing, "status", "won"),
    )  # fmt: skip
    found = _found(tmp_path, deal)["rep", "r1"]
    assert (found.pushes, found.push_days) == (2, 4 + 14)


def test_the_interval_is_wilsons_and_few_deals_have_none(tmp_path: Path) -> None:
    deals = [_deal(f"d{n}", *([(_at(10), "close_on", "2026-05-01")] if n < 2 else [])) for n in range(5)]
    found = _found(tmp_path / "five", *deals)["org", ""]
    assert found.interval
    assert (found.interval.low, found.interval.high) == pytest.approx(
        proportion_confint(2, 5, method="wilson")
    )
    assert _found(tmp_path / "four", *deals[:4])["org", ""].interval is None


def test_by_value_few_large_deals_tell_little(tmp_path: Path) -> None:
    """Kish's n of ten alike is 10; of one that is a thousand times as large as nine others it is hardly more than 1."""
    off = [(_at(10), "close_on", "2026-05-01")]
    alike = [_deal(f"d{n}", *(off if n < 3 else [])) for n in range(10)]
    found = _found(tmp_path / "alike", *alike)["rep", "r1"]
    assert found.interval_of_value == found.interval
    mixed = [_deal(f"d{n}", *(off if n < 3 else []), amount="300" if n % 2 else "100") for n in range(10)]
    of_value = _found(tmp_path / "mixed", *mixed)["org", ""].interval_of_value
    assert of_value
    assert (of_value.low, of_value.high) == pytest.approx(
        proportion_confint(500 / 2000 * (n := 2000**2 / (5 * 300**2 + 5 * 100**2)), n, method="wilson")
    )
    large = [_deal(f"d{n}", *(off if n < 3 else []), amount="100000" if not n else "100") for n in range(10)]
    assert _found(tmp_path / "large", *large)["org", ""].interval_of_value is None


_STEPS = st.lists(
    st.tuples(
        st.datetimes(datetime(2026, 2, 20), datetime(2026, 4, 10)).map(lambda at: at.replace(microsecond=0)),
        st.one_of(
            st.tuples(st.just("close_on"), st.sampled_from(["2026-02-27", "2026-03-01", "2026-03-31", "2026-04-01", ""])),
            st.tuples(st.just("status"), st.sampled_from(["open", "won", "lost"])),
            st.tuples(st.just("owner"), st.sampled_from(["r1", "r2", "r3"])),
        ),
    ),
    max_size=6,
    unique_by=lambda step: step[0],
)  # fmt: skip


@given(logs=st.lists(_STEPS, min_size=1, max_size=6))
@settings(max_examples=10, deadline=None)
def test_a_plain_reading_of_the_log_says_the_same(logs: list[list[tuple[datetime, tuple[str, str]]]]) -> None:
    expected: Counter[tuple[str, str, str]] = Counter()
    deals = []
    for number, log in enumerate(logs):
        steps = [(at, field, new) for at, (field, new) in sorted(log)]
        deals.append(_deal(f"d{number}", *steps))
        states = []
        for border in (datetime(2026, 3, 1), datetime(2026, 4, 1)):
            born = {"status": "open", "close_on": "2026-03-15", "owner": "r1"}
            states.append(born | {field: new for at, field, new in steps if at < border})
        then, at_end = states
        if then["status"] != "open" or not "2026-03-01" <= then["close_on"] < "2026-04-01":
            continue
        put_off = "slipped" if at_end["close_on"] >= "2026-04-01" or not at_end["close_on"] else "overdue"
        outcome = at_end["status"] if at_end["status"] != "open" else put_off
        team = {"r1": "t1", "r2": "t1", "r3": "t2"}[then["owner"]]
        for scope in (("rep", then["owner"]), ("team", team), ("org", "")):
            expected[*scope, outcome] += 1
    found = _found(Path(mkdtemp()), *deals)
    seen = {(*scope, name): s.outcomes[name].count for scope, s in found.items() for name in OUTCOMES}
    assert {key: n for key, n in seen.items() if n} == dict(expected)
