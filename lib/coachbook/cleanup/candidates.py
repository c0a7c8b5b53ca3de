"""Deals that a review should decide about: overdue, quiet, or without a next step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Literal

from duckdb import DuckDBPyConnection

from coachbook.cleanup.cells import major
from coachbook.metrics.changes import changes
from coachbook.metrics.risk import QUIET_DAYS
from coachbook.warehouse import Snapshot

Why = Literal["overdue", "quiet", "no_next_step"]
TABLES = ("activities", "deal_events")
"""What `Snapshot.known` has to give views of."""
_TOUCHES = "(SELECT deal_id, occurred_at::DATE AS day FROM known_activities WHERE deal_id IS NOT NULL)"


@dataclass(frozen=True)
class Candidate:
    """An open deal, and why it should be talked about; `touched_on`: the day of its last change or activity."""

    deal_id: str
    name: str | None
    rep_id: str | None
    rep: str | None
    stage: str | None
    close_on: date | None
    amount_minor: int | None
    currency: str | None
    next_step: str | None
    touched_on: date | None
    why: tuple[Why, ...]

    @property
    def amount(self) -> str:
        """In major units, as digits."""
        if self.amount_minor is None or self.currency is None:
            return ""
        return major(self.amount_minor, self.currency)


def candidates(snapshot: Snapshot, as_of: date, *, reps: Iterable[str] | None = None) -> list[Candidate]:
    """Open deals with a close date in the past, without a change or activity for `QUIET_DAYS`, or without a next step.

    What is not captured is no reason: without activities, a history or a second export nothing tells that a deal is
    quiet, and where no deal has a next step, none lacks one.

    Parameters
    ----------
    reps
        Ids of the owners whose deals are asked for; None: everybody's.

    Returns
    -------
    list
        Those with most reasons first, then the largest, then by id.
    """
    with closing(snapshot.known(as_of, TABLES)) as connection:
        return among(connection, as_of, touched=_touched(connection, as_of), reps=reps)


def among(
    connection: DuckDBPyConnection, as_of: date, *, touched: Mapping[str, date], deals: str = "known",
    roster: str = "known_roster", reps: Iterable[str] | None = None,
) -> list[Candidate]:  # fmt: skip
    """The same of any `deals` and `roster` shaped like these views; `touched`: when each quiet deal was last worked on."""
    rows = connection.execute(
        f"""
        WITH people AS (
            FROM {roster} WHERE from_on <= $as_of
            QUALIFY row_number() OVER (PARTITION BY rep_id ORDER BY from_on DESC) = 1
        )
        SELECT deal_id, k.name, k.rep_id, r.name, stage, close_on, own_minor, own_currency, next_step,
            coalesce(close_on < $as_of, false),
            next_step IS NULL AND EXISTS (FROM {deals} WHERE next_step IS NOT NULL), coalesce(amount_minor, 0)
        FROM {deals} AS k LEFT JOIN people AS r ON r.rep_id = k.rep_id
        WHERE status = 'open' AND ($reps::VARCHAR[] IS NULL OR list_contains($reps::VARCHAR[], k.rep_id))
        """,
        {"as_of": as_of, "reps": None if reps is None else list(reps)},
    ).fetchall()
    found = []
    for *told, overdue, no_step, worth in rows:
        day = touched.get(told[0])
        flags: dict[Why, bool] = {
            "overdue": overdue, "quiet": day is not None and (as_of - day).days >= QUIET_DAYS, "no_next_step": no_step,
        }  # fmt: skip
        why = tuple(flag for flag, holds in flags.items() if holds)
        if why:
            told += [day, why]
            found.append((-len(why), -worth, Candidate(*told)))
    return [c for _reasons, _worth, c in sorted(found, key=lambda one: (*one[:2], one[2].deal_id))]


def tells_quiet(connection: DuckDBPyConnection, as_of: date) -> bool:
    """Whether activities with deals or changes of deals are captured; if not, that nothing happened tells nothing."""
    found = connection.execute(
        f"""
        SELECT EXISTS (FROM {_TOUCHES}) OR EXISTS (FROM known_deal_events)
            OR EXISTS (SELECT source FROM exports WHERE "table" = 'deals' AND as_of <= $as_of GROUP BY source HAVING count(*) > 1)
        """,
        {"as_of": as_of},
    ).fetchone()
    return bool(found and found[0])


def _touched(connection: DuckDBPyConnection, as_of: date) -> dict[str, date]:
    """When each open deal was last changed or worked on, of those for which that is long ago; nothing if nobody can tell."""
    if not tells_quiet(connection, as_of):
        return {}
    found = changes(connection, since=as_of, as_of=as_of, touches=_TOUCHES)
    return {change.deal_id: change.touched_on for change in found}
