"""Immutable versions of the warehouse: one DuckDB file each, written aside, checked, then switched to.

In `<store>/snapshots/`: `<id>.duckdb`, and `current`, a text file that names one. A crash at any
moment leaves the old one current; whoever has a snapshot open keeps reading it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from coachbook.errors import NotFound, Refused
from coachbook.model.tables import TABLES, Table
from coachbook.text import N_

KEPT = 10
"""How many snapshots are kept; the current one always is."""
PATIENCE_SECONDS = 60.0
"""How long an import waits for another one to end."""

_ID = re.compile(r"(\d{4}-\d{2}-\d{2})-[0-9a-f]{8}")
_ASIDE = "aside-"
_SPILL = "spill"

_PUBLISHES = """CREATE TABLE publishes (as_of DATE PRIMARY KEY, settings VARCHAR NOT NULL)"""
_DEAL_STATE = """
SELECT deals.deal_id, deals.name, deals.rep_id, reps.team_id, deals.account_id, accounts.name AS account,
       products.name AS product, deals.stage, deals.status, deals.created_on, deals.close_on,
       deals.amount_minor, deals.currency
FROM deals
LEFT JOIN reps USING (rep_id)
LEFT JOIN accounts USING (account_id)
LEFT JOIN products USING (product_id)
ORDER BY deals.rep_id, deals.deal_id
"""
_KEYS = {**{name: table.key for name, table in TABLES.items()}, "publishes": "as_of", "deal_state": "deal_id"}


def in_memory(spill: Path | None = None) -> DuckDBPyConnection:
    """An in-memory connection that never reaches for the network; `spill` takes what memory cannot hold."""
    config: dict[str, Any] = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    return duckdb.connect(":memory:", config=config | ({"temp_directory": str(spill)} if spill else {}))


def attach(connection: DuckDBPyConnection, path: Path, name: str, *, read_only: bool = True) -> None:
    """Attach a DuckDB file under a name."""
    quoted = str(path).replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS {name}{' (READ_ONLY)' if read_only else ''}")


@dataclass(frozen=True)
class Snapshot:
    """One immutable version of the warehouse.

    Parameters
    ----------
    id
        `<as_of>-<8 hex digits of the content>`.
    path
        The DuckDB file: tables of `model/tables.py`, `publishes` and `deal_state`.
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
        """
        if not self.path.is_file():
            raise NotFound(N_("The snapshot {id} is not there any more. Open the page again."), id=self.id)
        connection = in_memory(self.path.parent / _SPILL)
        attach(connection, self.path, "snapshot")
        connection.execute("USE snapshot")
        return connection

    def settings_at(self, as_of: date, /) -> str:
        """The settings, as JSON, in force at the end of that day; before the first publish, the first."""
        return _settings(self, as_of)


@cache
def _settings(snapshot: Snapshot, as_of: date) -> str:
    with closing(snapshot.connect()) as connection:
        found = connection.execute(
            "SELECT settings FROM publishes ORDER BY as_of > ?, abs(as_of - ?) LIMIT 1", [as_of, as_of]
        ).fetchone()
    assert found is not None
    return str(found[0])


@dataclass
class Draft:
    """The next snapshot while it is written; `Snapshots.drafting` makes one.

    `connection` has `current.<table>` (read-only; empty tables before the first import) and room for
    temporary tables.
    """

    connection: DuckDBPyConnection
    current: Snapshot | None
    path: Path
    _store: Snapshots
    _superseded: set[str] = field(default_factory=set)

    def supersede(self, table: str, rows: str, *, keep: str = "") -> None:
        """Take over the rows of the relation `rows`; rows of the current snapshot stay where no key matches.

        Parameters
        ----------
        table
            Name of a canonical table.
        rows
            Name of a relation with that table's columns; keys are unique.
        keep
            Name of a relation with the key column. If given, rows whose key is not in it do not stay.
        """
        self._fill(TABLES[table], rows, keep)
        self._superseded.add(table)

    def changed(self) -> bool:
        """Whether anything superseded so far differs from the current snapshot."""
        return any(self._differs(TABLES[name]) for name in self._superseded)

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
            The settings name a currency for which the deals have no rate.
        """
        for name, table in TABLES.items():
            if name not in self._superseded:
                self._fill(table)
        self._one_currency(json.loads(settings)["currency"])
        self.connection.execute(f"USE next; {_PUBLISHES}")
        self.connection.execute("INSERT INTO publishes FROM current.publishes WHERE as_of <> ?", [as_of])
        self.connection.execute("INSERT INTO publishes VALUES (?, ?)", [as_of, settings])
        self.connection.execute(f"CREATE TABLE deal_state AS {_DEAL_STATE}")
        id = f"{as_of}-{self._content()}"  # noqa: A001
        counts = self._counts()
        self.connection.execute("CHECKPOINT next; USE memory; DETACH next")
        return self._store._switch(self.path, Snapshot(id, self._store.path(id), as_of), counts)

    def _one_currency(self, reporting: str) -> None:
        found = self.connection.execute(
            "SELECT any_value(currency) FROM next.deals WHERE currency <> ?", [reporting]
        ).fetchone()
        if found and found[0]:
            raise Refused(
                N_('The deals are in {there} and there is no rate to {asked}. Write currency = "{there}" in coachbook.toml.'),
                there=found[0], asked=reporting,
            )  # fmt: skip

    def _differs(self, table: Table) -> bool:
        new, old = f"next.{table.name}", f"current.{table.name}"
        same_size = _count(self.connection, new) == _count(self.connection, old)
        return not same_size or _count(self.connection, f"(FROM {new} EXCEPT FROM {old})") > 0

    def _fill(self, table: Table, rows: str = "", keep: str = "") -> None:
        self.connection.execute(f"USE next; {table.ddl}; USE memory")
        old = f"SELECT * FROM current.{table.name} AS old"
        parts = [old]
        if rows:
            columns = ", ".join(f'"{name}"' for name in table.names)
            known = f" WHERE NOT EXISTS (FROM {rows} AS new WHERE new.{table.key} = old.{table.key})"
            kept = f" AND {table.key} IN (SELECT {table.key} FROM {keep})" if keep else ""
            parts = [f"SELECT {columns} FROM {rows}", old + known + kept]
        self.connection.execute(
            f"INSERT INTO next.{table.name} BY NAME FROM ({' UNION ALL BY NAME '.join(parts)}) ORDER BY {table.key}"
        )

    def _content(self) -> str:
        """Eight hex digits that change with any value, and with how `deal_state` is resolved."""
        digest = sha256(_DEAL_STATE.encode())
        for name in [*TABLES, "publishes"]:
            found = self.connection.execute(
                f"SELECT count(*), bit_xor(md5_number(to_json(t)::VARCHAR)) FROM next.{name} AS t"
            ).fetchone()
            digest.update(f"{name} {found}".encode())
        return digest.hexdigest()[:8]

    def _counts(self) -> dict[str, int]:
        return {name: _count(self.connection, f"next.{name}") for name in _KEYS}


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of one workspace, beneath its `store` folder."""

    store: Path

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self.store / "snapshots"

    def path(self, id: str) -> Path:  # noqa: A002
        """Where the snapshot of that id lies, or would."""
        return self.folder / f"{id}.duckdb"

    def current(self) -> Snapshot:
        """The snapshot that `current` names.

        Raises
        ------
        NotFound
            Nothing was imported yet.
        Refused
            `current` names a snapshot that is not there; names those that are.
        """
        found = self._named()
        if found is None:
            raise NotFound(
                N_("There is no data yet. Import some with: coachbook import {example}"),
                example="--preset regional_sales",
            )
        return found

    def all(self) -> list[Snapshot]:
        """All that are kept, newest first."""
        paths = [path for path in self.folder.glob("*.duckdb") if _ID.fullmatch(path.stem)]
        paths.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return [_snapshot(path) for path in paths]

    def republish(self, settings: str) -> Snapshot:
        """The current data under other settings (`Settings.reporting`); the current snapshot if they are the same.

        Raises
        ------
        NotFound
            There is no data yet.
        Refused
            As `Draft.publish`.
        """
        current = self.current()
        if current.settings_at(current.as_of) == settings:
            return current
        with self.drafting() as draft:
            as_of = draft.current.as_of if draft.current else current.as_of
            return draft.publish(as_of=as_of, settings=settings)

    @contextmanager
    def drafting(self) -> Iterator[Draft]:
        """Write the next snapshot; one at a time. Nothing changes unless `Draft.publish` succeeds.

        Raises
        ------
        Refused
            Another import did not end in time, or the folder cannot be written.
        """
        try:
            with self._locked(), closing(in_memory(self.folder / _SPILL)) as connection:
                aside = self.folder / f"{_ASIDE}{secrets.token_hex(4)}.duckdb"
                try:
                    yield self._draft(connection, aside)
                finally:
                    connection.close()
                    self._sweep()
        except (OSError, duckdb.IOException, duckdb.OutOfMemoryException) as error:
            problem = getattr(error, "strerror", None) or error
            raise Refused(
                N_("The data in {folder} cannot be written: {problem}. Nothing was changed."),
                folder=self.folder, problem=problem,
            ) from error  # fmt: skip

    def _draft(self, connection: DuckDBPyConnection, aside: Path) -> Draft:
        attach(connection, aside, "next", read_only=False)
        current = self._named()
        if current:
            attach(connection, current.path, "current")
        else:
            connection.execute("ATTACH ':memory:' AS current; USE current")
            for table in TABLES.values():
                connection.execute(table.ddl)
            connection.execute(f"{_PUBLISHES}; USE memory")
        return Draft(connection, current, aside, self)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as lock:
            patience = time.monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > patience:
                        raise Refused(
                            N_("Another import is running in {folder}. Try again when it has ended."),
                            folder=self.store.parent,
                        ) from None
                    time.sleep(0.05)
            yield

    def _sweep(self) -> None:
        """Remove what a crash, or a draft that was never published, left behind."""
        for left in self.folder.glob(f"{_ASIDE}*"):
            left.unlink(missing_ok=True)

    def _named(self) -> Snapshot | None:
        pointer = self.folder / "current"
        id = pointer.read_text(encoding="utf-8", errors="replace").strip() if pointer.is_file() else ""  # noqa: A001
        if _ID.fullmatch(id) and self.path(id).is_file():
            return _snapshot(self.path(id))
        if known := [snapshot.id for snapshot in self.all()] if id else []:
            raise Refused(
                N_("{file} names {id}, which is not there. Write one of these into it: {known}."),
                file=pointer, id=f"“{id}”", known=known,
            )  # fmt: skip
        return None

    def _switch(self, aside: Path, new: Snapshot, counts: dict[str, int]) -> Snapshot:
        """Check the file written aside, give it its name, and only then point `current` to it."""
        if self._named() == new:
            return new
        if new.path.is_file():
            os.utime(new.path)
        else:
            _check(aside, counts)
            _sync(aside)
            aside.rename(new.path)
            _sync(self.folder)
        pointer = self.folder / f"{_ASIDE}current"
        pointer.write_text(f"{new.id}\n", encoding="ascii")
        _sync(pointer)
        pointer.replace(self.folder / "current")
        _sync(self.folder)
        self._prune(new)
        return new

    def _prune(self, current: Snapshot) -> None:
        for old in self.all()[KEPT:]:
            if old != current:
                old.path.unlink(missing_ok=True)


def _snapshot(path: Path) -> Snapshot:
    return Snapshot(path.stem, path, date.fromisoformat(path.stem[:10]))


def _count(connection: DuckDBPyConnection, relation: str) -> int:
    found = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
    assert found is not None
    return int(found[0])


def _check(path: Path, counts: dict[str, int]) -> None:
    """Read a written file back: every table whole, every key once."""
    with closing(in_memory(path.parent / _SPILL)) as connection:
        attach(connection, path, "written")
        for name, expected in counts.items():
            key = _KEYS[name]
            keys = _count(connection, f"(SELECT DISTINCT {key} FROM written.{name} WHERE {key} IS NOT NULL)")
            if not expected == keys == _count(connection, f"written.{name}"):
                raise Refused(
                    N_("The table {table} was not written whole. Nothing was changed; import again."),
                    table=name,
                )


def _sync(path: Path) -> None:
    """Ask the disk to keep a file, or a folder's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
