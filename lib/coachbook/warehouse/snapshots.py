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
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from coachbook.errors import NotFound, Refused, nearest
from coachbook.text import N_
from coachbook.warehouse.database import attach, in_memory
from coachbook.warehouse.draft import Draft, Sums, empty, summed
from coachbook.warehouse.layout import IN_GROUPS, attach_snapshot
from coachbook.warehouse.snapshot import SPILL, Snapshot

KEPT = 10
"""How many snapshots are kept; the current one always is."""
PATIENCE_SECONDS = 60.0
"""How long an import waits for another one to end."""

_ID = re.compile(r"(\d{4}-\d{2}-\d{2})-[0-9a-f]{8}")
_ASIDE = "aside-"
_UNWRITTEN = (
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    duckdb.TransactionException,
    duckdb.FatalException,
)
"""As what DuckDB reports a disk that takes no more."""
MADE = ("facts", "slices", "known")
"""Folders of what is made of snapshots, one folder in them for each."""


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
            return draft.publish(as_of=(draft.current or current).as_of, settings=settings)

    @contextmanager
    def drafting(self) -> Iterator[Draft]:
        """Write the next snapshot; one at a time. Nothing changes unless `Draft.publish` succeeds.

        Raises
        ------
        Refused
            Another import did not end in time, or the folder cannot be written.
        """
        try:
            with self._locked(), closing(in_memory(self.folder / SPILL)) as connection:
                aside = self.folder / f"{_ASIDE}{secrets.token_hex(4)}.duckdb"
                try:
                    yield self._draft(connection, aside)
                finally:
                    connection.close()
                    self._sweep()
        except (OSError, *_UNWRITTEN) as error:
            problem = getattr(error, "strerror", None) or error
            raise Refused(
                N_("The data in {folder} cannot be written: {problem}. Nothing was changed."),
                folder=self.folder, problem=problem,
            ) from error  # fmt: skip

    def _draft(self, connection: DuckDBPyConnection, aside: Path) -> Draft:
        attach(connection, aside, "next", read_only=False, layout=IN_GROUPS)
        current = self._named()
        if current:
            attach_snapshot(connection, current.path, "current")
        else:
            connection.execute("ATTACH ':memory:' AS current; USE current")
            empty(connection)
            connection.execute("USE memory")
        return Draft(connection, current, aside, self._switch)

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

    def _switch(self, aside: Path, id: str, as_of: date, sums: Sums) -> Snapshot:  # noqa: A002
        """Check the file written aside, give it its name, and only then point `current` to it."""
        new = Snapshot(id, self.path(id), as_of)
        if self._named() == new:
            return new
        if new.path.is_file():
            os.utime(new.path)
        else:
            _check(aside, sums)
            _sync(aside)
            aside.rename(new.path)
            _sync(self.folder)
        self._write("current", f"{new.id}\n")
        self._prune(new)
        return new

    def pin(self, id: str, reason: str) -> None:  # noqa: A002
        """Keep a snapshot for good: an evaluation, an agreement or a statement names it.

        Raises
        ------
        NotFound
            There is no such snapshot; names those that are.
        """
        if id not in (known := [snapshot.id for snapshot in self.all()]):
            raise NotFound(
                N_("There is no snapshot {id}. There are: {known}."),
                id=f"“{id}”",
                known=nearest(id, known) or known,
            )
        with self._locked():
            self._write("pins.json", json.dumps({**self.pins(), id: reason}, ensure_ascii=False, indent=1))

    def pins(self) -> dict[str, str]:
        """Ids of the snapshots that are kept for good, with the reason."""
        path = self.folder / "pins.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}

    def beside(self, kind: str, id: str) -> Path:  # noqa: A002
        """Where what is made of a snapshot lies (facts, slices, states of other days); it goes with the snapshot."""
        return self.store / kind / id

    def _write(self, name: str, text: str) -> None:
        """A small file, replaced as a whole or not at all."""
        aside = self.folder / f"{_ASIDE}{name}"
        aside.write_text(text, encoding="utf-8")
        _sync(aside)
        aside.replace(self.folder / name)
        _sync(self.folder)

    def _prune(self, current: Snapshot) -> None:
        pinned = self.pins()
        loose = [snapshot for snapshot in self.all() if snapshot.id not in pinned and snapshot != current]
        for old in loose[KEPT - 1 :]:
            old.path.unlink(missing_ok=True)
        kept = {snapshot.id for snapshot in self.all()}
        for kind in MADE:
            for folder in (self.store / kind).glob("*"):
                if folder.name not in kept:
                    shutil.rmtree(folder, ignore_errors=True)


def _snapshot(path: Path) -> Snapshot:
    return Snapshot(path.stem, path, date.fromisoformat(path.stem[:10]))


def _check(path: Path, sums: Sums) -> None:
    """Read a written file back: every table holds what was put into it."""
    with closing(in_memory(path.parent / SPILL)) as connection:
        attach(connection, path, "written")
        for name, expected in sums.items():
            if summed(connection, f"written.{name}") != expected:
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
