"""Histories: what was known of a deal at a day, out of successive exports and recorded events."""

from __future__ import annotations

import itertools
import shutil
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from coachbook.errors import Refused
from coachbook.model.tables import DEALS
from coachbook.settings import Settings
from tests.oracles import history
from tests.oracles.history import Export
from tests.warehouse import Desk

D = [date(2026, 1, day) for day in range(1, 32)]
STATE = "SELECT deal_id, stage, status, own_minor, close_on, owner_id FROM known ORDER BY deal_id"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def event(deal: str, at: datetime, field: str, old: Any, new: Any, **more: Any) -> dict[str, Any]:
    return {"deal_id": deal, "occurred_at": at, "field": field, "old": old, "new": new, "seq": 0, **more}


# Against an oracle, whatever the exports hold and in whatever order they come

VALUES = st.fixed_dictionaries(
    {
        "stage": st.sampled_from(["A", "B", None]),
        "status": st.sampled_from(["open", "open", "won", "lost"]),
        "amount_minor": st.sampled_from([100, 200, None]),
        "close_on": st.sampled_from([None, D[6], D[20]]),
        "rep_id": st.sampled_from(["r1", "r2", None]),
        "modified_at": st.sampled_from([None, None, datetime(2026, 1, 9, 10), datetime(2026, 1, 13, 11)]),
    }
)
CHANGES = st.builds(
    lambda day, hour, field, old, new, recorded: {
        "occurred_at": datetime(2026, 1, day, hour), "field": field, "seq": 0, "old": old if field != "status" else None,
        "new": new if field != "status" else "won", "recorded_at": recorded,
    },
    st.integers(4, 16), st.integers(8, 18), st.sampled_from(["stage", "owner", "status"]),
    st.sampled_from([None, "P"]), st.sampled_from(["A", "Q", None]),
    st.sampled_from([None, datetime(2026, 1, 18, 9)]),
)  # fmt: skip


@st.composite
def some_exports(draw: st.DrawFn) -> list[Export]:
    days = draw(st.lists(st.integers(7, 20), min_size=1, max_size=4, unique=True))
    made = {"x": D[4], "y": D[9]}
    exports = []
    for day in days:
        shown = {deal: {**draw(VALUES), "created_on": made[deal]} for deal in made if draw(st.integers(0, 3))}
        changes = draw(st.lists(CHANGES, max_size=3, unique_by=lambda c: (c["occurred_at"], c["field"])))
        events = [{**change, "deal_id": draw(st.sampled_from(["x", "y"]))} for change in changes]
        exports.append(Export(D[day - 1], shown, draw(st.booleans()), events))
    keys = [(e["deal_id"], e["occurred_at"], e["field"]) for export in exports for e in export.events]
    if len(set(keys)) < len(keys):  # a corrected event has a test of its own
        for export in exports[1:]:
            export.events = []
    return exports


def bring(desk: Desk, exports: list[Export]) -> None:
    for export in exports:
        rows = [{"deal_id": deal, **row} for deal, row in export.rows.items()]
        more = {"deal_events": export.events} if export.events else {}
        desk.export(export.day, complete=export.complete, deals=rows, **more)


def expected(exports: list[Export], day: date) -> list[tuple[Any, ...]]:
    rows = []
    for deal in ("x", "y"):
        state = history.state(exports, deal, on=day, known_on=day)
        created = next((e.rows[deal]["created_on"] for e in exports if deal in e.rows), None)
        if state and state["status"] != "deleted" and created and created <= day:
            amount = state["amount"]
            rows.append(
                (deal, state["stage"], state["status"], None if amount is None else int(amount), state["close_on"], state["owner"])
            )  # fmt: skip
    return rows


SLOW = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.generate],
}


@settings(max_examples=5, derandomize=True, **SLOW)
@given(some_exports(), st.randoms(use_true_random=False))
def test_every_day_is_known_as_an_oracle_knows_it_in_any_order_of_import(
    exports: list[Export], random: Any
) -> None:
    compare(exports, random)


@pytest.mark.verify
@settings(max_examples=120, **SLOW)
@given(some_exports(), st.randoms(use_true_random=False))
def test_more_days_are_known_as_an_oracle_knows_them(exports: list[Export], random: Any) -> None:
    compare(exports, random)


def compare(exports: list[Export], random: Any) -> None:
    folder = Path(mkdtemp())
    try:
        shuffled = list(exports)
        random.shuffle(shuffled)
        ordered, mixed = Desk(folder / "ordered"), Desk(folder / "mixed")
        bring(ordered, sorted(exports, key=lambda export: export.day))
        bring(mixed, shuffled)
        for table in ("deals", "deal_events", "exports", "deal_history", "deal_state", "stage_visits"):
            kept = f"SELECT DISTINCT t::VARCHAR FROM (FROM snapshot.{table}) AS t ORDER BY 1"
            assert ordered.ask(D[25], kept) == mixed.ask(D[25], kept), table
        for day in (D[4], D[8], D[12], D[18], D[25]):
            assert mixed.ask(day, STATE) == expected(exports, day), day
    finally:
        shutil.rmtree(folder)


# One trap each


def test_a_decided_deal_was_open_before_its_close_date_and_its_close_date_unknown(desk: Desk) -> None:
    desk.export(D[19], deals=[{"deal_id": "x", "status": "won", "stage": "Closed", "close_on": D[11], "rep_id": "r", "amount_minor": 5}])  # fmt: skip
    assert desk.ask(D[3], STATE) == []
    assert desk.ask(D[10], STATE) == [("x", None, "open", 5, None, "r")]
    assert desk.ask(D[11], STATE) == [("x", "Closed", "won", 5, D[11], "r")]


def test_a_later_export_dates_changes_by_the_sources_stamp_or_else_by_its_own_day(desk: Desk) -> None:
    seen = {"deal_id": "x", "stage": "A", "rep_id": "r", "amount_minor": 5}
    desk.export(D[9], deals=[seen])
    desk.export(D[19], deals=[{**seen, "stage": "B"}])
    desk.export(D[29], deals=[{**seen, "stage": "C", "modified_at": datetime(2026, 1, 25, 9)}])
    assert [desk.ask(day, STATE)[0][1] for day in (D[9], D[18], D[19], D[23], D[24])] == [
        "A",
        "A",
        "B",
        "B",
        "C",
    ]


def test_what_was_recorded_late_is_not_known_early_and_stays_in_its_place(desk: Desk) -> None:
    entered = event("x", datetime(2026, 1, 8, 9), "stage", "A", "B", recorded_at=datetime(2026, 1, 20, 9))
    moved = event("x", datetime(2026, 1, 12, 9), "stage", "B", "C", recorded_at=datetime(2026, 1, 12, 9))
    desk.export(D[29], deals=[{"deal_id": "x", "stage": "C"}], deal_events=[entered, moved])
    assert [desk.ask(day, STATE)[0][1] for day in (D[9], D[12], D[29])] == ["A", "C", "C"]
    visits = "SELECT stage, entered_on, left_on, left_to FROM known_visits ORDER BY entered_at"
    assert desk.ask(D[29], visits) == [
        ("A", D[4], D[7], "B"),
        ("B", D[7], D[11], "C"),
        ("C", D[11], None, None),
    ]
    assert desk.ask(D[15], visits) == [("A", D[4], D[11], "C"), ("C", D[11], None, None)]


def test_a_corrected_event_changes_nothing_that_was_known_before(desk: Desk) -> None:
    told = event("x", datetime(2026, 1, 8, 9), "amount", None, "100", currency="USD")
    desk.export(D[9], deals=[{"deal_id": "x", "amount_minor": 100}], deal_events=[told])
    before = desk.ask(D[15], STATE)
    desk.export(D[19], deals=[{"deal_id": "x", "amount_minor": 300}], deal_events=[{**told, "new": "300"}])
    assert desk.ask(D[15], STATE) == before == [("x", None, "open", 100, None, None)]
    assert desk.ask(D[19], STATE) == [("x", None, "open", 300, None, None)]
    assert len(desk.ask(D[19], "FROM snapshot.deal_events")) == 2


def test_a_deal_that_a_full_export_lacks_is_deleted_and_may_come_back(desk: Desk) -> None:
    x, y = {"deal_id": "x"}, {"deal_id": "y"}
    desk.export(D[9], deals=[x, y])
    desk.export(D[11], deals=[y])
    assert [row[0] for row in desk.ask(D[11], STATE)] == ["x", "y"]
    desk.export(D[13], complete=True, deals=[y])
    desk.export(D[15], deals=[x, y])
    assert [[row[0] for row in desk.ask(day, STATE)] for day in (D[12], D[13], D[14], D[15])] == [
        ["x", "y"], ["y"], ["y"], ["x", "y"],
    ]  # fmt: skip


def test_several_hops_in_one_second_are_visits_and_the_last_one_stands(desk: Desk) -> None:
    now = datetime(2026, 1, 8, 9)
    hops = [event("x", now, "stage", a, b, seq=n) for n, (a, b) in enumerate(itertools.pairwise("ABCB"), 1)]
    desk.export(D[29], deals=[{"deal_id": "x", "stage": "B"}], deal_events=hops)
    assert desk.ask(D[29], STATE)[0][1] == "B"
    visits = desk.ask(
        D[29], "SELECT stage, visit, left_to FROM known_visits ORDER BY entered_at, left_at NULLS LAST"
    )
    assert visits[0] == ("A", 1, "B")
    assert sorted(visits[1:]) == [("B", 1, "C"), ("B", 2, None), ("C", 1, "B")]


def test_a_reopened_deal_is_open_again_and_its_next_decision_counts(desk: Desk) -> None:
    seen = {"deal_id": "x", "stage": "A", "rep_id": "r", "amount_minor": 5}
    desk.export(D[9], deals=[{**seen, "status": "lost", "close_on": D[8]}])
    desk.export(D[14], deals=[{**seen, "status": "open", "close_on": D[27]}])
    desk.export(D[19], deals=[{**seen, "status": "won", "close_on": D[18]}])
    assert [desk.ask(day, STATE)[0][2] for day in (D[7], D[9], D[14], D[19])] == [
        "open",
        "lost",
        "open",
        "won",
    ]


CREDIT = "SELECT rep_id, owner_id, team_id, status FROM known"


def test_the_owner_at_the_close_keeps_the_credit_of_a_deal_handed_on_later(desk: Desk) -> None:
    seen = {"deal_id": "x", "close_on": D[11], "amount_minor": 5}
    desk.export(D[9], deals=[{**seen, "rep_id": "a"}])
    desk.export(D[12], deals=[{**seen, "rep_id": "a", "status": "won"}])
    desk.export(D[19], deals=[{**seen, "rep_id": "b", "status": "won"}])
    assert desk.ask(D[12], CREDIT) == [("a", "a", None, "won")]
    assert desk.ask(D[19], CREDIT) == [("a", "b", None, "won")]


def test_a_split_that_a_full_export_lacks_no_longer_counts_and_did_before(desk: Desk) -> None:
    won = {"deal_id": "x", "rep_id": "a", "status": "won", "close_on": D[7], "amount_minor": 100}
    half = {"deal_id": "x", "rep_id": "b", "kind": "revenue", "share": 0.5}
    other = {"deal_id": "y", "rep_id": "b", "kind": "revenue", "share": 0.5}
    desk.export(D[9], deals=[won], splits=[half, other])
    desk.export(D[14], complete=True, deals=[won], splits=[other])
    parts = "SELECT rep_id, credited_minor FROM known_credits ORDER BY rep_id"
    assert [desk.ask(day, parts) for day in (D[9], D[13], D[14])] == [
        [("a", 50), ("b", 50)], [("a", 50), ("b", 50)], [("a", 100)],
    ]  # fmt: skip
    desk.export(D[19], deals=[won], splits=[half])
    assert desk.ask(D[19], parts) == [("a", 50), ("b", 50)]


def test_a_win_entered_late_is_credited_to_the_owner_on_its_close_date(desk: Desk) -> None:
    seen = {"deal_id": "x", "amount_minor": 5}
    desk.export(D[9], deals=[{**seen, "rep_id": "a"}])
    desk.export(D[14], deals=[{**seen, "rep_id": "b"}])
    desk.export(D[19], deals=[{**seen, "rep_id": "b", "status": "won", "close_on": D[11]}])
    assert desk.ask(D[19], CREDIT) == [("a", "b", None, "won")]


def person(rep: str, team: str, **more: Any) -> dict[str, Any]:
    return {"rep_id": rep, "name": rep, "team_id": team, "role": "rep", **more}


def test_a_team_change_moves_what_comes_after_it_and_a_later_roster_moves_nothing_before(desk: Desk) -> None:
    won = [{"deal_id": f"d{day}", "status": "won", "close_on": D[day - 1], "rep_id": "a", "amount_minor": 1} for day in (8, 18)]  # fmt: skip
    desk.export(D[24], deals=won, reps=[person("a", "old"), person("a", "new", effective_on=D[14])])
    teams = "SELECT deal_id, team_id FROM known WHERE status = 'won' ORDER BY deal_id"
    assert desk.ask(D[24], teams) == [("d18", "new"), ("d8", "old")]
    desk.export(D[27], reps=[person("a", "other", effective_on=D[9])])
    assert desk.ask(D[24], teams) == [("d18", "new"), ("d8", "old")]


def test_amounts_are_converted_at_the_rate_of_their_day_to_the_last_unit(desk: Desk) -> None:
    rates = [
        {"currency": "EUR", "into": "USD", "from_on": D[0], "rate": "1.1"},
        {"currency": "EUR", "into": "USD", "from_on": D[14], "rate": "1.2"},
        {"currency": "JPY", "into": "EUR", "from_on": D[0], "rate": "0.007"},
        {"currency": "USD", "into": "EUR", "from_on": D[0], "rate": "0.9"},
    ]
    won = {"status": "won", "amount_minor": 333}
    deals = [
        {**won, "deal_id": "early", "currency": "EUR", "close_on": D[13]},
        {**won, "deal_id": "late", "currency": "EUR", "close_on": D[14]},
        {**won, "deal_id": "yen", "currency": "JPY", "close_on": D[13]},
        {"deal_id": "open", "currency": "EUR", "amount_minor": 100, "close_on": D[29]},
    ]
    desk.export(D[19], deals=deals, fx_rates=rates)
    amounts = "SELECT deal_id, amount_minor, currency FROM known ORDER BY deal_id"
    # 333 yen are 2.331 euro, and through the euro 2.59 dollars; an open deal counts at the as-of day's rate.
    assert desk.ask(D[19], amounts) == [("early", 366, "USD"), ("late", 400, "USD"), ("open", 120, "USD"), ("yen", 259, "USD")]  # fmt: skip
    desk.export(D[27], fx_rates=[{"currency": "EUR", "into": "USD", "from_on": D[0], "rate": "9"}])
    assert desk.ask(D[19], amounts)[0] == ("early", 366, "USD")


def test_an_amount_without_a_rate_is_refused_with_currency_and_day(desk: Desk) -> None:
    with pytest.raises(Refused, match="from EUR to USD on 2026-01-20"):
        desk.export(D[19], deals=[{"deal_id": "x", "currency": "EUR", "amount_minor": 1}])


def test_a_million_cents_are_ten_thousand_dollars(desk: Desk) -> None:
    with desk.snapshots.drafting() as draft:
        columns = "deal_id, 'won' AS status, DATE '2026-01-05' AS created_on, DATE '2026-01-08' AS close_on, 1 AS amount_minor, 'USD' AS currency"
        draft.connection.execute(
            f"CREATE TEMP TABLE made AS SELECT * FROM (SELECT n::VARCHAR AS deal_id FROM range(1000000) t(n)), LATERAL (SELECT {columns.removeprefix('deal_id, ')})"
        )
        others = ", ".join(
            f"NULL::{c.kind.duckdb} AS {c.name}" for c in DEALS.columns if c.name not in (
                "deal_id", "status", "created_on", "close_on", "amount_minor", "currency")
        )  # fmt: skip
        draft.connection.execute(f"CREATE TEMP VIEW rows_made AS SELECT *, {others} FROM made")
        draft.take("deals", "rows_made", source="crm", as_of=D[19])
        draft.publish(as_of=D[19], settings=Settings().reporting)
    assert desk.ask(D[19], "SELECT sum(amount_minor), sum(amount_minor) = 1000000 FROM known") == [
        (1_000_000, True)
    ]


@pytest.mark.parametrize(
    ("zone", "day"), [("UTC", D[7]), ("Asia/Shanghai", D[8]), ("America/New_York", D[7])]
)
def test_an_instant_lies_on_the_workspaces_own_day(tmp_path: Path, zone: str, day: date) -> None:
    desk = Desk(tmp_path, Settings(time_zone=zone))
    desk.export(
        D[29], deals=[{"deal_id": "x", "stage": "B"}], deal_events=[event("x", datetime(2026, 1, 8, 17), "stage", "A", "B")]
    )  # fmt: skip
    assert desk.ask(D[29], "SELECT entered_on FROM known_visits WHERE stage = 'B'") == [(day,)]
    assert [desk.ask(d, STATE)[0][1] for d in (day - timedelta(days=1), day)] == ["A", "B"]


def test_a_changed_setting_leaves_earlier_days_as_they_were(tmp_path: Path) -> None:
    late = event("x", datetime(2026, 1, 8, 17), "stage", "A", "B")
    desk = Desk(tmp_path, Settings(time_zone="UTC"))
    desk.export(D[14], deals=[{"deal_id": "x", "stage": "B"}], deal_events=[late])
    before = [desk.ask(day, STATE) for day in D[6:10]]
    desk.settings = Settings(time_zone="Asia/Shanghai")
    desk.export(D[19], deals=[{"deal_id": "x", "stage": "B"}], deal_events=[late])
    assert [desk.ask(day, STATE) for day in D[6:10]] == before
