"""Delimited text as Python's csv reader reads it, with the physical line on which each record starts."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from duckdb import DuckDBPyConnection

from coachbook.errors import CoachbookError, Invalid
from coachbook.sources.readers.encodings import UTF_8, encoding_of
from coachbook.sources.readers.even import is_even, load_even
from coachbook.sources.readers.rows import BATCH, Form, Loaded, Progress, Wanted, empty, fill, unreadable
from coachbook.text import N_

FIELD_LIMIT = 2**24
"""Longest field in characters; Python's own limit of 131,072 refuses real descriptions."""
DELIMITERS = ",;\t|"
"""What may stand between two fields; the header tells which one it is."""
_LONGEST_HEADER = 2**20


class Delimited:
    """A text file with a header, its fields set apart by one of `DELIMITERS`."""

    def __init__(self, path: Path, form: Form) -> None:
        self.path = path
        try:
            self.encoding = form.encoding or encoding_of(path)
            self.delimiter = form.delimiter or self._delimiter()
        except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
            raise self._unreadable(error) from None
        self.header = next((fields for _line, fields in self.records()), [])
        if not self.header:
            raise empty(path)

    def load(
        self, connection: DuckDBPyConnection, table: str, wanted: Wanted, on_progress: Progress | None = None
    ) -> Loaded:
        """Read the wanted columns into a temporary table of text."""
        width = len(self.header)
        if (
            self.encoding == UTF_8
            and self.delimiter in DELIMITERS
            and is_even(self.path, self.delimiter, width)
        ):
            return load_even(connection, table, self.path, self.delimiter, width, wanted, on_progress)
        rest = self.records(on_progress)
        next(rest)
        return fill(connection, table, wanted, width, rest)

    def records(self, on_progress: Progress | None = None) -> Iterator[tuple[int, list[str]]]:
        """Every record with the line on which it starts, the header first; a blank line is no record.

        Raises
        ------
        CoachbookError
            The file cannot be decoded, or has a quote that is never closed.
        """
        csv.field_size_limit(max(csv.field_size_limit(), FIELD_LIMIT))
        try:
            with self.path.open("rb") as binary:
                size = max(self.path.stat().st_size, 1)
                lines = _Lines(TextIOWrapper(binary, encoding=self.encoding, newline=""))
                reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
                start = 1
                for count, fields in enumerate(self._strict(reader, lines)):
                    if fields:
                        yield start, fields
                    start = reader.line_num + 1
                    lines.pending.clear()
                    if on_progress and count % BATCH == 0:
                        on_progress(self.path.name, binary.tell() / size)
                if on_progress:
                    on_progress(self.path.name, 1.0)
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> CoachbookError:
        if not isinstance(error, UnicodeError):
            return unreadable(self.path, error)
        return Invalid(
            N_("{file} is not {encoding}. Save it as “CSV UTF-8”."), file=self.path, encoding=self.encoding
        )

    def _delimiter(self) -> str:
        """The one of `DELIMITERS` that stands most often in the header, outside quotes."""
        with self.path.open(encoding=self.encoding, newline="") as text:
            header = ""
            while not header.strip("\r\n") and (more := text.readline(_LONGEST_HEADER)):
                header = more
        bare = "".join(header.split('"')[::2])
        return max(DELIMITERS, key=bare.count)

    def _strict(self, reader: Iterator[list[str]], lines: _Lines) -> Iterator[list[str]]:
        try:
            yield from reader
        except csv.Error as error:
            record = "".join(lines.pending)
            above = reader.line_num - len(lines.pending)  # type: ignore[attr-defined]
            line = above + 1 + _newlines(record[: _opened(record, self.delimiter)])
            limit = "limit" in str(error)
            raise _too_long(self.path, line) if limit else _unclosed(self.path, line, error) from None


class _Lines:
    """The lines of a text, remembering those of the record that is being read."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self.pending: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for line in self._text:
            self.pending.append(line)
            yield line


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


def _opened(record: str, delimiter: str) -> int:
    """Where the last quoted field of an unfinished record opens."""
    opened, quoted, inside, fresh = 0, False, False, True
    for position, character in enumerate(record):
        if fresh:
            quoted = inside = character == '"'
            opened = position if quoted else opened
        elif quoted and character == '"':
            inside = not inside
        fresh = not inside and character == delimiter
    return opened


def _newlines(text: str) -> int:
    return text.replace("\r\n", "\n").replace("\r", "\n").count("\n")
