"""Who is on the roster of a period: they get a page, and they are each other's peers."""

from __future__ import annotations

from dataclasses import dataclass

from coachbook.model.people import People
from coachbook.model.periods import Span


@dataclass(frozen=True)
class Member:
    """One rep; `team_id` and `team` are empty for a rep without a team."""

    rep_id: str
    name: str
    team_id: str
    team: str


def members(people: People, span: Span) -> list[Member]:
    """All reps who were there in some part of the span, managers not, in their last team of it; by team and name."""
    last = {t.rep_id: t for t, _days in people.stays(span) if t.role == "rep"}
    found = [Member(t.rep_id, t.name, t.team_id or "", t.team or t.team_id or "") for t in last.values()]
    return sorted(found, key=lambda m: (m.team, m.name, m.rep_id))
