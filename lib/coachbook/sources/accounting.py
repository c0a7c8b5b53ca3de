"""What became of every row: rows = loaded + quarantined + dropped, file by file."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

from coachbook.errors import Refused
from coachbook.text import N_
from coachbook.warehouse import Snapshot

SUPERSEDED = "superseded"
"""The rule that drops a row when a later row of the same import has its key."""
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
    """The rows of one file for one table. `unchanged` counts those of `loaded` that were there already."""

    file: str
    table: str
    rows: int
    loaded: int
    quarantined: int
    unchanged: int
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Accounting:
    """What an import did. `quarantine` is the file with the rows it could not use, if any."""

    snapshot: Snapshot
    files: tuple[FileAccount, ...]
    quarantine: Path | None

    @property
    def quarantined(self) -> int:
        """Rows that could not be used, of all files."""
        return sum(account.quarantined for account in self.files)

    def to_dict(self) -> dict[str, Any]:
        """As `coachbook import --json` prints it."""
        return {
            "snapshot": self.snapshot.id,
            "files": [vars(account) for account in self.files],
            "quarantine": str(self.quarantine) if self.quarantine else None,
        }


@contextmanager
def quarantining(folder: Path, as_of: date, rows: Sequence[Quarantined]) -> Iterator[Path | None]:
    """Put the rows into `<as of>-<hash>.csv` if the block succeeds; the same rows give the same file.

    Raises
    ------
    Refused
        The folder cannot be written.
    """
    if not rows:
        yield None
        return
    content = _csv(rows).encode()
    path = folder / f"{as_of}-{sha256(content).hexdigest()[:8]}.csv"
    aside = folder / f".{path.name}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(content)
    except OSError as error:
        raise Refused(
            N_("{file} cannot be written: {problem}."), file=path, problem=error.strerror or error
        ) from None
    try:
        yield path
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _csv(rows: Sequence[Quarantined]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([getattr(row, name) for name in COLUMNS] for row in rows)
    return text.getvalue()
