"""The layout of a snapshot's file, stamped when it is written: what another layout holds is not read."""

from __future__ import annotations

from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from coachbook.errors import Refused
from coachbook.text import N_
from coachbook.warehouse.database import attach

LAYOUT = "4"
"""Version of what a snapshot holds beyond its rows; part of its content."""
IN_GROUPS = "ROW_GROUP_SIZE 61440"
"""Options of a new file: two hundred people's rows are several groups of rows, and read by several threads."""
_STAMPED = "publishes"
_readable: set[Path] = set()


def stamp(connection: DuckDBPyConnection, catalogue: str) -> None:
    """Say in the database itself which layout it has."""
    connection.execute(f"COMMENT ON TABLE {catalogue}.{_STAMPED} IS '{LAYOUT}'")


def attach_snapshot(connection: DuckDBPyConnection, path: Path, name: str) -> None:
    """Attach a snapshot's file under a name, read-only; its layout is looked at once.

    Raises
    ------
    Refused
        It is damaged or has another layout: names it, and says what to do.
    """
    try:
        attach(connection, path, name)
        if path in _readable or _layout(connection, name) == LAYOUT:
            _readable.add(path)
            return
    except duckdb.Error:
        pass
    raise Refused(
        N_("{file} cannot be read: another version of coachbook wrote it, or it is damaged. Move the folder {folder} away and import your exports again."),
        file=path.name, folder=path.parent,
    )  # fmt: skip


def _layout(connection: DuckDBPyConnection, name: str) -> str | None:
    found = connection.execute(
        "SELECT comment FROM duckdb_tables() WHERE database_name = ? AND table_name = ?", [name, _STAMPED]
    ).fetchall()
    return found[0][0] if found else None
