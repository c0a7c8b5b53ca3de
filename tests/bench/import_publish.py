"""Seconds to import and publish 10,000 reps, 2 million deals, 20 million events; DuckDB alone copying the two tables."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import duckdb

from tests.bench.companies import company, imported
from tests.bench.yard import Row, say

REPS = 10_000
TARGET_SECONDS = 240.0


def measure(folder: Path) -> Row:
    """Once each: it takes minutes."""
    files = company(REPS)
    _workspace, ours = imported(REPS, folder / "workspace")
    begun = perf_counter()
    with duckdb.connect(str(folder / "plain.duckdb")) as connection:
        for table in ("deals", "deal_events"):
            connection.execute(f"CREATE TABLE {table} AS FROM read_parquet('{files / table}.parquet')")
    plain = perf_counter() - begun
    say(f"  DuckDB alone, CREATE TABLE AS FROM read_parquet of deals and deal_events: {plain:.1f} s")
    return Row("import_publish", ours, "s", against=plain, target=TARGET_SECONDS)
