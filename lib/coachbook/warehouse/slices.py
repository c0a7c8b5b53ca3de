"""Slices: the one file that holds what one page may see, and nothing else."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from duckdb import DuckDBPyConnection

from coachbook.access import Reader, Scope
from coachbook.errors import NotFound
from coachbook.text import N_
from coachbook.warehouse.known import know
from coachbook.warehouse.snapshots import Snapshot, attach, in_memory

Row = TypeVar("Row")
NAMED_PEERS = 200
"""Most people whom a manager's page compares by name; beyond that, the own team."""


def cut(
    snapshot: Snapshot, facts: Path, target: Path, *, scope: Scope, as_of: date, reader: Reader, named: bool,
    about: Mapping[str, Any],
) -> Path:  # fmt: skip
    """Write the slice of one scope for one reader to `target`, unless it is there.

    `about` is kept as it is; `named` lets a rep see peers by name.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    connection = snapshot.connect()
    try:
        attach(connection, facts, "facts")
        attach(connection, aside, "slice", read_only=False)
        aside.chmod(0o600)
        _fill(connection, scope=scope, as_of=as_of, open_peers=named or reader == "manager")
        connection.execute("CREATE TABLE slice.about AS SELECT $about AS body", {"about": json.dumps(about)})
        connection.execute("DETACH slice")
        aside.replace(target)
    finally:
        connection.close()
        aside.unlink(missing_ok=True)
    return target


def _fill(connection: DuckDBPyConnection, *, scope: Scope, as_of: date, open_peers: bool) -> None:
    know(connection, as_of)
    column = {"rep": "rep_id", "team": "team_id"}[scope.kind]
    wanted = {"kind": scope.kind, "id": scope.id}
    connection.execute(
        f"CREATE TABLE slice.deals AS SELECT * FROM known WHERE {column} = $id", {"id": scope.id}
    )
    connection.execute(
        "CREATE TABLE slice.page AS SELECT body FROM facts.pages WHERE kind = $kind AND id = $id", wanted
    )
    connection.execute(
        "CREATE TABLE slice.everyone AS SELECT body FROM facts.everyone WHERE open = $open",
        {"open": open_peers},
    )
    connection.execute(
        """
        CREATE TABLE slice.peers AS
        SELECT * FROM facts.peers
        WHERE $open AND ((SELECT count(*) FROM facts.peers) <= $most OR team_id = (
            SELECT team_id FROM facts.scopes WHERE kind = $kind AND id = $id))
        """,
        {"open": open_peers, "most": NAMED_PEERS, **wanted},
    )


@dataclass(frozen=True)
class Deal:
    """A deal as known at the as-of instant; `amount_minor` in the reporting currency."""

    deal_id: str
    name: str | None
    product: str | None
    status: str
    created_on: date
    close_on: date | None
    amount_minor: int | None


@dataclass(frozen=True)
class Peer:
    """A person's win rate, for a reader who may see people by name."""

    rep_id: str
    name: str
    team_id: str | None
    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Slice:
    """A slice, read. `page` and `everyone` are the facts of the scope and of the whole company."""

    about: dict[str, Any]
    page: dict[str, Any]
    everyone: dict[str, Any]
    peers: tuple[Peer, ...]
    deals: tuple[Deal, ...]

    @classmethod
    def read(cls, path: Path) -> Slice:
        """Open a slice file.

        Raises
        ------
        NotFound
            The file is gone: the page has to be opened again.
        """
        if not path.is_file():
            raise NotFound(
                N_("The data of this page are gone ({file}). Open the page again."), file=path.name
            )
        with in_memory() as connection:
            attach(connection, path, "slice")
            connection.execute("USE slice")
            bodies = {name: _body(connection, name) for name in ("about", "page", "everyone")}
            return cls(
                about=bodies["about"] or {},
                page=bodies["page"] or {},
                everyone=bodies["everyone"] or {},
                peers=tuple(_rows(connection, Peer, "peers", "value DESC, rep_id")),
                deals=tuple(_rows(connection, Deal, "deals", "deal_id")),
            )


def _rows(connection: DuckDBPyConnection, kind: type[Row], table: str, order: str) -> list[Row]:
    columns = ", ".join(field.name for field in fields(kind))  # type: ignore[arg-type]
    rows = connection.execute(f"SELECT {columns} FROM {table} ORDER BY {order}").fetchall()
    return [kind(*row) for row in rows]


def _body(connection: DuckDBPyConnection, table: str) -> dict[str, Any] | None:
    rows = connection.execute(f"SELECT body FROM {table}").fetchall()
    return json.loads(rows[0][0]) if rows else None
