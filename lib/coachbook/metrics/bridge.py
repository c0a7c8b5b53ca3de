"""What brought the pipeline from where it stood to where it stands: a bridge that adds up to the last deal and cent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.resources import files
from typing import Any, Literal, NamedTuple

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

CLEANED = {
    "lost": "dead", "deleted": "dead", "pulled_in": "close_on", "pushed_in": "close_on", "dated_in": "close_on",
    "pulled_out": "close_on", "pushed_out": "close_on", "increases": "amount", "decreases": "amount",
}  # fmt: skip
"""Flows that may be clean-up, and the kind of decision that makes one so."""
CLEAN_UP_DAYS = 60
"""So many days after a decision, what it called for still counts as clean-up."""

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


class CleanUp(NamedTuple):
    """What was decided about a deal: to give it up (`dead`), a new close date (`close_on`) or a new `amount`.

    It counts from `decided_on`, and no longer on `until_on`, when something else was decided; None: it still counts.
    """

    deal_id: str
    kind: str
    decided_on: date
    until_on: date | None = None


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
    cleaned_up
        The part of `flows` that was clean-up, decided beforehand in a review; only flows of which any was.
    """

    start: Amount
    end: Amount
    flows: Mapping[str, Amount]
    unvalued: int = 0
    cleaned_up: Mapping[str, Amount] = field(default_factory=dict)

    @classmethod
    def none(cls) -> Bridge:
        """Of nobody's pipeline: zeros."""
        return cls(Amount(), Amount(), dict.fromkeys(FLOWS, Amount()))

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
            "cleanup": {name: self.cleaned_up[name].to_dict() for name in FLOWS if name in self.cleaned_up},
        }


@dataclass(frozen=True)
class Bridges:
    """Everybody's: by id of each person who ever was on the roster, and of each team; and the whole company's."""

    reps: Mapping[str, Bridge]
    teams: Mapping[str, Bridge]
    org: Bridge


def bridges(
    connection: DuckDBPyConnection,
    span: Span,
    as_of: date,
    *,
    window: Window = "period",
    clean_ups: Iterable[CleanUp] = (),
) -> Bridges:
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
    clean_ups
        What was decided in reviews. A flow is clean-up if it is of the kind that a decision about its deal called for
        (`CLEANED`), on the day of the decision or within `CLEAN_UP_DAYS` after it. Flows are the same with and without.

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
    _tabulate(connection, clean_ups)
    parts, cleaned, unvalued = _parts(connection, values)

    def of(kind: str, column: str) -> dict[str, Bridge]:
        return {id_: bridge(kind, id_) for id_ in _ids(connection, column)}

    def bridge(kind: str, id_: str) -> Bridge:
        return _bridge(parts[kind, id_], cleaned[kind, id_], unvalued[kind, id_])

    return Bridges(of("rep", "rep_id"), of("team", "team_id"), bridge("org", ""))


def _tabulate(connection: DuckDBPyConnection, clean_ups: Iterable[CleanUp]) -> None:
    """Make the temporary table `clean_ups`: the flows that each decision calls for, and on which days."""
    rows = [
        (c.deal_id, flow, c.decided_on, c.until_on)
        for c in clean_ups for flow, kind in CLEANED.items() if kind == c.kind
    ]  # fmt: skip
    columns = {name: [row[nr] for row in rows] for nr, name in enumerate(("deals", "flows", "days", "ends"))}
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE clean_ups AS
        SELECT deal_id, flow, first_on, least(first_on + {CLEAN_UP_DAYS}, until_on - 1) AS last_on
        FROM (SELECT unnest($deals::VARCHAR[]) AS deal_id, unnest($flows::VARCHAR[]) AS flow,
            unnest($days::DATE[]) AS first_on, unnest($ends::DATE[]) AS until_on)
        """,
        columns,
    )


def _parts(
    connection: DuckDBPyConnection, values: Mapping[str, date | None]
) -> tuple[dict[_Scope, dict[str, Amount]], dict[_Scope, dict[str, Amount]], dict[_Scope, int]]:
    """By scope: what is not 0 of Start, flows and End; of clean-up; and how many deals have no value."""
    parts: dict[_Scope, dict[str, Amount]] = defaultdict(dict)
    cleaned: dict[_Scope, dict[str, Amount]] = defaultdict(dict)
    unvalued: dict[_Scope, int] = defaultdict(int)
    for kind, id_, part, deals, minor in connection.execute(_sql("bridge_ends"), values).fetchall():
        parts[kind, id_][part] = Amount(deals, minor)
    for kind, id_, flow, deals, minor, without, *tagged in connection.execute(
        _sql("bridge"), values
    ).fetchall():
        if flow is None:
            unvalued[kind, id_] = without
        else:
            parts[kind, id_][flow] = Amount(deals, minor)
            if any(tagged):
                cleaned[kind, id_][flow] = Amount(*tagged)
    return parts, cleaned, unvalued


def _bridge(parts: Mapping[str, Amount], cleaned: Mapping[str, Amount], unvalued: int) -> Bridge:
    none = Amount()
    flows = {name: parts.get(name, none) for name in FLOWS}
    return Bridge(parts.get("start", none), parts.get("end", none), flows, unvalued, cleaned)


def _ids(connection: DuckDBPyConnection, column: str) -> list[str]:
    """Everybody, or all teams, of whatever day."""
    found = connection.execute(f"SELECT DISTINCT {column} FROM known_roster ORDER BY {column}").fetchall()
    return [id_ for (id_,) in found if id_ is not None]


def _sql(name: str) -> str:
    return (files("coachbook.metrics") / f"{name}.sql").read_text(encoding="utf-8")
