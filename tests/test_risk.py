"""Deals at risk: flags that the past bears out, and no others."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from coachbook.metrics.risk import FEWEST, HORIZON_DAYS, Risk, risk
from tests.warehouse import Desk

AS_OF = date(2026, 6, 30)
LATE, IN_TIME = date(2025, 12, 1), date(2026, 3, 20)
"""Close dates before and after the only month's end at which the deals of the past are open, 31 December."""


def _deal(number: int, **more: Any) -> dict[str, Any]:
    given = {
        "deal_id": f"d{number:03}",
        "rep_id": "r",
        "stage": "A",
        "amount_minor": 100,
        "created_on": date(2025, 12, 20),
    }
    return {"close_on": IN_TIME, **given, **more}


def _event(
    deal: dict[str, Any], field: str, old: Any, new: Any, at: datetime, seq: int = 0
) -> dict[str, Any]:
    return {"deal_id": deal["deal_id"], "occurred_at": at, "field": field, "old": old, "new": new, "seq": seq}


def _decided(deal: dict[str, Any], status: str, at: datetime) -> list[dict[str, Any]]:
    """Its whole log: born with what it shows, then decided."""
    born = datetime(2025, 12, 20, 9)
    shown = {"stage": deal["stage"], "status": "open", "close_on": str(deal["close_on"])}
    first = [_event(deal, field, None, value, born, seq) for seq, (field, value) in enumerate(shown.items())]
    deal["status"] = status
    return [*first, _event(deal, "status", "open", status, at)]


def _past(
    late: int, late_won: int, others: int, others_won: int, at: datetime
) -> tuple[list[Any], list[Any]]:
    deals, events = [], []
    for number in range(late + others):
        is_late = number < late
        won = number < late_won or late <= number < late + others_won
        deal = _deal(number, close_on=LATE if is_late else IN_TIME)
        events += _decided(deal, "won" if won else "lost", at)
        deals.append(deal)
    return deals, events


def _risk(folder: Path, deals: list[Any], events: list[Any], **asked: Any) -> Risk:
    desk = Desk(folder)
    desk.export(AS_OF, deals=deals, deal_events=events)
    with desk.snapshots.current().known(AS_OF) as connection:
        return risk(connection, AS_OF, **asked)


DECIDED = datetime(2026, 1, 20, 10)


@pytest.mark.parametrize(
    ("counts", "holds"),
    [
        ((40, 2, 40, 20), True),  # 5 % against 50 %
        ((40, 20, 40, 2), False),  # the flag goes with winning
        ((40, 10, 40, 11), False),  # no difference
        ((FEWEST - 1, 0, 200, 150), False),  # too few wore it
    ],
)
def test_a_flag_is_kept_only_if_deals_that_wore_it_were_won_less(
    counts: tuple[int, int, int, int], holds: bool, tmp_path: Path
) -> None:
    deals, events = _past(*counts, DECIDED)
    now = _deal(900, created_on=date(2026, 6, 1), close_on=date(2026, 6, 15))
    found = _risk(tmp_path, [*deals, now], events)
    record = next(r for r in found.records if r.flag == "overdue")
    assert (record.n, record.won, record.without_n, record.without_won) == counts
    assert record.holds is holds
    assert [deal.deal_id for deal in found.deals] == (["d900"] if holds else [])


def test_lift_is_the_ratio_of_the_shares(tmp_path: Path) -> None:
    record = next(r for r in _risk(tmp_path, *_past(40, 4, 50, 20, DECIDED)).records if r.flag == "overdue")
    assert record.lift == pytest.approx((4 / 40) / (20 / 50))
    none_won = next(
        r for r in _risk(tmp_path / "none", *_past(40, 4, 50, 0, DECIDED)).records if r.flag == "overdue"
    )
    assert none_won.lift is None


def test_a_win_after_the_horizon_is_no_win_within_it(tmp_path: Path) -> None:
    """Each deal is looked at once, on an end of a month that its id draws; all are won on one day in March."""
    won_at = datetime(2026, 3, 31, 10)
    deals = [_deal(n, created_on=date(2025, 10, 1)) for n in range(60)]
    desk = Desk(tmp_path)
    desk.export(AS_OF, deals=deals, deal_events=[e for d in deals for e in _decided(d, "won", won_at)])
    with desk.snapshots.current().known(AS_OF) as connection:
        risk(connection, AS_OF)
        looked = connection.execute("SELECT deal_id, day, won FROM flagged").fetchall()
    assert sorted(deal for deal, _day, _won in looked) == [deal["deal_id"] for deal in deals]
    assert {day for _deal, day, _won in looked} >= {date(2025, 12, 31), date(2026, 1, 31)}
    for _deal_id, day, won in looked:
        assert won is ((won_at.date() - day).days <= HORIZON_DAYS)
    assert {won for _deal, _day, won in looked} == {False, True}


def test_what_is_worn(tmp_path: Path) -> None:
    """Pushed twice, changed lately; never touched; touched by an activity alone."""
    pushed, still, called = (
        _deal(n, created_on=date(2026, 1, 5), close_on=date(2026, 9, 1)) for n in range(3)
    )
    events = [
        _event(pushed, "close_on", "2026-03-01", "2026-06-01", datetime(2026, 2, 1, 9)),
        _event(pushed, "close_on", "2026-06-01", "2026-09-01", datetime(2026, 6, 20, 9)),
    ]
    desk = Desk(tmp_path)
    desk.export(AS_OF, deals=[pushed, still, called], deal_events=events)
    with desk.snapshots.current().known(AS_OF) as connection:
        risk(connection, AS_OF, touches="(SELECT 'd002' AS deal_id, DATE '2026-06-10' AS day)")
        worn = connection.execute(
            "SELECT deal_id, overdue, pushed, quiet, slow FROM flagged WHERE day = ? ORDER BY deal_id",
            [AS_OF],
        ).fetchall()
    assert worn == [
        ("d000", False, True, False, False), ("d001", False, False, True, False), ("d002", False, False, False, False),
    ]  # fmt: skip


def test_slow_is_longer_than_most_deals_that_were_won(tmp_path: Path) -> None:
    """Won deals stayed 31 days; of two open ones one has been there for longer."""
    deals, events = _past(0, 0, FEWEST, FEWEST, DECIDED)
    long, short = _deal(900, created_on=date(2026, 5, 29)), _deal(901, created_on=date(2026, 5, 31))
    desk = Desk(tmp_path)
    desk.export(AS_OF, deals=[*deals, long, short], deal_events=events)
    with desk.snapshots.current().known(AS_OF) as connection:
        risk(connection, AS_OF)
        worn = connection.execute("SELECT deal_id FROM flagged WHERE slow AND day = ?", [AS_OF]).fetchall()
    assert worn == [("d900",)]
