"""What became of every row: rows = loaded + quarantined + dropped, file by file."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from hashlib import file_digest
from pathlib import Path
from typing import Any

from coachbook.cleanup.outcomes import Outcomes
from coachbook.errors import Refused
from coachbook.model.quality import Sentence
from coachbook.text import N_
from coachbook.warehouse import Snapshot

SUPERSEDED = "superseded"
"""The rule that drops a row when a later row of the same export has its key."""
COLUMNS = ("file", "line", "column", "value", "reason")


@dataclass(frozen=True)
class Quarantined:
    """One row that could not be used, with the first thing that was wrong."""

    file: str
    line: int
    column: str
    value: str
    reason: str


@dataclass(frozen=True)
class FileAccount:
    """The rows of one file for one table.

    `unchanged` counts those of `loaded` that were there already, `repeated` those that say the same as another
    row of the file under another id. `encoding` is that of a text.
    """

    file: str
    table: str
    rows: int
    loaded: int
    quarantined: int
    unchanged: int
    dropped: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    encoding: str = ""


@dataclass(frozen=True)
class Sample:
    """The first rows of a table as a dry run would store them."""

    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Accounting:
    """What an import did, or, if it was only tried, would do.

    `quarantine` is the file with the rows it could not use, if any; `unread` are files that no table reads.
    `warnings` is what a reader of figures must know; `cleanup` what became of decisions about deals, None where these
    cannot be read. A dry run has neither snapshot nor file nor warnings, but
    `samples` and the first rows in quarantine, `faults`.
    """

    snapshot: Snapshot | None
    files: tuple[FileAccount, ...]
    quarantine: Path | None = None
    unread: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    faults: tuple[Quarantined, ...] = ()
    warnings: tuple[Sentence, ...] = ()
    cleanup: Outcomes | None = None

    @property
    def quarantined(self) -> int:
        """Rows that could not be used, of all files."""
        return sum(account.quarantined for account in self.files)

    def to_dict(self) -> dict[str, Any]:
        """As `coachbook import --json` prints it."""
        told = {
            "snapshot": self.snapshot.id if self.snapshot else None,
            "files": [vars(account) for account in self.files],
            "quarantine": str(self.quarantine) if self.quarantine else None,
            "unread": list(self.unread),
            "warnings": list(map(str, self.warnings)),
        }
        if self.snapshot:
            return told | {"cleanup": self.cleanup.to_dict() if self.cleanup else None}
        samples = {s.table: [dict(zip(s.columns, map(_plain, row), strict=True)) for row in s.rows] for s in self.samples}  # fmt: skip
        return told | {"dry_run": True, "sample": samples, "faults": [vars(fault) for fault in self.faults]}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


@contextmanager
def quarantining(folder: Path, as_of: date, rows: Iterable[Quarantined]) -> Iterator[Path | None]:
    """Put the rows into `<as of>-<hash>.csv` if the block succeeds; the same rows give the same file.

    Raises
    ------
    Refused
        The folder cannot be written.
    """
    remaining = iter(rows)
    first = next(remaining, None)
    if first is None:
        yield None
        return
    aside = folder / f".{as_of}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerow(vars(first).values())
            writer.writerows(vars(row).values() for row in remaining)
        with aside.open("rb") as written:
            digest = file_digest(written, "sha256").hexdigest()
    except OSError as error:
        raise Refused(
            N_("{file} cannot be written: {problem}."), file=aside, problem=error.strerror or error
        ) from None
    path = folder / f"{as_of}-{digest[:8]}.csv"
    try:
        yield path
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
