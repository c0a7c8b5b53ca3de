"""Rows straight into a snapshot, without files: for tests of what the warehouse makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]

from coachbook.model.tables import TABLES
from coachbook.settings import Settings
from coachbook.warehouse import Snapshot, Snapshots

Rows = Iterable[Mapping[str, Any]]
DEAL = {"status": "open", "created_on": date(2026, 1, 5), "currency": "USD"}
"""What every deal needs; a row says the rest."""


class Desk:
    """A store of snapshots; `export` imports what one export shows."""

    def __init__(self, store: Path, settings: Settings | None = None) -> None:
        self.snapshots = Snapshots(store)
        self.settings = settings or Settings()

    def export(self, as_of: date, *, complete: bool = False, source: str = "crm", **tables: Rows) -> Snapshot:
        """One export, published."""
        with self.snapshots.drafting() as draft:
            for name, rows in tables.items():
                declared = TABLES[name]
                filled = [{**(DEAL if name == "deals" else {}), **row} for row in rows]
                columns = {c.name: [row.get(c.name) for row in filled] for c in declared.columns}
                draft.connection.register(f"arrow_{name}", pa.table(columns))
                typed = ", ".join(f'"{c.name}"::{c.kind.duckdb} AS "{c.name}"' for c in declared.columns)
                draft.connection.execute(f"CREATE TEMP TABLE rows_{name} AS SELECT {typed} FROM arrow_{name}")
                draft.take(
                    name,
                    f"rows_{name}",
                    source=source,
                    as_of=as_of,
                    complete=complete and name in ("deals", "splits"),
                )
            newest = max(as_of, draft.current.as_of) if draft.current else as_of
            return draft.publish(as_of=newest, settings=self.settings.reporting)

    def ask(self, as_of: date, sql: str) -> list[tuple[Any, ...]]:
        """A query over what was known at the end of a day."""
        with self.snapshots.current().known(as_of) as connection:
            return connection.execute(sql).fetchall()
