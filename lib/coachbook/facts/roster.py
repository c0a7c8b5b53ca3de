"""Who is on the roster of a period: they get a page, and they are each other's peers."""

from __future__ import annotations

from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from coachbook.model.periods import Span


@dataclass(frozen=True)
class Member:
    """One rep; `team_id` and `team` are empty for a rep without a team."""

    rep_id: str
    name: str
    team_id: str
    team: str


def members(connection: DuckDBPyConnection, span: Span) -> list[Member]:
    """All reps who were there in some part of the span, managers not; by team and name."""
    rows = connection.execute(
        """
        SELECT rep_id, name, coalesce(team_id, ''), coalesce(team, team_id, '') FROM reps
        WHERE role = 'rep' AND coalesce(start_on < $after, true) AND coalesce(end_on >= $first, true)
        ORDER BY 4, 2, 1
        """,
        {"first": span.first, "after": span.after},
    ).fetchall()
    return [Member(*row) for row in rows]
