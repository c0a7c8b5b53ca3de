"""Slices: the one file that holds what one page may see, and nothing else."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

from duckdb import DuckDBPyConnection

from coachbook.access import Reader, Scope
from coachbook.errors import NotFound
from coachbook.text import N_
from coachbook.warehouse.database import attach, in_memory
from coachbook.warehouse.snapshot import SPILL, Snapshot
from coachbook.warehouse.versions import quoted

Row = TypeVar("Row")
NAMED_PEERS = 200
"""Most people whom a manager's page compares by name; beyond that, the own team."""
DETAILED = 500
"""Most people whose deals a slice holds whole; of more, the open ones, and each rep's own slice on request."""
HANDFUL = 20
"""Most people whose slice is small: 0.2 MB for a rep rather than 2; more people's is written faster in large blocks."""
_SMALL, _LARGE = "BLOCK_SIZE 16384", "BLOCK_SIZE 262144, ROW_GROUP_SIZE 16384"
MEMORY = "1GB"
"""What DuckDB may hold between slices of the same snapshot, period and size."""
_COLUMNS = "* EXCLUDE (seat)"
_PASTS = {
    "history": (
        "deal_history",
        "past.from_on",
        "CASE WHEN past.status = 'open' THEN past.until_on ELSE past.from_on END",
    ),
    "visits": ("stage_visits", "past.entered_on", "past.left_on"),
}
"""Where deals' pasts come from, and the first and last day of a row; what is decided is of one day."""


def cut(
    snapshot: Snapshot, facts: Path, target: Path, *, scope: Scope, as_of: date, reader: Reader, named: bool,
    about: Mapping[str, Any],
) -> Path:  # fmt: skip
    """Write the slice of one scope for one reader to `target`, unless it is there.

    It holds the scope's `page`, `roster`, `deals`, `credits` (parts in deals, others' too), `history` of deals and
    `visits` to stages of the days on which they counted in the scope, `touches` (when somebody last did something
    about an open deal, where the workbook asks for it); and of others what the reader may see:
    `everyone`, `peers`. Where the scope has more than `DETAILED` people, of deals the open ones alone, without
    history. `about` is kept, with `detailed` beside; `named` lets a rep see peers by name.

    Raises
    ------
    NotFound
        The snapshot is not there any more.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    people = _people(snapshot, scope, as_of)
    detailed, large = len(people) <= DETAILED, len(people) > HANDFUL
    try:
        opened = _opened(snapshot.resolved(as_of), facts, large=large, process=os.getpid())
        with opened.cursor() as connection, _written(connection, aside, large=large):
            _fill(connection, scope, people, detailed=detailed)
            _others(connection, scope, people, open_peers=named or reader == "manager")
            body = json.dumps({**about, "detailed": detailed})
            connection.execute("CREATE TABLE about AS SELECT $body AS body", {"body": body})
        aside.replace(target)
    except BaseException:
        _opened.cache_clear()  # what has failed once may not be fit for the next slice
        raise
    finally:
        for left in (aside, Path(f"{aside}.wal")):
            left.unlink(missing_ok=True)
    return target


@lru_cache(maxsize=4)
def _opened(resolved: Path, facts: Path, *, large: bool, process: int) -> DuckDBPyConnection:  # noqa: ARG001
    """A connection that stays open for the next slices: what is read is attached as `known` and `facts`.

    A small slice is written by one thread, which is faster than to put together what several have written. `process`:
    what was opened before a fork is of no use after it.
    """
    connection = in_memory(resolved.parent / SPILL)
    attach(connection, resolved, "known")
    attach(connection, facts, "facts")
    connection.execute(f"SET memory_limit = '{MEMORY}'; SET checkpoint_threshold = '1b'")
    if not large:
        connection.execute("SET threads = 1")
    return connection


@contextmanager
def _written(connection: DuckDBPyConnection, path: Path, *, large: bool) -> Iterator[None]:
    """Tables made meanwhile go into a new file: written once, at the end, without a log before."""
    name = f"slice_{secrets.token_hex(8)}"  # other threads write theirs beside it
    attach(connection, path, name, read_only=False, layout=_LARGE if large else _SMALL)
    path.chmod(0o600)
    connection.execute(f"USE {name}; BEGIN")
    yield
    connection.execute(f"COMMIT; USE memory; DETACH {name}")


def _people(snapshot: Snapshot, scope: Scope, as_of: date) -> tuple[str, ...]:
    """Whoever counts in the scope on some day."""
    if scope.kind == "rep":
        return (scope.id,)
    everybody = snapshot.people(as_of)
    if scope.kind == "tree":
        return (scope.id, *everybody.at(as_of).reports(scope.id, left=True))
    return tuple({t.rep_id for t in everybody.tenures if scope.kind == "org" or t.team_id == scope.id})


def _fill(connection: DuckDBPyConnection, scope: Scope, people: tuple[str, ...], *, detailed: bool) -> None:
    """The scope's own: page, roster, deals and their past."""
    run, (theirs, lying, columns) = connection.execute, _conditions(connection, scope, people)
    of_team = f"team_id = '{quoted(scope.id)}'" if scope.kind == "team" else "true"
    told = f"{lying} AND {theirs} AND {of_team} AND ({detailed} OR status = 'open')"
    run("CREATE TABLE page AS SELECT body FROM facts.pages WHERE kind = ? AND id = ?", [scope.kind, scope.id])
    run(f"CREATE TABLE roster AS FROM known.roster WHERE {theirs} AND {of_team}")
    run(f"CREATE TABLE deals AS SELECT {columns} FROM known.deal_state WHERE {told}")
    run("CREATE TABLE touches AS FROM facts.touches SEMI JOIN deals USING (deal_id)")
    run(f"CREATE TABLE credits AS SELECT {_COLUMNS} FROM known.credits WHERE {told}")
    for table, (past, first, last) in _PASTS.items():
        there = f"""SEMI JOIN (FROM known.roster WHERE {of_team}) AS s ON s.rep_id = past.rep_id
            AND {first} < coalesce(s.until_on, 'infinity') AND coalesce({last}, 'infinity') >= s.from_on"""
        run(
            f"CREATE TABLE {table} AS SELECT {columns if table == 'history' else _COLUMNS} FROM known.{past} AS past "
            f"{there if scope.kind == 'team' else ''} WHERE {detailed} AND {lying} AND {theirs}"
        )


def _conditions(
    connection: DuckDBPyConnection, scope: Scope, people: tuple[str, ...]
) -> tuple[str, str, str]:
    """SQL: a row is theirs; it lies where theirs do, so that other places are skipped; the columns of their deals.

    Who owns a deal by now is left out where that is somebody outside the scope. All is written out: DuckDB looks
    ahead by literals alone. In seat 0 are those of nobody on the roster.
    """
    if scope.kind == "org":
        return "true", "true", _COLUMNS
    ids = ", ".join(f"'{quoted(rep_id)}'" for rep_id in people) or "NULL"
    found = connection.execute(f"SELECT seat::VARCHAR FROM known.seats WHERE rep_id IN ({ids})").fetchall()
    seats = [seat for (seat,) in found] + ["0"] * (len(found) < len(people))
    lying = f"seat IN ({', '.join(seats) or 'NULL'})"
    owner = f"CASE WHEN owner_id IN ({ids}) THEN owner_id END"
    return f"rep_id IN ({ids})", lying, f"{_COLUMNS} REPLACE ({owner} AS owner_id)"


def _others(
    connection: DuckDBPyConnection, scope: Scope, people: tuple[str, ...], *, open_peers: bool
) -> None:
    """What the reader may see of everybody else: by name only whom `open_peers` allows."""
    connection.execute(
        "CREATE TABLE everyone AS SELECT body FROM facts.everyone WHERE open = $open", {"open": open_peers}
    )
    connection.execute(
        """
        CREATE TABLE peers AS
        SELECT * FROM facts.peers
        WHERE $open AND (
            (SELECT count(*) FROM facts.peers) <= $most
            OR rep_id IN (SELECT unnest($people))
            OR team_id = (SELECT team_id FROM facts.scopes WHERE kind = $kind AND id = $id)
        )
        """,
        {"open": open_peers, "most": NAMED_PEERS, "people": list(people), "kind": scope.kind, "id": scope.id},
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

    path: Path
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
        with _opened_slice(path) as connection:
            bodies = {name: _body(connection, name) for name in ("about", "page", "everyone")}
            return cls(
                path=path,
                about=bodies["about"] or {},
                page=bodies["page"] or {},
                everyone=bodies["everyone"] or {},
                peers=tuple(_rows(connection, Peer, "peers", "value DESC, rep_id")),
                deals=tuple(_rows(connection, Deal, "deals", "deal_id")),
                credits=tuple(_rows(connection, Credit, "credits", "deal_id, rep_id")),
            )

    @cached_property
    def connection(self) -> DuckDBPyConnection:
        """One in which the slice's tables are, for what is asked of deals' `history`, `visits` and `touches`."""
        return _opened_slice(self.path)


def _opened_slice(path: Path) -> DuckDBPyConnection:
    if not path.is_file():
        raise NotFound(N_("The data of this page are gone ({file}). Open the page again."), file=path.name)
    connection = in_memory()
    attach(connection, path, "slice")
    return connection.execute("USE slice")


def _rows(connection: DuckDBPyConnection, kind: type[Row], table: str, order: str) -> list[Row]:
    columns = ", ".join(field.name for field in fields(kind))  # type: ignore[arg-type]
    rows = connection.execute(f"SELECT {columns} FROM {table} ORDER BY {order}").fetchall()
    return [kind(*row) for row in rows]


def _body(connection: DuckDBPyConnection, table: str) -> dict[str, Any] | None:
    rows = connection.execute(f"SELECT body FROM {table}").fetchall()
    return json.loads(rows[0][0]) if rows else None
