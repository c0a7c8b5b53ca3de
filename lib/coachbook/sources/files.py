"""CSV files as Python's csv reader reads them, with the physical line on which each record starts."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from operator import itemgetter
from pathlib import Path
from typing import TextIO

import pyarrow as pa  # type: ignore[import-untyped]
from duckdb import DuckDBPyConnection

from coachbook.errors import CoachbookError, Invalid, NotFound, Refused, nearest
from coachbook.text import N_

FIELD_LIMIT = 2**24
"""Longest field in characters; Python's own limit of 131,072 refuses real descriptions."""
_BATCH = 50_000

Progress = Callable[[str, float], None]
"""Called with a file's name and the share of it that is read."""


@dataclass
class Loaded:
    """What was read of one file: `rows` records, those with a wrong number of fields in `misshapen`."""

    rows: int = 0
    misshapen: list[tuple[int, int]] = field(default_factory=list)
    """Line and number of fields."""


def header(path: Path) -> list[str]:
    """The first record of a file.

    Raises
    ------
    CoachbookError
        The file is missing, empty, or not readable as CSV in UTF-8.
    """
    for _line, fields in records(path):
        return fields
    raise Invalid(N_("{file} is empty. It needs a first line with the names of its columns."), file=path)


def records(path: Path, on_progress: Progress | None = None) -> Iterator[tuple[int, list[str]]]:
    """Every record with the line on which it starts, the header first; a blank line is no record.

    Raises
    ------
    CoachbookError
        The file is missing, not UTF-8, or has a quote that is never closed.
    """
    csv.field_size_limit(max(csv.field_size_limit(), FIELD_LIMIT))
    try:
        with path.open("rb") as binary:
            size = max(path.stat().st_size, 1)
            lines = _Lines(TextIOWrapper(binary, encoding="utf-8-sig", newline=""))
            reader = csv.reader(lines, strict=True)
            start = 1
            for count, fields in enumerate(_strict(reader, lines, path)):
                if fields:
                    yield start, fields
                start = reader.line_num + 1
                lines.pending.clear()
                if on_progress and count % _BATCH == 0:
                    on_progress(path.name, binary.tell() / size)
            if on_progress:
                on_progress(path.name, 1.0)
    except FileNotFoundError:
        near = nearest(path.name, sorted(p.name for p in path.parent.glob("*.csv"))) or ["–"]
        raise NotFound(N_("There is no file {file}. Nearest: {near}."), file=path, near=near) from None
    except UnicodeDecodeError:
        raise _not_utf8(path) from None
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        raise Refused(
            N_("{file} cannot be read: {problem}."),
            file=path,
            problem=getattr(error, "strerror", None) or error,
        ) from None


def load(
    connection: DuckDBPyConnection,
    table: str,
    path: Path,
    columns: Sequence[int],
    on_progress: Progress | None = None,
) -> Loaded:
    """Read the columns at these positions into a temporary table `_line, c0, c1, …` of text; empty is null."""
    names = ["_line", *(f"c{i}" for i in range(len(columns)))]
    connection.execute(
        f"CREATE TEMP TABLE {table} (_line BIGINT, {', '.join(f'{n} VARCHAR' for n in names[1:])})"
    )
    loaded, batch = Loaded(), _Batch(connection, table, names)
    pick = itemgetter(*columns, 0)
    rest = records(path, on_progress)
    width = len(next(rest)[1])
    for line, fields in rest:
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
        if len(self.rows) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        if self.rows:
            columns = [pa.array([v or None for v in c], pa.string()) for c in zip(*self.rows, strict=True)]
            batch = pa.table([pa.array(self.lines, pa.int64()), *columns[:-1]], names=self.names)
            self.connection.register("_batch", batch)
            self.connection.execute(f"INSERT INTO {self.table} FROM _batch")
            self.connection.unregister("_batch")
            self.lines.clear()
            self.rows.clear()


class _Lines:
    """The lines of a text, remembering those of the record that is being read."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self.pending: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for line in self._text:
            self.pending.append(line)
            yield line


def _strict(reader: Iterator[list[str]], lines: _Lines, path: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        record = "".join(lines.pending)
        above = reader.line_num - len(lines.pending)  # type: ignore[attr-defined]
        line = above + 1 + _newlines(record[: _opened(record)])
        raise _too_long(path, line) if "limit" in str(error) else _unclosed(path, line, error) from None


def _unclosed(path: Path, line: int, problem: csv.Error) -> CoachbookError:
    return Invalid(
        N_("In {file}, the quote that opens in line {line} is not closed, or no comma follows it ({problem}). Close it, and write a quote inside a text twice."),
        file=path, line=line, problem=problem,
    )  # fmt: skip


def _too_long(path: Path, line: int) -> CoachbookError:
    return Invalid(
        N_("In {file}, the field that begins in line {line} is longer than {limit} characters. Probably its quote is not closed."),
        file=path, line=line, limit=FIELD_LIMIT,
    )  # fmt: skip


def _opened(record: str) -> int:
    """Where the last quoted field of an unfinished record opens."""
    opened, quoted, inside, fresh = 0, False, False, True
    for position, character in enumerate(record):
        if fresh:
            quoted = inside = character == '"'
            opened = position if quoted else opened
        elif quoted and character == '"':
            inside = not inside
        fresh = not inside and character == ","
    return opened


def _newlines(text: str) -> int:
    return text.replace("\r\n", "\n").replace("\r", "\n").count("\n")


def _not_utf8(path: Path) -> CoachbookError:
    raw = path.read_bytes()
    at = 0
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start
    return Invalid(
        N_("{file} is not UTF-8: line {line}, byte {byte}. Save it as “CSV UTF-8”."),
        file=path, line=_newlines(raw[:at].decode("utf-8")) + 1, byte=at + 1,
    )  # fmt: skip
