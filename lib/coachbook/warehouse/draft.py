"""The next snapshot while it is written: exports are taken over, then everything is resolved and published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path

from duckdb import DuckDBPyConnection

from coachbook.model.tables import TABLES
from coachbook.warehouse import versions
from coachbook.warehouse.layout import LAYOUT, stamp
from coachbook.warehouse.resolve import RESOLVED, Terms, resolve
from coachbook.warehouse.snapshot import Snapshot

PUBLISHES = "CREATE TABLE publishes (as_of DATE PRIMARY KEY, settings VARCHAR NOT NULL)"
KEPT_TABLES = (*TABLES, "exports", "publishes")

Sums = dict[str, tuple[int, int]]
"""Per table, the number of rows and a sum of their hashes."""


def empty(connection: DuckDBPyConnection) -> None:
    """Make the tables of a snapshot without data in the database in use."""
    for table in TABLES.values():
        connection.execute(versions.ddl(table))
    connection.execute(f"{versions.LEDGER}; {PUBLISHES}")


@dataclass
class Draft:
    """The next snapshot while it is written; `Snapshots.drafting` makes one.

    `connection` has `current.<table>` (read-only; empty tables before the first import) and room for
    temporary tables.
    """

    connection: DuckDBPyConnection
    current: Snapshot | None
    path: Path
    _finish: Callable[[Path, str, date, Sums], Snapshot]
    _standing: dict[str, str] = field(default_factory=dict)
    _taken: int = 0

    def standing(self, table: str, as_of: date) -> str:
        """A relation: the rows in force at that day before this import, canonical columns only."""
        known = versions.in_force(
            TABLES[table], f"current.{table}", f"DATE '{as_of}'", exports="current.exports"
        )
        columns = ", ".join(f'"{name}"' for name in TABLES[table].names)
        return f"(SELECT {columns} FROM ({known}))"

    def take(
        self, table: str, rows: str, *, source: str, as_of: date, complete: bool = False, kept: str = ""
    ) -> None:
        """Take over what an export shows of a table.

        Parameters
        ----------
        table
            Name of a canonical table.
        rows
            Name of a relation with that table's columns; keys are unique, empty parts equal each other.
        source
            Whose exports these are; days before and after are looked for among the same source's.
        as_of
            The day at whose end the export was made.
        complete
            The export shows every row: those it lacks were gone by then.
        kept
            Name of a relation with the key columns of rows that are there but could not be read.
        """
        declared = TABLES[table]
        export = self._ledger(table, source, as_of, complete=complete)
        old = self._standing.get(table, f"current.{table}")
        if self._empty(old):
            columns = ", ".join(f'"{name}"' for name in declared.names)
            query = f"SELECT {columns}, '{versions.quoted(source)}' AS _source, DATE '{as_of}' AS _first, DATE '{as_of}' AS _last FROM {rows}"
            kind = "VIEW"
        else:
            query, kind = versions.merged(declared, export, old=old, new=rows, kept=kept), "TABLE"
        self._taken += 1
        self._standing[table] = f"taken_{self._taken}"
        self.connection.execute(f"CREATE TEMP {kind} taken_{self._taken} AS {query}")

    def publish(self, *, as_of: date, settings: str) -> Snapshot:
        """Finish, check and switch to the new snapshot; the same content gives the current one again.

        Parameters
        ----------
        as_of
            The publish instant.
        settings
            What changes figures, as JSON; in force from `as_of` on.

        Raises
        ------
        Refused
            An amount has no rate into the currency that the settings name.
        """
        run = self.connection.execute
        run(f"USE next; {PUBLISHES}; {versions.LEDGER}; USE memory")
        for name, table in TABLES.items():
            run(f"USE next; {versions.ddl(table)}; USE memory")
            run(f"INSERT INTO next.{name} BY NAME FROM {self._standing.get(name, f'current.{name}')}")
        run("INSERT INTO next.exports FROM " + ("ledger" if self._taken else "current.exports"))
        run("INSERT INTO next.publishes FROM current.publishes WHERE as_of <> ?", [as_of])
        run("INSERT INTO next.publishes VALUES (?, ?)", [as_of, settings])
        sums = {name: summed(self.connection, f"next.{name}") for name in KEPT_TABLES}
        resolve(self.connection, Terms.of(as_of, settings), raw="next", out="next")
        sums |= {name: summed(self.connection, f"next.{name}") for name in RESOLVED}
        content = sha256(f"{LAYOUT} {sorted(sums.items())}".encode()).hexdigest()[:8]
        stamp(self.connection, "next")
        run("CHECKPOINT next; USE memory; DETACH next")
        return self._finish(self.path, f"{as_of}-{content}", as_of, sums)

    def _ledger(self, table: str, source: str, as_of: date, *, complete: bool) -> versions.Export:
        """Enter the export among the source's others, and say between which it lies."""
        run = self.connection.execute
        run("CREATE TEMP TABLE IF NOT EXISTS ledger AS FROM current.exports")
        days = run(
            'SELECT as_of FROM ledger WHERE source = ? AND "table" = ? ORDER BY as_of', [source, table]
        ).fetchall()
        known = [day for (day,) in days]
        run('DELETE FROM ledger WHERE source = ? AND "table" = ? AND as_of = ? AND NOT complete', [source, table, as_of])  # fmt: skip
        run(
            "INSERT INTO ledger SELECT $source, $table, $day, $complete WHERE NOT EXISTS "
            '(FROM ledger WHERE source = $source AND "table" = $table AND as_of = $day)',
            {"source": source, "table": table, "day": as_of, "complete": complete},
        )
        return versions.Export(
            source=source, as_of=as_of, complete=complete, again=as_of in known,
            before=max((day for day in known if day < as_of), default=None),
            after=min((day for day in known if day > as_of), default=None),
        )  # fmt: skip

    def _empty(self, relation: str) -> bool:
        return not self.connection.execute(f"SELECT 1 FROM {relation} LIMIT 1").fetchall()


def summed(connection: DuckDBPyConnection, relation: str) -> tuple[int, int]:
    """How many rows, and a sum of their hashes that does not depend on their order."""
    found = connection.execute(
        f"SELECT count(*), coalesce(sum(hash(t)::HUGEINT), 0)::HUGEINT FROM {relation} AS t"
    ).fetchall()
    return int(found[0][0]), int(found[0][1])
