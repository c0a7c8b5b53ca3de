"""DuckDB as this house opens it: in memory, without a network, with bounded memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

MEMORY = "3GB"
"""What DuckDB may hold before it spills; a laptop has room for this beside a browser."""

CONVERTED = """
CREATE OR REPLACE TEMP MACRO converted(minor, num, den) AS CASE
    WHEN num = den THEN minor
    ELSE (sign(minor) * ((abs(minor)::HUGEINT * num * 2 + den) // (den * 2)))::BIGINT
END
"""
"""An amount at a rate, to the nearest minor unit, halves away from 0; null without amount or rate."""


def in_memory(spill: Path | None = None) -> DuckDBPyConnection:
    """An in-memory connection that never reaches for the network; `spill` takes what memory cannot hold."""
    config: dict[str, Any] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "memory_limit": MEMORY,
        "preserve_insertion_order": "false",
    }
    return duckdb.connect(":memory:", config=config | ({"temp_directory": str(spill)} if spill else {}))


def attach(
    connection: DuckDBPyConnection, path: Path, name: str, *, read_only: bool = True, layout: str = ""
) -> None:
    """Attach a DuckDB file under a name; `layout` is that of a new file, as options of ATTACH."""
    quoted = str(path).replace("'", "''")
    options = "READ_ONLY" if read_only else layout
    connection.execute(f"ATTACH '{quoted}' AS {name}{f' ({options})' if options else ''}")
