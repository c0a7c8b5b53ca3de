"""What became of decisions, told by the data alone: done, not done, or overtaken by something else."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from duckdb import DuckDBPyConnection

from coachbook.cleanup.cells import plain
from coachbook.cleanup.decisions import Decision, Decisions
from coachbook.warehouse import Snapshot

State = Literal["done", "not_done", "overtaken", "superseded"]
STATES: tuple[State, ...] = ("overtaken", "not_done", "done")
"""Of decisions that stand, those first that somebody must look at."""


@dataclass(frozen=True)
class Outcome:
    """A decision and what the data say of it.

    `now`: what the field holds, written as the decision's value; of a dead deal its status; None: nothing, or the deal
    is not in the data. `name`: of the deal, if it has one.
    """

    decision: Decision
    state: State
    now: str | None
    name: str

    def to_dict(self) -> dict[str, Any]:
        """As in JSON."""
        told = {"state": self.state, "now": self.decision.told(self.now), "name": self.name}
        return self.decision.to_dict() | told


@dataclass(frozen=True)
class Outcomes:
    """What became of every decision by the end of a day."""

    snapshot: str
    as_of: date
    all: tuple[Outcome, ...]

    def of(self, state: State) -> tuple[Outcome, ...]:
        """Those of that state."""
        return tuple(o for o in self.all if o.state == state)

    def to_dict(self) -> dict[str, Any]:
        """As in `coachbook import --json` and `coachbook cleanup status --json`."""
        return {
            "snapshot": self.snapshot, "as_of": self.as_of.isoformat(),
            **{state: len(self.of(state)) for state in ("done", "not_done", "overtaken", "superseded")},
            "decisions": [o.to_dict() for o in self.all],
        }  # fmt: skip


@dataclass(frozen=True)
class _Stretch:
    """How a deal was from one day to another; None: it still is."""

    status: str
    close_on: str | None
    amount: str | None
    currency: str | None
    until_on: date | None


@dataclass(frozen=True)
class _Life:
    """A deal as the data tell it, the last of its stretches being how it is; next steps with the day of the last export that showed them."""

    name: str
    stretches: list[_Stretch]
    steps: list[tuple[str, date]]
    step: str | None


def outcomes(decisions: Decisions, snapshot: Snapshot, as_of: date | None = None) -> Outcomes:
    """What became of decisions by the end of `as_of`, or of the snapshot's own day.

    A decision that was carried out stays done when the deal goes on from there; only one to give a deal up is undone
    when the deal comes back. Overtaken: the deal was decided, or the field was changed into something else.

    Parameters
    ----------
    decisions
        For a page of an earlier day, those known by then (`Decisions.known`).
    """
    day = as_of or snapshot.as_of
    with closing(snapshot.known(day)) as connection:
        lives = _lives(connection, {d.deal_id for d in decisions.all}, day)
    superseded = set(map(id, decisions.superseded))
    found = []
    for decision in decisions.all:
        life = lives.get(decision.deal_id)
        if decision.kind == "keep":
            continue
        now = _held(decision, life.stretches[-1], life) if life else None
        state: State = (
            "superseded"
            if id(decision) in superseded
            else _state(decision, life, now) if life else "not_done"
        )  # fmt: skip
        found.append(Outcome(decision, state, now, life.name if life else ""))
    return Outcomes(snapshot.id, day, tuple(found))


def _state(decision: Decision, life: _Life, now: str | None) -> State:
    status = life.stretches[-1].status
    if decision.kind == "dead":
        if status in ("lost", "deleted"):
            return "done"
        given_up = any(s.status in ("lost", "deleted") for s in _since(decision, life))
        return "overtaken" if status == "won" or given_up else "not_done"
    if decision.kind == "next_step":
        done = now == decision.value or any(
            step == decision.value and last >= decision.decided_on for step, last in life.steps
        )
    else:
        done = any(
            _held(decision, s, life) == decision.value and s.status != "deleted"
            for s in _since(decision, life)
        )
    if done:
        return "done"
    return "not_done" if status == "open" and now == decision.was else "overtaken"


def _since(decision: Decision, life: _Life) -> Iterable[_Stretch]:
    """How the deal was after the day of the decision, and how it is."""
    earlier = (s for s in life.stretches[:-1] if s.until_on and s.until_on > decision.decided_on)
    return [*earlier, life.stretches[-1]]


def _held(decision: Decision, stretch: _Stretch, life: _Life) -> str | None:
    """What the decision's field held."""
    match decision.kind:
        case "close_on":
            return stretch.close_on
        case "amount":
            return stretch.amount if stretch.currency == decision.currency else None
        case "next_step":
            return life.step
    return stretch.status


def _lives(connection: DuckDBPyConnection, ids: set[str], as_of: date) -> dict[str, _Life]:
    asked = {"ids": sorted(ids), "as_of": as_of}
    stretches: dict[str, list[_Stretch]] = {}
    for deal_id, *told in connection.execute(
        """
        SELECT deal_id, status, close_on::VARCHAR, amount_minor::VARCHAR, currency, until_on FROM known_history
        WHERE deal_id IN (SELECT unnest($ids::VARCHAR[])) AND from_on <= $as_of AND until_at IS DISTINCT FROM from_at
        ORDER BY deal_id, nr
        """,
        asked,
    ).fetchall():
        stretches.setdefault(deal_id, []).append(_Stretch(*told))
    steps: dict[str, list[tuple[str, date]]] = {}
    for deal_id, step, last in connection.execute(
        """
        SELECT deal_id, next_step, least(_last, $as_of) FROM deals
        WHERE deal_id IN (SELECT unnest($ids::VARCHAR[])) AND _first <= $as_of AND next_step IS NOT NULL
        """,
        asked,
    ).fetchall():
        steps.setdefault(deal_id, []).append((plain(step.strip()), last))
    known = connection.execute(
        "SELECT deal_id, name, next_step FROM known WHERE deal_id IN (SELECT unnest($ids::VARCHAR[])) AND $as_of IS NOT NULL",
        asked,
    ).fetchall()
    named = {deal_id: (name or "", plain((step or "").strip()) or None) for deal_id, name, step in known}
    lives = {}
    for deal_id, told in stretches.items():
        name, step = named.get(deal_id, ("", None))
        lives[deal_id] = _Life(name, told, steps.get(deal_id, []), step)
    return lives
