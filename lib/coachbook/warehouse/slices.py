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
from coachbook.warehouse.database import attach, in_memory
from coachbook.warehouse.rosters import read_people
from coachbook.warehouse.snapshot import Snapshot
from coachbook.warehouse.versions import quoted

Row = TypeVar("Row")
NAMED_PEERS = 200
"""Most people whom a manager's page compares by name; beyond that, the own team."""
DETAILED = 500
"""Most people whose deals a slice holds whole; of more, the open ones, and each rep's own slice on request."""
_COLUMNS = "* REPLACE (CASE WHEN owner_id IN (SELECT rep_id FROM scoped) THEN owner_id END AS owner_id)"
"""Of deals and their states: all but who owns them by now, where that is somebody outside the scope."""
_DAYS = {
    "history": ("past.from_on", "CASE WHEN past.status = 'open' THEN past.until_on ELSE past.from_on END"),
    "visits": ("past.entered_on", "past.left_on"),
}
"""First and last day of a row of deals' pasts; what is decided is of one day."""


def cut(
    snapshot: Snapshot, facts: Path, target: Path, *, scope: Scope, as_of: date, reader: Reader, named: bool,
    about: Mapping[str, Any],
) -> Path:  # fmt: skip
    """Write the slice of one scope for one reader to `target`, unless it is there.

    It holds the scope's `page`, `roster`, `deals`, `credits` (parts in deals, others' too), `history` of deals and
    `visits` to stages of the days on which they counted in the scope; and of others what the reader may see:
    `everyone`, `peers`. Where the scope has more than `DETAILED` people, of deals the open ones alone, without
    history. `about` is kept, with `detailed` beside; `named` lets a rep see peers by name.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    connection = snapshot.known(as_of)
    try:
        attach(connection, facts, "facts")
        # Small blocks: 0.2 MB for a rep rather than 2. Written once, at the end, without a log before.
        connection.execute(
            f"ATTACH '{quoted(str(aside))}' AS slice (BLOCK_SIZE 16384); SET checkpoint_threshold = '1b'"
        )
        aside.chmod(0o600)
        detailed = _scope(connection, scope, as_of) <= DETAILED
        connection.execute("BEGIN")
        _fill(connection, scope, detailed=detailed)
        _others(connection, scope, open_peers=named or reader == "manager")
        body = json.dumps({**about, "detailed": detailed})
        connection.execute("CREATE TABLE slice.about AS SELECT $body AS body", {"body": body})
        connection.execute("COMMIT; DETACH slice")
        aside.replace(target)
    finally:
        connection.close()
        aside.unlink(missing_ok=True)
    return target


def _scope(connection: DuckDBPyConnection, scope: Scope, as_of: date) -> int:
    """Make `scoped`, people and the days on which they count in the scope; how many people these are."""
    values: dict[str, Any] = {}
    if scope.kind == "org":
        people = "SELECT DISTINCT rep_id FROM known_roster"
    elif scope.kind == "team":
        people, values = "SELECT rep_id, from_on, until_on FROM known_roster WHERE team_id = $id", {"id": scope.id}  # fmt: skip
    else:
        below = read_people(connection).at(as_of).reports(scope.id, left=True) if scope.kind == "tree" else ()
        people, values = "SELECT unnest($ids) AS rep_id", {"ids": [scope.id, *below]}
    days = "" if scope.kind == "team" else f", DATE '{date.min}' AS from_on, DATE 'infinity' AS until_on"
    connection.execute(f"CREATE TEMP TABLE scoped AS SELECT *{days} FROM ({people})", values)
    return len(connection.execute("SELECT DISTINCT rep_id FROM scoped").fetchall())


def _fill(connection: DuckDBPyConnection, scope: Scope, *, detailed: bool) -> None:
    """The scope's own: page, roster, deals and their past."""
    run, wanted = connection.execute, {"kind": scope.kind, "id": scope.id}
    run("CREATE TABLE slice.page AS SELECT body FROM facts.pages WHERE kind = $kind AND id = $id", wanted)
    whole = scope.kind == "org"
    mine = "true" if whole else "rep_id IN (SELECT rep_id FROM scoped)"
    if scope.kind == "team":
        mine += f" AND team_id = '{quoted(scope.id)}'"
    run(f"CREATE TABLE slice.roster AS FROM known_roster WHERE {mine}")
    those = mine if detailed else f"{mine} AND status = 'open'"
    columns = "*" if whole else _COLUMNS
    run(f"CREATE TABLE slice.deals AS SELECT {columns} FROM known WHERE {those}")
    run(f"CREATE TABLE slice.credits AS FROM known_credits WHERE {those}")
    for table, (first, last) in _DAYS.items():
        there = f"""SEMI JOIN scoped AS s ON s.rep_id = past.rep_id
            AND {first} < coalesce(s.until_on, 'infinity') AND coalesce({last}, 'infinity') >= s.from_on"""
        run(
            f"CREATE TABLE slice.{table} AS SELECT {columns if table == 'history' else '*'} "
            f"FROM known_{table} AS past {'' if whole else there} WHERE {detailed}"
        )


def _others(connection: DuckDBPyConnection, scope: Scope, *, open_peers: bool) -> None:
    """What the reader may see of everybody else: by name only whom `open_peers` allows."""
    connection.execute(
        "CREATE TABLE slice.everyone AS SELECT body FROM facts.everyone WHERE open = $open",
        {"open": open_peers},
    )
    connection.execute(
        """
        CREATE TABLE slice.peers AS
        SELECT * FROM facts.peers
        WHERE $open AND (
            (SELECT count(*) FROM facts.peers) <= $most
            OR rep_id IN (SELECT rep_id FROM scoped)
            OR team_id = (SELECT team_id FROM facts.scopes WHERE kind = $kind AND id = $id)
        )
        """,
        {"open": open_peers, "most": NAMED_PEERS, "kind": scope.kind, "id": scope.id},
    )


@dataclass(frozen=True)
class Deal:
    """A deal as known at the as-of instant; `amount_minor` in the reporting currency."""

    deal_id: str
    name: str | None
    product: str | None
    status: str
    created_on: date | None
    close_on: date | None
    amount_minor: int | None


@dataclass(frozen=True)
class Credit:
    """A part in a deal, the scope's own or somebody else's; `credited_minor` in the reporting currency."""

    deal_id: str
    status: str
    close_on: date | None
    credited_minor: int | None


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
    credits: tuple[Credit, ...]

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
                credits=tuple(_rows(connection, Credit, "credits", "deal_id, rep_id")),
            )


def _rows(connection: DuckDBPyConnection, kind: type[Row], table: str, order: str) -> list[Row]:
    columns = ", ".join(field.name for field in fields(kind))  # type: ignore[arg-type]
    rows = connection.execute(f"SELECT {columns} FROM {table} ORDER BY {order}").fetchall()
    return [kind(*row) for row in rows]


def _body(connection: DuckDBPyConnection, table: str) -> dict[str, Any] | None:
    rows = connection.execute(f"SELECT body FROM {table}").fetchall()
    return json.loads(rows[0][0]) if rows else None
