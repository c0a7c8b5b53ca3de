"""Build the facts of one period and as-of for everybody at once."""

from __future__ import annotations

import json
import secrets
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from duckdb import DuckDBPyConnection

from coachbook.facts import company, shards
from coachbook.facts.observed import Kind, date_deals, entities, observe, tally
from coachbook.facts.plan import Plan
from coachbook.facts.shards import Shard
from coachbook.metrics.registry import MAIN
from coachbook.model.findings import K_ANONYMOUS
from coachbook.model.people import People
from coachbook.model.periods import Period
from coachbook.settings import Settings
from coachbook.stats.sides import Ints
from coachbook.warehouse import Snapshot
from coachbook.warehouse.database import attach, in_memory


def build(
    snapshot: Snapshot,
    settings: Settings,
    period: Period,
    as_of: date,
    target: Path,
    executor: Executor | None,
) -> None:
    """Write the facts file: `pages` (a document per rep and team), `scopes` (who they are), `everyone`, `peers`.

    `executor` works on the shards of a large company; None: here, one after another.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    people = snapshot.people(as_of)
    with closing(snapshot.known(as_of)) as connection:
        plan = Plan.make(connection, period, as_of)
        reps = _gather(connection, people, plan, settings, "rep")
        teams = _gather(connection, people, plan, settings, "team")
    bodies = [_made(gathered, executor) for gathered in (reps, teams)]
    aside = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    try:
        with closing(in_memory()) as connection:
            _write(connection, aside, (reps, teams), bodies)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Gathered:
    """What the pages of all reps, or of all teams, are made of: `who`, by shards their codes and rows; the company."""

    kind: Kind
    who: pd.DataFrame
    shards: list[tuple[Ints, Shard]]
    strip: pd.DataFrame
    everyone: dict[bool, dict[str, Any]]


def _gather(
    connection: DuckDBPyConnection, people: People, plan: Plan, settings: Settings, kind: Kind
) -> _Gathered:
    who = entities(people, plan, kind)
    compared = date_deals(connection, plan, who, kind)
    rows = {metric: observe(connection, plan, who, metric) for metric in MAIN}
    tallied = {metric: tally(connection, metric) for metric in company.TALLIED}
    strip = company.strip(tallied[company.STRIP_METRIC], who)
    trends = {m: company.trend(MAIN[m], tallied[m], plan, len(who)) for m in company.TREND_METRICS}
    bands = company.bands(strip, who)
    shown = [
        {"trend": {m: points[e] for m, points in trends.items()}, "bands": bands[e], "partial": plan.partial}
        for e in range(len(who))
    ]
    return _Gathered(
        kind, who, list(shards.cut(rows, who, plan, settings, compared=compared, shown=shown)), strip,
        {True: company.everyone(tallied, plan, len(who), fewest=1),
         False: company.everyone(tallied, plan, len(who), fewest=K_ANONYMOUS + 1)},
    )  # fmt: skip


def _made(gathered: _Gathered, executor: Executor | None) -> list[str]:
    """The document of each entity, in the order of `who`."""
    parts = [shard for _mine, shard in gathered.shards]
    run = map if executor is None or len(parts) == 1 else executor.map
    bodies = [""] * len(gathered.who)
    for (mine, _shard), made in zip(gathered.shards, run(shards.pages, parts), strict=True):
        for e, body in zip(mine, made, strict=True):
            bodies[e] = body
    return bodies


def _write(
    connection: DuckDBPyConnection, path: Path, both: tuple[_Gathered, ...], bodies: list[list[str]]
) -> None:
    """One file: documents by scope, figures of everyone, and people by name."""
    attach(connection, path, "facts", read_only=False)
    path.chmod(0o600)
    scopes = pd.concat(
        [
            g.who[["id", "name", "team_id"]].assign(kind=g.kind, body=b)
            for g, b in zip(both, bodies, strict=True)
        ]
    )
    reps = both[0]
    everyone = pd.DataFrame([(json.dumps(b), o) for o, b in reps.everyone.items()], columns=["body", "open"])
    tables = {
        "scopes": scopes[["kind", "id", "name", "team_id", "body"]].astype("str"), "everyone": everyone, "peers": reps.strip
    }  # fmt: skip
    for name, frame in tables.items():
        connection.register("frame", frame)
        connection.execute(f"CREATE TABLE facts.{name} AS SELECT * FROM frame")
        connection.unregister("frame")
    connection.execute("CREATE VIEW facts.pages AS SELECT kind, id, body FROM scopes")
    connection.execute("DETACH facts")
