"""The file that holds the facts of one workbook, period and as-of, as slices read it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
from duckdb import DuckDBPyConnection

from coachbook.cleanup import Decisions
from coachbook.model.periods import Period
from coachbook.settings import Settings
from coachbook.warehouse import Snapshot
from coachbook.warehouse.database import attach, in_memory


@dataclass(frozen=True)
class Making:
    """What the facts of one workbook, period and as-of are made of, and where they go.

    `decisions`: those known at the as-of day, for a workbook whose figures tell of them.
    """

    snapshot: Snapshot
    settings: Settings
    period: Period
    as_of: date
    decisions: Decisions
    target: Path


_MEMORY = "2600MB"
"""What DuckDB may hold for one of the two halves of a large company's facts; beyond that it uses the disk."""
_KEPT = "8GB"
"""Freed memory up to this is kept for the next statement: to give it back each time took a quarter of all time."""
SCOPES = ("kind", "id", "name", "team_id", "body")
_PEERS = {"rep_id": "str", "name": "str", "team_id": "str", "value": "float", "low": "float", "high": "float", "n": "int"}  # fmt: skip
_COLUMNS = {"touches": "deal_id, day::DATE AS day"}
"""pandas knows instants alone."""
_TOUCHES = {"deal_id": "str", "day": "datetime64[s]"}


def make_room(connection: DuckDBPyConnection) -> None:
    """Prepare a connection for statements over millions of rows."""
    for name, value in {
        "memory_limit": _MEMORY,
        "allocator_flush_threshold": _KEPT,
        "allocator_bulk_deallocation_flush_threshold": _KEPT,
    }.items():
        connection.execute(f"SET {name} = '{value}'")


def write(
    target: Path, scopes: pd.DataFrame, everyone: Mapping[bool, str], *, peers: pd.DataFrame | None = None,
    touches: pd.DataFrame | None = None,
) -> None:  # fmt: skip
    """Write all at once.

    Parameters
    ----------
    scopes
        `SCOPES`: a document per rep and team, by whom it is about.
    everyone
        The document of the whole company, for readers who may see people by name and for those who may not.
    peers
        A figure of each person by name.
    touches
        `deal_id, day`: when somebody last did something about an open deal.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    tables = {
        "scopes": scopes[list(SCOPES)].astype("str"),
        "everyone": pd.DataFrame([(body, is_open) for is_open, body in everyone.items()], columns=["body", "open"]),
        "peers": _none(_PEERS) if peers is None else peers,
        "touches": _none(_TOUCHES) if touches is None else touches,
    }  # fmt: skip
    aside = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    try:
        with closing(in_memory()) as connection:
            attach(connection, aside, "facts", read_only=False)
            aside.chmod(0o600)
            for name, frame in tables.items():
                connection.register("frame", frame)
                connection.execute(
                    f"CREATE TABLE facts.{name} AS SELECT {_COLUMNS.get(name, '*')} FROM frame"
                )
                connection.unregister("frame")
            connection.execute("CREATE VIEW facts.pages AS SELECT kind, id, body FROM scopes")
            connection.execute("DETACH facts")
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _none(columns: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})
