"""What became of each deal since a day: what a conversation about deals begins with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any, Literal, NamedTuple

from duckdb import DuckDBPyConnection

QUIET_DAYS = 14
"""So many days without a change and without an activity, and an open deal has gone quiet."""
Kind = Literal[
    "new", "arrived", "reopened", "won", "lost", "deleted", "left", "moved", "pushed", "pulled", "grown", "shrunk", "quiet"
]  # fmt: skip
HISTORY = "known_history"
NO_TOUCHES = "(SELECT NULL::VARCHAR AS deal_id, NULL::DATE AS day WHERE false)"
"""Where no activities are captured: changes of the deal alone tell that it is alive."""


@dataclass(frozen=True)
class State:
    """A deal at the end of a day; `amount_minor` in minor units of its own `currency`."""

    status: Literal["open", "won", "lost", "deleted"]
    stage: str | None
    close_on: date | None
    amount_minor: int | None
    currency: str | None


@dataclass(frozen=True)
class Change:
    """A deal then and now (None: not there, or not of this scope), and in `kinds` what that amounts to.

    `pushes`: how often its close date was moved to a later day meanwhile; `touched_on`: the day of its last change or
    activity.
    """

    deal_id: str
    rep_id: str | None
    then: State | None
    now: State | None
    kinds: tuple[Kind, ...]
    pushes: int
    touched_on: date


def changes(
    connection: DuckDBPyConnection,
    *,
    since: date,
    as_of: date,
    history: str = HISTORY,
    touches: str = NO_TOUCHES,
) -> list[Change]:
    """Deals that changed between the ends of two days, or are open and quiet; by id.

    Parameters
    ----------
    connection, history
        Where stretches of deals lie as `known_history` has them, of the scope asked about. A deal whose first
        stretch is not among them came from, one whose last stretch has ended went to somebody outside of it.
    touches
        A query or view with `deal_id, day`: what was done about deals.
    """
    sql = (files("coachbook.metrics") / "changes.sql").read_text(encoding="utf-8")
    rows = connection.execute(
        sql.format(history=history, touches=touches), {"since": since, "as_of": as_of}
    ).fetchall()
    found = (_change(_row(*row), as_of) for row in rows)
    return [change for change in found if change.kinds]


class _Row(NamedTuple):
    """As the query gives it."""

    deal_id: str
    rep_id: str | None
    then: State | None
    now: State | None
    is_whole: bool
    pushes: int
    touched_on: date


def _row(deal_id: str, rep_id: str | None, *rest: Any) -> _Row:
    """Of the columns between, every second belongs to the state then, the others to the state now."""
    then, now = (State(*rest[side:10:2]) if rest[side] is not None else None for side in (0, 1))
    return _Row(deal_id, rep_id, then, now, *rest[10:])


def _change(row: _Row, as_of: date) -> Change:
    quiet = row.now is not None and row.now.status == "open" and (as_of - row.touched_on).days >= QUIET_DAYS
    kinds = _kinds(row.then, row.now, is_new=row.is_whole)
    return Change(
        row.deal_id,
        row.rep_id,
        row.then,
        row.now,
        (*kinds, "quiet") if quiet else kinds,
        row.pushes,
        row.touched_on,
    )


def _kinds(then: State | None, now: State | None, *, is_new: bool) -> tuple[Kind, ...]:
    """What the two states amount to; the decision of a deal says all there is to say of it."""
    if now is None:
        return ("left",)
    if then is None:
        came: Kind = "new" if is_new else "arrived"
        return (came,) if now.status == "open" else (came, now.status)
    if now.status != "open":
        return (now.status,) if now.status != then.status else ()
    reopened: tuple[Kind, ...] = ("reopened",) if then.status != "open" else ()
    return (*reopened, *_moves(then, now))


def _moves(then: State, now: State) -> tuple[Kind, ...]:
    """Of a deal that is open: stage, close date and amount, each against what it was."""
    found: list[Kind] = []
    if now.stage != then.stage:
        found.append("moved")
    if now.close_on and then.close_on and now.close_on != then.close_on:
        found.append("pushed" if now.close_on > then.close_on else "pulled")
    if now.currency == then.currency and (now.amount_minor or 0) != (then.amount_minor or 0):
        found.append("grown" if (now.amount_minor or 0) > (then.amount_minor or 0) else "shrunk")
    return tuple(found)
