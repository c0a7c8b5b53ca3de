"""What brought the pipeline from where it stood to where it stands: a bridge that adds up to the last deal and cent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from typing import Any, Literal

from duckdb import DuckDBPyConnection

from coachbook.model.periods import Span
from coachbook.warehouse.database import CONVERTED

Window = Literal["period", "all"]
"""Close dates of deals in the pipe: those of the whole period, or any and none."""
FLOWS: Mapping[str, Literal[1, -1]] = {
    "created": 1, "pulled_in": 1, "pushed_in": 1, "dated_in": 1, "reopened": 1, "transferred_in": 1, "increases": 1,
    "decreases": -1, "won": -1, "lost": -1, "pushed_out": -1, "pulled_out": -1, "dated_out": -1, "transferred_out": -1,
    "deleted": -1,
}  # fmt: skip
"""The flows in the order of a waterfall, and which way each moves the pipeline."""

_Scope = tuple[str, str]
"""Kind (rep, team or org) and id."""


@dataclass(frozen=True)
class Amount:
    """Deals that stand, come or go, and what they amount to in minor units of the reporting currency."""

    count: int = 0
    minor: int = 0

    def to_dict(self) -> dict[str, int]:
        """As in the review JSON."""
        return {"count": self.count, "minor": self.minor}


@dataclass(frozen=True)
class Bridge:
    """The pipeline of one scope from the first moment of a span to its last.

    Parameters
    ----------
    start, end
        Open deals with a close date in the window at the two instants, counted from states.
    flows
        All of `FLOWS`, counted from events and gross: a deal won, reopened and won again is won twice. Amounts are
        positive, direction is in the name; one is below 0 only where deals' own amounts are. `increases` and
        `decreases` bring and take no deal: their count is 0.
    unvalued
        Deals that counted 0 somewhere in it: without an amount, or in a currency without a rate on the period's
        first day.
    """

    start: Amount
    end: Amount
    flows: Mapping[str, Amount]
    unvalued: int = 0

    @property
    def residual(self) -> Amount:
        """What the flows leave unexplained: 0, or the bridge is wrong."""
        signed = [
            (1, self.start),
            *((sign, self.flows[name]) for name, sign in FLOWS.items()),
            (-1, self.end),
        ]
        return Amount(sum(sign * a.count for sign, a in signed), sum(sign * a.minor for sign, a in signed))

    def to_dict(self) -> dict[str, Any]:
        """As in the review JSON."""
        return {
            "start": self.start.to_dict(),
            "end": self.end.to_dict(),
            "flows": {name: self.flows[name].to_dict() for name in FLOWS},
            "residual": self.residual.to_dict(),
        }


@dataclass(frozen=True)
class Bridges:
    """Everybody's: by id of each person who ever was on the roster, and of each team; and the whole company's."""

    reps: Mapping[str, Bridge]
    teams: Mapping[str, Bridge]
    org: Bridge


def bridges(connection: DuckDBPyConnection, span: Span, as_of: date, *, window: Window = "period") -> Bridges:
    """The bridges of a period for everybody at once, up to its end or that of the as-of day, whichever is earlier.

    A deal is in a person's pipe while that person owns it, and in a team's while the owner is in the team; whoever
    has left counts in the last team. Deals of owners who never were on the roster, or of none, count in the company
    alone. A day begins in the workspace's time zone; what happens in its first moment belongs to it, changes of
    team first. All amounts are converted at the rate of the period's first day.

    Parameters
    ----------
    connection
        What was known at the end of `as_of` (`Snapshot.known`): its views `known_history`, `known_roster` and
        `known_rates`.
    span
        The days of the whole period.

    Returns
    -------
    Bridges
        Without deals, bridges of zeros.
    """
    after = min(span.after, as_of + timedelta(days=1))
    dated = window == "period"
    values = {
        "first": min(span.first, after), "after": after, "rated_on": span.first,
        "opens": span.first if dated else None, "closes": span.after if dated else None,
    }  # fmt: skip
    connection.execute(CONVERTED)
    parts, unvalued = _parts(connection, values)

    def of(kind: str, column: str) -> dict[str, Bridge]:
        return {id_: _bridge(parts[kind, id_], unvalued[kind, id_]) for id_ in _ids(connection, column)}

    return Bridges(of("rep", "rep_id"), of("team", "team_id"), _bridge(parts["org", ""], unvalued["org", ""]))


def _parts(
    connection: DuckDBPyConnection, values: Mapping[str, date | None]
) -> tuple[dict[_Scope, dict[str, Amount]], dict[_Scope, int]]:
    """By scope: what is not 0 of Start, flows and End; and how many deals have no value."""
    parts: dict[_Scope, dict[str, Amount]] = defaultdict(dict)
    unvalued: dict[_Scope, int] = defaultdict(int)
    for kind, id_, part, deals, minor in connection.execute(_sql("bridge_ends"), values).fetchall():
        parts[kind, id_][part] = Amount(deals, minor)
    for kind, id_, flow, deals, minor, without in connection.execute(_sql("bridge"), values).fetchall():
        if flow is None:
            unvalued[kind, id_] = without
        else:
            parts[kind, id_][flow] = Amount(deals, minor)
    return parts, unvalued


def _bridge(parts: Mapping[str, Amount], unvalued: int) -> Bridge:
    none = Amount()
    flows = {name: parts.get(name, none) for name in FLOWS}
    return Bridge(parts.get("start", none), parts.get("end", none), flows, unvalued)


def _ids(connection: DuckDBPyConnection, column: str) -> list[str]:
    """Everybody, or all teams, of whatever day."""
    found = connection.execute(f"SELECT DISTINCT {column} FROM known_roster ORDER BY {column}").fetchall()
    return [id_ for (id_,) in found if id_ is not None]


def _sql(name: str) -> str:
    return (files("coachbook.metrics") / f"{name}.sql").read_text(encoding="utf-8")
