"""What benchmarks of slices share: a company of 10,000 reps, published, and the time that a slice of it takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from coachbook.access import Scope
from coachbook.warehouse import Snapshot
from coachbook.warehouse.database import attach, in_memory
from coachbook.warehouse.slices import cut
from tests.bench.companies import published, snapshot
from tests.bench.import_publish import REPS

LETTERS = 16_000
"""About as many as a rep's figures have."""


@dataclass(frozen=True)
class Table:
    """Where slices are cut."""

    snapshot: Snapshot
    facts: Path
    folder: Path

    def milliseconds(self, scope: Scope) -> float:
        """How long one takes: a new one at the first call of a scope, later the same again."""
        target = self.folder / f"{scope.kind}-{scope.id}.duckdb"
        begun = perf_counter()
        cut(
            self.snapshot, self.facts, target, scope=scope, as_of=self.snapshot.as_of, reader="manager",
            named=False, about={},
        )  # fmt: skip
        return (perf_counter() - begun) * 1000

    def reps(self, count: int) -> list[Scope]:
        """So many reps, from all over the company."""
        people = self.snapshot.people(self.snapshot.as_of).at(self.snapshot.as_of).people
        reps = [rep_id for rep_id, tenure in people.items() if tenure.role == "rep"]
        return [Scope("rep", rep_id) for rep_id in reps[:: len(reps) // count][:count]]


def table(folder: Path) -> Table:
    """The roster is in memory, as in a server that has checked whose page was asked for."""
    source = snapshot(published(REPS))
    return Table(source, _figures(source, folder / "facts.duckdb"), folder)


def _figures(source: Snapshot, path: Path) -> Path:
    """Facts as large as real ones: a text for each person, who is everybody's peer."""
    roster = source.people(source.as_of).at(source.as_of)
    with in_memory() as connection:
        attach(connection, path, "facts", read_only=False)
        connection.execute(
            "CREATE TEMP TABLE ids AS SELECT unnest($ids) AS id, unnest($teams) AS team_id",
            {"ids": list(roster.people), "teams": [tenure.team_id for tenure in roster.people.values()]},
        )
        connection.execute(
            f"""
            CREATE TABLE facts.scopes AS SELECT 'rep' AS kind, id, id AS name, team_id,
                (SELECT string_agg(md5(id || n), '') FROM range({LETTERS // 32}) AS t(n)) AS body FROM ids;
            CREATE VIEW facts.pages AS SELECT kind, id, body FROM facts.scopes;
            CREATE TABLE facts.everyone AS SELECT '{{}}' AS body, true AS open;
            CREATE TABLE facts.touches (deal_id VARCHAR, day DATE);
            CREATE TABLE facts.peers AS SELECT id AS rep_id, id AS name, team_id,
                0.5::DOUBLE AS value, 0.4::DOUBLE AS low, 0.6::DOUBLE AS high, 9::BIGINT AS n FROM ids
            """
        )
    return path
