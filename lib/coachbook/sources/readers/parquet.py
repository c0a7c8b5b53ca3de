"""Parquet, read by DuckDB where it lies: nothing is copied, types stay what they are."""

from __future__ import annotations

from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from coachbook.sources.readers.rows import Form, Loaded, Progress, Style, Wanted, empty, unreadable

_NUMBERS = ("DOUBLE", "FLOAT", "DECIMAL", "HUGEINT")


class Parquet:
    """A Parquet file; `line` is the row's number, the header counting as line 1."""

    encoding = ""

    def __init__(self, path: Path, form: Form) -> None:  # noqa: ARG002 - every reader is made alike
        self.path = path
        try:
            path.stat()
            with duckdb.connect() as connection:
                described = connection.execute(f"DESCRIBE FROM {self._relation()}").fetchall()
        except (OSError, ValueError, duckdb.Error) as error:
            raise unreadable(path, error) from None
        self._types = {str(name): str(kind) for name, kind, *_rest in described}
        self.header = [name for name in self._types if name != "file_row_number"]
        if not self.header:
            raise empty(path)

    def load(
        self, connection: DuckDBPyConnection, table: str, wanted: Wanted, on_progress: Progress | None = None
    ) -> Loaded:
        """Make a temporary view of the wanted columns."""
        names = [self.header[position] for position, _style in wanted]
        columns = [f"{_quoted(name)} AS c{i}" for i, name in enumerate(names)]
        types = tuple(self._types[name] for name in names)
        try:
            connection.execute(
                f"CREATE TEMP VIEW {table} AS SELECT file_row_number + 2 AS _line, {', '.join(columns)} FROM {self._relation()}"
            )
            found = connection.execute(f"SELECT count(*) FROM {self._relation()}").fetchone()
        except duckdb.Error as error:
            raise unreadable(self.path, error) from None
        if on_progress:
            on_progress(self.path.name, 1.0)
        assert found is not None
        texts = tuple(_shown(f"c{i}", types[i], style) for i, (_position, style) in enumerate(wanted))
        return Loaded(rows=found[0], types=types, texts=texts)

    def _relation(self) -> str:
        quoted = str(self.path).replace("'", "''")
        return f"read_parquet('{quoted}', file_row_number = true)"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _shown(column: str, kind: str, style: Style) -> str:
    """A typed column as text that the mapping reads back."""
    if kind == "VARCHAR":
        return f"nullif({column}, '')"
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"strftime(timezone('UTC', {column}), '%Y-%m-%dT%H:%M:%S.%fZ')"
    if kind.startswith(("DATE", "TIMESTAMP")) and style.format:
        form = style.format.replace("'", "''")
        return f"strftime({column}, '{form}')"
    if kind.startswith("TIMESTAMP"):
        return f"CAST(CAST({column} AS TIMESTAMP) AS VARCHAR)"
    if kind.startswith(_NUMBERS) and style.decimal != ".":
        decimal = style.decimal.replace("'", "''")
        return f"replace(CAST({column} AS VARCHAR), '.', '{decimal}')"
    return f"CAST({column} AS VARCHAR)"
