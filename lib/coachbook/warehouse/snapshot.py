"""One immutable version of the warehouse, and what was known at a day."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from pathlib import Path

from duckdb import DuckDBPyConnection

from coachbook.errors import NotFound
from coachbook.model.people import People
from coachbook.model.tables import TABLES
from coachbook.text import N_
from coachbook.warehouse.database import attach, in_memory
from coachbook.warehouse.layout import IN_GROUPS, attach_snapshot
from coachbook.warehouse.resolve import Terms, resolve
from coachbook.warehouse.rosters import people_as_known
from coachbook.warehouse.versions import in_force

SPILL = "spill"
SIMULATED = "simulated"
"""The source that the simulator names."""
_VIEWS = {
    "known": "deal_state", "known_history": "deal_history", "known_visits": "stage_visits",
    "known_roster": "roster", "known_days": "days", "known_credits": "credits", "known_rates": "rates",
}  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """One immutable version of the warehouse.

    Parameters
    ----------
    id
        `<as_of>-<8 hex digits of the content>`.
    path
        The DuckDB file: the tables of `model/tables.py` with their versions, `exports`, `publishes`, and
        what `resolve` makes of them as known at `as_of`.
    as_of
        The publish instant: the end of that day, the latest of all imports in it.
    """

    id: str
    path: Path
    as_of: date

    def connect(self) -> DuckDBPyConnection:
        """A connection in which the snapshot is attached, read-only and in use, as `snapshot`.

        Raises
        ------
        NotFound
            The file is gone: it was pruned, or deleted by hand.
        Refused
            The file is damaged, or another version of coachbook wrote it.
        """
        self._there()
        connection = in_memory(self.path.parent / SPILL)
        attach_snapshot(connection, self.path, "snapshot")
        connection.execute("USE snapshot")
        return connection

    def known(self, as_of: date, tables: Iterable[str] = ()) -> DuckDBPyConnection:
        """A connection as `connect`, with what was known at the end of the day `as_of`.

        Views: `known` (one row per deal), `known_history` (its states), `known_visits` (of stages), `known_roster`,
        `known_credits` (who shares in a deal), `known_days` (the calendar), `known_rates` (into the reporting currency). Days other than the snapshot's own
        are resolved on first request, which takes a while where there are millions of events, and kept in a file.

        Parameters
        ----------
        tables
            Canonical tables that get a view `known_<table>` as well: rows in force, with `_source`, `_first`, `_last`.

        Raises
        ------
        NotFound
            As `connect`.
        """
        resolved = self.resolved(as_of)
        connection = self.connect()
        catalogue = "snapshot" if resolved == self.path else "resolved"
        if resolved != self.path:
            attach(connection, resolved, catalogue)
        for view, resolved_table in _VIEWS.items():
            connection.execute(f"CREATE TEMP VIEW {view} AS FROM {catalogue}.{resolved_table}")
        for name in tables:
            connection.execute(f"CREATE TEMP VIEW known_{name} AS {self._in_force(connection, name, as_of)}")
        return connection

    def resolved(self, as_of: date) -> Path:
        """The file with what was known at the end of a day: the tables of `resolve.RESOLVED`; made if missing.

        Raises
        ------
        NotFound
            As `connect`.
        """
        self._there()
        if as_of == self.as_of:
            return self.path
        target = self.path.parent.parent / "known" / self.id / f"{as_of}.duckdb"
        if not target.is_file():
            self._resolve(as_of, target)
        return target

    def people(self, as_of: date) -> People:
        """Everybody as known at the end of the day `as_of`, without resolving the deals of that day.

        Raises
        ------
        NotFound
            As `connect`.
        """
        return _people(self, as_of)

    @property
    def made_up(self) -> bool:
        """Whether any of it comes from the simulator: every page says so."""
        return _made_up(self)

    def settings_at(self, as_of: date, /) -> str:
        """The settings, as JSON, in force at the end of that day; before the first publish, the first."""
        return _settings(self, as_of)

    def _there(self) -> None:
        if not self.path.is_file():
            raise NotFound(N_("The snapshot {id} is not there any more. Open the page again."), id=self.id)

    def _in_force(self, connection: DuckDBPyConnection, name: str, as_of: date) -> str:
        exports = connection.execute('SELECT count(*) FROM exports WHERE "table" = ?', [name]).fetchall()
        if exports == [(1,)]:  # nothing was ever shown anew: no need to look for later versions
            return f"FROM snapshot.{name}"
        return in_force(TABLES[name], f"snapshot.{name}", f"DATE '{as_of}'", exports="snapshot.exports")

    def _resolve(self, as_of: date, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
        terms = Terms.of(as_of, self.settings_at(as_of))
        try:
            with closing(self.connect()) as connection:
                attach(connection, aside, "resolved", read_only=False, layout=IN_GROUPS)
                aside.chmod(0o600)
                connection.execute("USE memory")
                resolve(connection, terms, raw="snapshot", out="resolved")
                connection.execute("DETACH resolved")
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)


@cache
def _made_up(snapshot: Snapshot) -> bool:
    with closing(snapshot.connect()) as connection:
        return bool(
            connection.execute("SELECT 1 FROM exports WHERE source = ? LIMIT 1", [SIMULATED]).fetchall()
        )


@lru_cache(maxsize=16)
def _people(snapshot: Snapshot, as_of: date) -> People:
    with closing(snapshot.connect()) as connection:
        return people_as_known(connection, as_of, raw="snapshot")


@cache
def _settings(snapshot: Snapshot, as_of: date) -> str:
    with closing(snapshot.connect()) as connection:
        found = connection.execute(
            "SELECT settings FROM publishes ORDER BY as_of > ?, abs(as_of - ?) LIMIT 1", [as_of, as_of]
        ).fetchone()
    assert found is not None
    return str(found[0])
