"""The facts of retrospectives: one period and as-of, for everybody at once."""

from __future__ import annotations

import json
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pandas as pd
from duckdb import DuckDBPyConnection

from coachbook.facts import company, file, shards
from coachbook.facts.file import Making
from coachbook.facts.observed import KINDS, Kind, date_deals, entities, observe, tally
from coachbook.facts.plan import Plan
from coachbook.facts.shards import Shard
from coachbook.metrics.registry import MAIN
from coachbook.model.findings import K_ANONYMOUS
from coachbook.model.people import People
from coachbook.settings import Settings
from coachbook.stats.sides import Ints


def build(making: Making, executor: Executor | None) -> None:
    """Write the facts file (see `file.write`).

    `executor` works on the shards of a large company; None: here, one after another.
    """
    snapshot, settings, as_of = making.snapshot, making.settings, making.as_of
    period = making.period
    people = snapshot.people(as_of)
    with closing(snapshot.known(as_of)) as connection:
        plan = Plan.make(connection, period, as_of)
        both = [_gather(connection, people, plan, settings, kind) for kind in KINDS]
    scopes = pd.concat([g.who.assign(kind=g.kind, body=_made(g, executor)) for g in both])
    everyone = {is_open: json.dumps(body) for is_open, body in both[0].everyone.items()}
    file.write(making.target, scopes, everyone, peers=both[0].strip)


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
