"""Rows of text into a temporary table, with the line on which each record starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
from duckdb import DuckDBPyConnection

from coachbook.errors import CoachbookError, Invalid, NotFound, Refused, nearest
from coachbook.text import N_

BATCH = 50_000
"""Rows handed over at a time."""

Progress = Callable[[str, float], None]
"""Called with a file's name and the share of it that is read."""


@dataclass(frozen=True)
class Form:
    """What a mapping says of its files' form; empty: found out from the file."""

    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""


@dataclass(frozen=True)
class Style:
    """How numbers and dates of a typed file are written as text, so that the mapping reads them back."""

    decimal: str = "."
    format: str = ""


Wanted = Sequence[tuple[int, Style]]
"""The positions of the columns to be read."""


@dataclass
class Loaded:
    """What was read of one file: `rows` records, those with a wrong number of fields in `misshapen`."""

    rows: int = 0
    misshapen: list[tuple[int, int]] = field(default_factory=list)
    """Line and number of fields."""
    types: tuple[str, ...] = ()
    """DuckDB types of the columns read, if not all are text."""
    texts: tuple[str, ...] = ()
    """The columns as text, in a query, if they are not so already."""


def empty(path: Path) -> CoachbookError:
    """The error about a file without a header."""
    return Invalid(N_("{file} is empty. It needs a first line with the names of its columns."), file=path)


def unreadable(path: Path, error: Exception) -> CoachbookError:
    """The error about a file that the system, or a library, cannot read."""
    if isinstance(error, FileNotFoundError):
        near = nearest(path.name, sorted(p.name for p in path.parent.glob("*.*"))) or ["–"]
        return NotFound(N_("There is no file {file}. Nearest: {near}."), file=path, near=near)
    problem = getattr(error, "strerror", None) or str(error).split("\n")[0]
    return Refused(N_("{file} cannot be read: {problem}."), file=path, problem=problem)


def create(connection: DuckDBPyConnection, table: str, count: int) -> list[str]:
    """Make the temporary table `_line, c0, c1, …` of text, and name its columns."""
    names = ["_line", *(f"c{i}" for i in range(count))]
    connection.execute(
        f"CREATE TEMP TABLE {table} (_line BIGINT, {', '.join(f'{n} VARCHAR' for n in names[1:])})"
    )
    return names


def fill(
    connection: DuckDBPyConnection, table: str, wanted: Wanted, width: int, records: Iterator[tuple[int, list[str]]]
) -> Loaded:  # fmt: skip
    """Put the wanted columns of the records into a temporary table; an empty field is null."""
    batch = _Batch(connection, table, create(connection, table, len(wanted)))
    # Two positions more, lest `itemgetter` give a lone text instead of a tuple.
    loaded, pick = Loaded(), itemgetter(*(position for position, _style in wanted), 0, 0)
    for line, fields in records:
        loaded.rows += 1
        if len(fields) != width:
            loaded.misshapen.append((line, len(fields)))
            continue
        batch.add(line, pick(fields))
    batch.flush()
    return loaded


@dataclass
class _Batch:
    connection: DuckDBPyConnection
    table: str
    names: list[str]
    lines: list[int] = field(default_factory=list)
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, line: int, row: tuple[str, ...]) -> None:
        self.lines.append(line)
        self.rows.append(row)
        if len(self.rows) >= BATCH:
            self.flush()

    def flush(self) -> None:
        if self.rows:
            columns = [pa.array([v or None for v in c], pa.string()) for c in zip(*self.rows, strict=True)]
            batch = pa.table([pa.array(self.lines, pa.int64()), *columns[:-2]], names=self.names)
            self.connection.register("_batch", batch)
            self.connection.execute(f"INSERT INTO {self.table} FROM _batch")
            self.connection.unregister("_batch")
            self.lines.clear()
            self.rows.clear()
