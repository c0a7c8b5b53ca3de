"""XLSX: one sheet's cells as text, blank rows left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from duckdb import DuckDBPyConnection

from coachbook.errors import CoachbookError, Invalid, NotFound, nearest
from coachbook.sources.readers.rows import (
    BATCH,
    Form,
    Loaded,
    Progress,
    Style,
    Wanted,
    empty,
    fill,
    unreadable,
)
from coachbook.sources.readers.zips import DAMAGE, checked
from coachbook.text import N_

MOST_CELLS = 50_000_000
"""Cells in the rectangle that a sheet spans; beyond it memory would not do."""
_CELL = re.compile(rb'<(?:\w+:)?c\s[^>]*?\br="([A-Z]{1,3})(\d{1,7})"')
_CHUNK, _OVERLAP = 2**22, 64


class Sheet:
    """The first sheet of a workbook, or the one that is named."""

    encoding = ""

    def __init__(self, path: Path, form: Form) -> None:
        self.path = path
        self._form = form
        self._rows: list[list[Any]] | None = None
        lines = self._records((Style(),))
        self.header = [str(field).strip() for field in next(lines, (0, []))[1]]
        if not any(self.header):
            raise empty(path)

    def load(
        self, connection: DuckDBPyConnection, table: str, wanted: Wanted, on_progress: Progress | None = None
    ) -> Loaded:
        """Read the wanted columns into a temporary table of text."""
        styles = [Style()] * len(self.header)
        for position, style in wanted:
            styles[position] = style
        rest = self._records(tuple(styles), on_progress)
        next(rest)
        loaded = fill(connection, table, wanted, len(self.header), self._shaped(rest))
        self._rows = None
        return loaded

    def _shaped(self, records: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
        """A sheet knows no missing fields: empty cells at the end of a row are filled up, but for a lone first cell."""
        width = len(self.header)
        for line, fields in records:
            yield line, fields if len(fields) == 1 < width else fields + [""] * (width - len(fields))

    def _records(
        self, styles: tuple[Style, ...], on_progress: Progress | None = None
    ) -> Iterator[tuple[int, list[str]]]:
        rows = self._rows = self._rows or _cells(self.path, self._form.sheet)
        for number, cells in enumerate(rows, 1):
            fields = [_text(cell, styles[min(i, len(styles) - 1)]) for i, cell in enumerate(cells)]
            while fields and not fields[-1]:
                fields.pop()
            if fields:
                yield number, fields
            if on_progress and number % BATCH == 0:
                on_progress(self.path.name, number / len(rows))
        if on_progress:
            on_progress(self.path.name, 1.0)


def _cells(path: Path, sheet: str) -> list[list[Any]]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        _bounded(path)
        with CalamineWorkbook.from_path(str(path)) as book:
            if sheet and sheet not in book.sheet_names:
                raise NotFound(
                    N_("{file} has no sheet {sheet}. There is: {known}."),
                    file=path, sheet=f"“{sheet}”", known=nearest(sheet, book.sheet_names),
                )  # fmt: skip
            chosen = book.get_sheet_by_name(sheet) if sheet else book.get_sheet_by_index(0)
            return chosen.to_python(skip_empty_area=False) if chosen.total_height else []
    except (OSError, ValueError, IndexError, CalamineError, *DAMAGE) as error:
        raise unreadable(path, error) from None
    except CoachbookError:
        raise
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a fault inside calamine is no subclass of Exception
            raise
        raise unreadable(path, ValueError(str(error))) from None


def _bounded(path: Path) -> None:
    """Refuse a sheet whose cells, spread out, would not fit: one far cell makes the rectangle huge."""
    with ZipFile(path) as archive:
        for entry in checked(archive, path):
            if not entry.filename.startswith("xl/worksheets/"):
                continue
            column = row = 1
            for letters, number in _references(archive, entry.filename):
                column, row = max(column, _column(letters)), max(row, int(number))
            if column * row > MOST_CELLS:
                raise Invalid(
                    N_("{file} has a sheet of {rows} rows and {columns} columns, which is too large. Save it as CSV, or delete what lies far out."),
                    file=path, rows=row, columns=column,
                )  # fmt: skip


def _references(archive: ZipFile, name: str) -> Iterator[tuple[bytes, bytes]]:
    with archive.open(name) as sheet:
        before = b""
        while chunk := sheet.read(_CHUNK):
            yield from _CELL.findall(before + chunk)
            before = chunk[-_OVERLAP:]


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _text(cell: object, style: Style) -> str:
    """A cell as the mapping reads it; numbers with the 15 digits that a sheet keeps."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, int | float):
        return _number(cell).replace(".", style.decimal)
    if isinstance(cell, date):
        return _day(cell, style)
    return str(cell)


def _number(cell: float) -> str:
    if cell == int(cell) and abs(cell) < 1e15:
        return str(int(cell))
    text = f"{cell:.15g}"
    return text if "e" not in text else f"{cell:.15f}".rstrip("0")


def _day(cell: date, style: Style) -> str:
    if style.format:
        return cell.strftime(style.format)
    midnight = isinstance(cell, datetime) and cell.time() == datetime.min.time()
    return str(cell.date() if isinstance(cell, datetime) and midnight else cell)
