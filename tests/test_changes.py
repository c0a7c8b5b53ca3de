"""What became of each deal since a day."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coachbook.metrics.changes import Change, changes
from tests.warehouse import Desk

SINCE, AS_OF = date(2026, 1, 15), date(2026, 1, 31)
CREATED = date(2026, 1, 5)
AFTER = datetime(2026, 1, 20, 10)


def _event(
    field: str, old: Any, new: Any, at: datetime = AFTER, seq: int = 0, deal: str = "d"
) -> dict[str, Any]:
    return {"deal_id": deal, "occurred_at": at, "field": field, "old": old, "new": new, "seq": seq}


def _deal(**more: Any) -> dict[str, Any]:
    given = {"deal_id": "d", "rep_id": "r1", "stage": "A", "amount_minor": 100, "close_on": date(2026, 2, 10)}
    return {"created_on": CREATED, **given, **more}


def _found(
    folder: Path, deals: list[dict[str, Any]], events: list[dict[str, Any]], **asked: Any
) -> list[Change]:
    desk = Desk(folder)
    desk.export(AS_OF, deals=deals, deal_events=events)
    with desk.snapshots.current().known(AS_OF) as connection:
        return changes(connection, **{"since": SINCE, "as_of": AS_OF, **asked})


CASES = {
    "new": (_deal(created_on=date(2026, 1, 20)), [], ("new",)),
    "nothing for a fortnight": (_deal(), [], ("quiet",)),
    "moved": (_deal(stage="B"), [_event("stage", "A", "B")], ("moved",)),
    "pushed": (_deal(close_on=date(2026, 3, 1)), [_event("close_on", "2026-02-10", "2026-03-01")], ("pushed",)),
    "pulled": (_deal(close_on=date(2026, 2, 1)), [_event("close_on", "2026-02-10", "2026-02-01")], ("pulled",)),
    "grown": (_deal(amount_minor=150), [_event("amount", "100", "150")], ("grown",)),
    "shrunk": (_deal(amount_minor=50), [_event("amount", "100", "50")], ("shrunk",)),
    "won": (_deal(status="won", close_on=date(2026, 1, 20)), [_event("status", "open", "won")], ("won",)),
    "lost": (_deal(status="lost", close_on=date(2026, 1, 20)), [_event("status", "open", "lost")], ("lost",)),
    "moved twice, back where it was": (
        _deal(), [_event("stage", "A", "B"), _event("stage", "B", "A", AFTER + timedelta(days=1))], (),
    ),
    "all at once": (
        _deal(stage="B", amount_minor=90, close_on=date(2026, 3, 1)),
        [_event("stage", "A", "B"), _event("amount", "100", "90", seq=1), _event("close_on", "2026-02-10", "2026-03-01", seq=2)],
        ("moved", "pushed", "shrunk"),
    ),
    "reopened": (
        _deal(),
        [_event("status", "open", "lost", datetime(2026, 1, 10, 9)), _event("status", "lost", "open")],
        ("reopened",),
    ),
    "won and lost again": (
        _deal(status="lost", close_on=date(2026, 1, 21)),
        [_event("status", "open", "won", datetime(2026, 1, 10, 9)), _event("status", "won", "lost")],
        ("lost",),
    ),
    "decided before": (
        _deal(status="won", close_on=date(2026, 1, 10)), [_event("status", "open", "won", datetime(2026, 1, 10, 9))], (),
    ),
    "new and won": (
        _deal(created_on=date(2026, 1, 17), status="won", close_on=date(2026, 1, 20)),
        [_event("status", "open", "won")], ("new", "won"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_a_deal_did(case: str, tmp_path: Path) -> None:
    deal, events, kinds = CASES[case]
    found = _found(tmp_path, [deal], events)
    assert [change.kinds for change in found] == ([kinds] if kinds else [])


def test_a_deal_whose_birth_is_several_events_of_one_instant_is_new(tmp_path: Path) -> None:
    born = [
        _event(field, None, value, AFTER, seq)
        for seq, (field, value) in enumerate({"stage": "A", "amount": "100", "owner": "r1"}.items())
    ]
    found = _found(tmp_path, [_deal(created_on=AFTER.date())], born)
    assert [change.kinds for change in found] == [("new",)]


def test_a_date_moved_in_the_closing_transaction_is_no_push(tmp_path: Path) -> None:
    events = [
        _event("close_on", "2026-02-10", "2026-02-20", datetime(2026, 1, 17, 9)),
        _event("close_on", "2026-02-20", "2026-02-27", AFTER), _event("status", "open", "won", AFTER, 1),
    ]  # fmt: skip
    (won,) = _found(tmp_path, [_deal(status="won", close_on=date(2026, 2, 27))], events)
    assert (won.kinds, won.pushes) == (("won",), 1)


def test_pushed_and_pulled_back_still_counts_a_push(tmp_path: Path) -> None:
    there, back = (
        _event("close_on", "2026-02-10", "2026-03-01"),
        _event("close_on", "2026-03-01", "2026-02-10", AFTER + timedelta(1)),
    )
    found = _found(
        tmp_path, [_deal(stage="B")], [there, back, _event("stage", "A", "B", AFTER + timedelta(2))]
    )
    assert [(change.kinds, change.pushes) for change in found] == [(("moved",), 1)]


def test_an_activity_keeps_a_deal_from_being_quiet(tmp_path: Path) -> None:
    for age, kinds in ((13, []), (14, [("quiet",)])):
        day = AS_OF - timedelta(days=age)
        touches = f"(SELECT 'd' AS deal_id, DATE '{day}' AS day)"
        found = _found(tmp_path / str(age), [_deal()], [], touches=touches)
        assert [change.kinds for change in found] == kinds


def test_an_activity_after_the_day_is_not_known_yet(tmp_path: Path) -> None:
    found = _found(tmp_path, [_deal()], [], touches="(SELECT 'd' AS deal_id, DATE '2026-02-01' AS day)")
    assert [change.kinds for change in found] == [("quiet",)]


def test_who_hands_a_deal_over_has_it_no_more(tmp_path: Path) -> None:
    mine = "(FROM known_history WHERE owner_id = '{rep}')"
    for rep, kinds in (("r1", ("left",)), ("r2", ("arrived",))):
        found = _found(
            tmp_path / rep, [_deal(rep_id="r2")], [_event("owner", "r1", "r2")], history=mine.format(rep=rep)
        )
        assert [change.kinds for change in found] == [kinds]


# Against a plain reading of the log

_STEPS = st.lists(
    st.tuples(
        st.integers(6, 30),
        st.sampled_from([("stage", "A"), ("stage", "B"), ("amount", "100"), ("amount", "200"), ("close_on", "2026-02-10"),
                         ("close_on", "2026-03-01"), ("status", "open"), ("status", "won"), ("status", "lost")]),
    ),
    max_size=8,
    unique_by=lambda step: step[0],
)  # fmt: skip


@given(steps=_STEPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_then_and_now_are_what_the_log_says(
    steps: list[tuple[int, tuple[str, str]]], tmp_path_factory: Any
) -> None:
    state = {"stage": "A", "amount": "100", "close_on": "2026-02-10", "status": "open"}
    born = datetime(2026, 1, 5, 9)
    events = [_event(field, None, value, born, seq) for seq, (field, value) in enumerate(state.items())]
    then, pushes = dict(state), 0
    for day, (field, new) in sorted(steps):
        if state[field] == new:
            continue
        events.append(_event(field, state[field], new, datetime(2026, 1, day, 12)))
        later = field == "close_on" and new > state["close_on"] and state["status"] == "open"
        pushes += later and day > SINCE.day
        state[field] = new
        if day <= SINCE.day:
            then = dict(state)
    shown = {"amount_minor": int(state["amount"]), "close_on": date.fromisoformat(state["close_on"])}
    found = _found(
        tmp_path_factory.mktemp("log"), [_deal(stage=state["stage"], status=state["status"], **shown)], events
    )
    for change in found:
        for known, said in ((change.then, then), (change.now, state)):
            assert known
            seen = (known.status, known.stage, str(known.amount_minor), str(known.close_on))
            assert seen == (said["status"], said["stage"], said["amount"], said["close_on"])
        assert change.pushes == pushes
    differs = (state["status"] != then["status"]) or (state["status"] == "open" and state != then)
    assert bool([c for c in found if c.kinds != ("quiet",)]) is differs
