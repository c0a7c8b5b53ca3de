"""Milliseconds to cut what one rep's page may see out of 10,000 reps' data; and to find it cut already."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from time import perf_counter

from coachbook.access import Scope
from coachbook.settings import Workspace
from coachbook.warehouse.database import attach, in_memory
from coachbook.warehouse.slices import cut
from tests.bench.companies import imported, snapshot
from tests.bench.import_publish import REPS
from tests.bench.yard import Row, say

ROUNDS = 25
TARGET_MS = 30.0


def measure(folder: Path) -> Row:
    """The median over reps; figures are there but empty."""
    workspace, _took = imported(REPS, folder / "workspace")
    facts = _no_figures(folder / "facts.duckdb")
    reps = [
        t.rep_id for t in snapshot(workspace).people(snapshot(workspace).as_of).tenures if t.role == "rep"
    ]
    fresh = [
        _cut(workspace, facts, folder / f"{n}.duckdb", rep)
        for n, rep in enumerate(reps[:: len(reps) // ROUNDS])
    ]
    again = [_cut(workspace, facts, folder / "0.duckdb", reps[0]) for _round in range(ROUNDS)]
    say(f"  cut already: {median(again):.2f} ms")
    return Row("slice_of_a_rep", median(fresh), "ms", target=TARGET_MS)


def _cut(workspace: Workspace, facts: Path, target: Path, rep: str) -> float:
    source = snapshot(workspace)
    begun = perf_counter()
    cut(
        source,
        facts,
        target,
        scope=Scope("rep", rep),
        as_of=source.as_of,
        reader="rep",
        named=False,
        about={},
    )
    return (perf_counter() - begun) * 1000


def _no_figures(path: Path) -> Path:
    with in_memory() as connection:
        attach(connection, path, "facts", read_only=False)
        connection.execute(
            """
            CREATE TABLE facts.pages (kind VARCHAR, id VARCHAR, body VARCHAR);
            CREATE TABLE facts.scopes (kind VARCHAR, id VARCHAR, name VARCHAR, team_id VARCHAR, body VARCHAR);
            CREATE TABLE facts.everyone AS SELECT '{}' AS body, false AS open;
            CREATE TABLE facts.peers (rep_id VARCHAR, name VARCHAR, team_id VARCHAR, value DOUBLE, low DOUBLE, high DOUBLE, n BIGINT)
            """
        )
    return path
