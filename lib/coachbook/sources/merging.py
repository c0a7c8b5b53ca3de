"""One table of one export: its rows from all files, each key once, ready to be taken over."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from duckdb import DuckDBPyConnection

from coachbook.errors import Refused
from coachbook.model.tables import Table
from coachbook.sources.accounting import SUPERSEDED, FileAccount, Sample
from coachbook.sources.plan import Reading
from coachbook.sources.values import literal
from coachbook.text import N_
from coachbook.warehouse import Draft

REMOVABLE = ("leads", "deals", "deal_lines", "splits", "activities", "quotas", "collections", "costs")
"""Tables from which a full export removes what it lacks; people, customers, products, rates and history stay."""
_SAMPLE = 5


@dataclass(frozen=True)
class Batch:
    """The readings of one table that show the same source's state of the same day."""

    number: int
    draft: Draft
    readings: tuple[Reading, ...]
    as_of: date
    full: bool

    @property
    def table(self) -> Table:
        """The canonical table."""
        return self.readings[0].table

    @property
    def source(self) -> str:
        """Whose exports these are."""
        return self.readings[0].intake.source

    def merge(self) -> None:
        """Make the relation of good rows; where a key comes twice, the later row stands."""
        run, name, keys = self._connection.execute, f"new_{self.number}", self._keys
        good = f"({self._every}) WHERE _fault IS NULL AND _drop IS NULL"
        run(f"CREATE TEMP VIEW good_{self.number} AS FROM {good}")
        run(
            f"CREATE TEMP TABLE twice_{self.number} AS "
            f"SELECT hash({keys}) AS key FROM good_{self.number} GROUP BY key HAVING count(*) > 1"
        )
        late = ""
        if self._count(f"twice_{self.number}"):
            run(
                f"CREATE TEMP TABLE late_{self.number} AS SELECT _reading, _line FROM good_{self.number} "
                f"WHERE hash({keys}) IN (FROM twice_{self.number}) "
                f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY _reading DESC, _line DESC) > 1"
            )
            late = f" ANTI JOIN late_{self.number} USING (_reading, _line)"
        run(f"CREATE TEMP VIEW {name} AS SELECT * FROM good_{self.number}{late}")

    @cached_property
    def accounts(self) -> dict[int, FileAccount]:
        """What became of the rows of each reading."""
        loaded = self._by_reading(f"FROM new_{self.number}")
        good = self._by_reading(f"FROM good_{self.number}")
        faulty = self._by_reading(f"FROM ({self._every}) WHERE _fault IS NOT NULL AND _drop IS NULL")
        unchanged, repeated = self._unchanged(), self._repeated()
        return {
            r.number: FileAccount(
                file=r.file.name, table=self.table.name, rows=r.file.loaded.rows, loaded=loaded[r.number],
                quarantined=faulty[r.number] + len(r.misshapen), unchanged=unchanged[r.number],
                dropped=self._dropped(r, good[r.number] - loaded[r.number]), repeated=repeated[r.number],
                encoding=r.file.reader.encoding.removesuffix("-sig"),
            )
            for r in self.readings
        }  # fmt: skip

    @property
    def shows(self) -> bool:
        """Whether there is anything to hand over."""
        return self._complete or any(account.loaded for account in self.accounts.values())

    @property
    def changes(self) -> bool:
        """Whether it shows anything else than what stands."""
        loaded, unchanged = (
            sum(getattr(account, name) for account in self.accounts.values())
            for name in ("loaded", "unchanged")
        )
        return loaded > unchanged or (
            self._complete and self._count(self._last) > loaded + self._count(self._kept)
        )

    def take(self) -> None:
        """Hand it over to the draft.

        Raises
        ------
        Refused
            A full export without a single row would remove everything.
        """
        complete = self._complete
        if complete and not any(r.file.loaded.rows for r in self.readings) and self._count(self._standing):
            raise Refused(
                N_("{file} has no rows, and a full export would remove everything of {table}. Export it again, or import it as partial."),
                file=self.readings[0].file.name, table=self.table.name,
            )  # fmt: skip
        self.draft.take(
            self.table.name, f"new_{self.number}", source=self.source, as_of=self.as_of, complete=complete,
            kept=self._kept,
        )  # fmt: skip

    def sample(self) -> Sample:
        """The first rows."""
        names = ", ".join(f'"{name}"' for name in self.table.names)
        rows = self._connection.execute(
            f"SELECT {names} FROM new_{self.number} ORDER BY _reading, _line LIMIT {_SAMPLE}"
        ).fetchall()
        return Sample(self.table.name, tuple(self.table.names), tuple(rows))

    @property
    def _connection(self) -> DuckDBPyConnection:
        return self.draft.connection

    @property
    def _keys(self) -> str:
        return ", ".join(f'"{name}"' for name in self.table.key)

    @property
    def _every(self) -> str:
        return " UNION ALL ".join(f"SELECT {r.number} AS _reading, * FROM {r.judged}" for r in self.readings)

    @property
    def _standing(self) -> str:
        return self.draft.standing(self.table.name, self.as_of)

    @property
    def _last(self) -> str:
        """What the source's last export showed."""
        last = f"SELECT max(as_of) FROM current.exports WHERE source = {literal(self.source)} AND \"table\" = '{self.table.name}'"
        return f"(FROM current.{self.table.name} WHERE _source = {literal(self.source)} AND _last = ({last}))"

    @cached_property
    def _kept(self) -> str:
        """Keys of rows that are there but cannot be used."""
        self._connection.execute(
            f"CREATE TEMP TABLE kept_{self.number} AS SELECT DISTINCT {self._keys} FROM ({self._every}) "
            "WHERE _fault IS NOT NULL AND _drop IS NULL"
        )
        return f"kept_{self.number}"

    @cached_property
    def _complete(self) -> bool:
        """Whether it shows every row: not while one is in quarantine whose key cannot be told."""
        if not self.full or self.table.name not in REMOVABLE:
            return False
        needed = [name for name in self.table.key if self.table.column(name).required]
        unknown = " OR ".join(f'"{name}" IS NULL' for name in needed)
        return not self._count(f"(FROM {self._kept} WHERE {unknown})") and not any(
            r.misshapen for r in self.readings
        )

    def _unchanged(self) -> Counter[int]:
        if not self._count(f"(FROM current.{self.table.name} LIMIT 1)"):
            return Counter()
        same = " AND ".join(f'n."{name}" IS NOT DISTINCT FROM s."{name}"' for name in self.table.names)
        return self._by_reading(f"FROM new_{self.number} AS n SEMI JOIN {self._standing} AS s ON {same}")

    def _repeated(self) -> Counter[int]:
        """Rows that say the same as another of the file, but for their id."""
        if len(self.table.key) > 1:
            return Counter()
        content = ", ".join(f'"{name}"' for name in self.table.names if name not in self.table.key)
        again = (
            f"SELECT _reading, count(*) - 1 AS more FROM new_{self.number} GROUP BY _reading, hash({content})"
        )
        rows = self._connection.execute(
            f"SELECT _reading, sum(more)::BIGINT FROM ({again}) GROUP BY ALL"
        ).fetchall()
        return Counter(dict(rows))

    def _dropped(self, reading: Reading, superseded: int) -> dict[str, int]:
        rows = self._connection.execute(
            f"SELECT _drop, count(*) FROM {reading.judged} WHERE _drop IS NOT NULL GROUP BY _drop"
        ).fetchall()
        dropped = Counter(dict(rows)) + Counter(reading.footers) + Counter({SUPERSEDED: superseded})
        return dict(sorted(dropped.items()))

    def _by_reading(self, what: str) -> Counter[int]:
        return Counter(
            dict(self._connection.execute(f"SELECT _reading, count(*) {what} GROUP BY _reading").fetchall())
        )

    def _count(self, relation: str) -> int:
        found = self._connection.execute(f"SELECT count(*) FROM {relation}").fetchall()
        return int(found[0][0])
