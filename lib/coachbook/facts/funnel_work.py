"""What people did, and what it brings: the part of a funnel review that does not look at visits to stages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pandas as pd
from duckdb import DuckDBPyConnection

from coachbook.cleanup.candidates import tells_quiet
from coachbook.facts.file import Making, make_room
from coachbook.facts.funnel_document import Criterion
from coachbook.facts.plan import Plan
from coachbook.metrics.compliance import compliance
from coachbook.metrics.coverage import Coverage, coverage
from coachbook.metrics.process import Process, conversions, process, record
from coachbook.metrics.risk import FLAGS, Risk, risk
from coachbook.metrics.velocity import Scope, Velocities, velocity
from coachbook.model.periods import Period, Span

LEAD_DAYS = 90
"""Calendar days by which a lead should have been converted."""
TABLES = ("deal_events", "quotas", "activities", "leads", "accounts", "contacts")
_TOUCHES = "CREATE TEMP VIEW touches AS SELECT deal_id, day FROM done WHERE deal_id IS NOT NULL"
_LAST_TOUCHES = """
SELECT deal_id, max(day) AS day FROM touches SEMI JOIN (FROM known WHERE status = 'open') USING (deal_id)
WHERE day <= ? GROUP BY deal_id ORDER BY deal_id
"""


@dataclass(frozen=True)
class Work:
    """Of everybody at once; `covered` is the period of the coverage, `touches` when open deals were last worked on."""

    velocities: Velocities
    covered: Period
    coverages: Mapping[Scope, Coverage]
    processes: Mapping[str, Mapping[Scope, Process]]
    risk: Risk
    criteria: Mapping[tuple[str, str], tuple[Criterion, ...]]
    touches: pd.DataFrame
    tells_quiet: bool

    @classmethod
    def of(cls, making: Making, plan: Plan, since: Future[date | None], reps: pd.DataFrame) -> Work:
        """`since` will be the first day from which stages are recorded; `reps`: who has pages."""
        as_of, now = making.as_of, plan.compared["now"]
        with closing(making.snapshot.known(as_of, TABLES)) as connection:
            make_room(connection)
            record(connection, as_of, zone=making.settings.time_zone)
            connection.execute(_TOUCHES)
            can_be_quiet = tells_quiet(connection, as_of)
            flags = [flag for flag in FLAGS if can_be_quiet or flag != "quiet"]
            at_risk = risk(connection, as_of, touches="touches", flags=flags)
            criteria = _criteria(compliance(connection, making.settings.stages, {"now": now}, as_of), reps)
            begun, covered = since.result(), _covered(connection, making.period)
            names: tuple[str, ...] = ("now", "previous")
            processes = {
                name: _processes(connection, making, begun, plan.compared[name])
                for name in names
                if name in plan.compared
            }
            return cls(
                velocities=velocity(connection, now, as_of, since=begun),
                covered=covered,
                coverages=coverage(connection, covered, as_of, since=begun),
                processes=processes,
                risk=at_risk,
                criteria=criteria,
                touches=connection.execute(_LAST_TOUCHES, [as_of]).df(),
                tells_quiet=can_be_quiet,
            )

    def of_scope(self, scope: tuple[Any, str]) -> dict[str, Any]:
        """Parts of the document of one rep or team."""
        return {
            "velocity": self.velocities.scopes.get(scope),
            "coverage": self.coverages.get(scope),
            "process": self.processes["now"].get(scope),
            "process_before": self.processes.get("previous", {}).get(scope),
            "criteria": self.criteria.get(scope, ()),
        }


def _covered(connection: DuckDBPyConnection, period: Period) -> Period:
    """The period itself, or, where quotas are for quarters, the quarter that a month ends in."""
    quotas = connection.execute("SELECT 1 FROM known_quotas WHERE period = ? LIMIT 1", [period.id]).fetchall()
    if quotas or period.kind not in ("month", "week"):
        return period
    return Period.containing("quarter", period.span.last, period.fiscal)


def _processes(
    connection: DuckDBPyConnection, making: Making, since: date | None, span: Span
) -> Mapping[Scope, Process]:
    """Of the span; the conversion is of leads whose time to convert ended in it, since those of the span are too young."""
    proposal = making.settings.stages.find("proposal")
    sent = proposal.spellings if proposal else ()
    found = process(connection, span, making.as_of, since=since, proposal=sent)
    aged = conversions(connection, span, making.as_of, horizon_days=LEAD_DAYS)
    return {scope: replace(done, conversion=aged[scope], too_young=0) for scope, done in found.scopes.items()}


def _criteria(found: pd.DataFrame, reps: pd.DataFrame) -> Mapping[tuple[str, str], tuple[Criterion, ...]]:
    """By kind and id: of each rep, of each team by who is in it, and of all ('all', '')."""
    told = found.dropna(subset=["place"])
    told = told.assign(people=((told["known"] > 0) & told["rep_id"].notna()).astype(int))
    there = told.merge(reps[["id", "team_id"]].rename(columns={"id": "rep_id"}), on="rep_id", how="left")
    levels = [
        there.assign(kind="rep", id=there["rep_id"]),
        there.assign(kind="team", id=there["team_id"]),
        there.assign(kind="all", id=""),
    ]
    summed = (
        pd.concat(levels).dropna(subset=["id"])
        .groupby(["kind", "id", "place", "stage", "moment", "criterion"], dropna=False)
        [["visits", "known", "met", "people"]].sum(min_count=1)
        .reset_index()
    )  # fmt: skip
    criteria = defaultdict(list)
    columns = (
        summed[name].tolist()
        for name in ("kind", "id", "stage", "moment", "criterion", "visits", "known", "met", "people")
    )
    for kind, name, stage, moment, place, visits, known, met, people in zip(*columns, strict=True):
        criteria[kind, name].append(
            Criterion(stage, moment, _whole(place), visits, known, _whole(met), people)
        )
    return {key: tuple(each) for key, each in criteria.items()}


def _whole(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)
