"""The worksheet of a review: a CSV with a row for each deal, into which people write what they decide."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from coachbook.cleanup.candidates import Candidate
from coachbook.cleanup.cells import inert, plain
from coachbook.cleanup.decisions import KINDS
from coachbook.errors import CoachbookError, Invalid, NotFound, Refused, nearest
from coachbook.text import N_

NEEDED = ("deal_id", "decision", "value", "by")
OPTIONAL = ("decided_on",)
_BESIDE = ("why", "name", "rep", "stage", "close_on", "amount", "currency", "next_step", "touched_on")
_ENCODINGS = ("utf-8-sig", "gb18030")
"""As spreadsheets save a CSV."""


@dataclass(frozen=True)
class Row:
    """What somebody wrote into one row, surrounding spaces aside; `line` is where the row starts."""

    line: int
    deal_id: str
    decision: str
    value: str
    by: str
    decided_on: str


def worksheet(candidates: Iterable[Candidate]) -> str:
    """A CSV to be filled in: the columns of a decision first, then what there is to know of the deal."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*NEEDED, *_BESIDE])
    for c in candidates:
        texts = [inert(text or "") for text in (c.name, c.rep, c.stage)]
        told = [c.close_on or "", c.amount, c.currency or "", inert(c.next_step or ""), c.touched_on or ""]
        writer.writerow([inert(c.deal_id), "", "", "", " ".join(c.why), *texts, *told])
    return out.getvalue()


def read(path: Path) -> list[Row]:
    """The rows in which something is decided; columns beside those of a decision are passed over.

    Raises
    ------
    CoachbookError
        The file cannot be read, lacks a column, or holds no decision.
    """
    records = _records(path)
    header = [name.strip().casefold() for name in next(records, (1, []))[1]]
    for name in NEEDED:
        if name not in header:
            raise NotFound(
                N_("{file} has no column {column}. Its first line must name these: {known}."),
                file=path, column=f"“{name}”", known=list(NEEDED),
            )  # fmt: skip
    places = {name: header.index(name) for name in (*NEEDED, *OPTIONAL) if name in header}
    rows = []
    for line, fields in records:
        if len(fields) != len(header):
            raise Invalid(
                N_("In {file}, line {line} has {fields} fields where the first line has {expected}. Put a text with commas in quotation marks."),
                file=path, line=line, fields=len(fields), expected=len(header),
            )  # fmt: skip
        told = {name: plain(fields[place].strip()).strip() for name, place in places.items()}
        if told["decision"]:
            rows.append(Row(line, **{"decided_on": "", **told}))
        elif told["value"]:
            raise _undecided(path, line, told["value"])
    if not rows:
        raise Invalid(
            N_("{file} holds no decision. Write one of these into the column {column} of a row: {known}."),
            file=path, column="decision", known=list(KINDS),
        )  # fmt: skip
    return rows


def _undecided(path: Path, line: int, value: str) -> CoachbookError:
    return Invalid(
        N_("In {file}, line {line}: there is a value, {value}, but no decision. It can be: {known}."),
        file=path, line=line, value=f"“{value}”", known=list(KINDS),
    )  # fmt: skip


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Every record with the line on which it starts; a line without anything is none."""
    text = _text(path)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader, line = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), 1
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise Invalid(
            N_("{file} is no CSV from line {line} on: {problem}."), file=path, line=line, problem=error
        ) from None


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        near = nearest(path.name, sorted(p.name for p in path.parent.glob("*.csv"))) or ["–"]
        raise NotFound(N_("There is no file {file}. Nearest: {near}."), file=path, near=near) from None
    except OSError as error:
        raise Refused(
            N_("{file} cannot be read: {problem}."), file=path, problem=error.strerror or error
        ) from None
    for encoding in _ENCODINGS:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise Invalid(N_("{file} is not UTF-8. Save it as UTF-8."), file=path)
