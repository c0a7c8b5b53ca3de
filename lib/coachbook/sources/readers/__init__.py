"""Files of three kinds as rows of text: delimited text, XLSX and Parquet, each with a header."""

from __future__ import annotations

from pathlib import Path

from coachbook.sources.readers.delimited import Delimited
from coachbook.sources.readers.parquet import Parquet
from coachbook.sources.readers.rows import Form, Loaded, Progress, Style, Wanted
from coachbook.sources.readers.sheets import Sheet

__all__ = ["KINDS", "Form", "Loaded", "Parquet", "Progress", "Reader", "Style", "Wanted", "reader"]

KINDS = (".csv", ".tsv", ".xlsx", ".parquet")
"""How the names of files end that are looked for in folders; a file that is named may be called anything."""

Reader = Delimited | Sheet | Parquet


def reader(path: Path, form: Form) -> Reader:
    """What reads a file; its header is read at once.

    Raises
    ------
    CoachbookError
        The file is missing, empty, or not what the end of its name says.
    """
    kinds: dict[str, type[Reader]] = {".xlsx": Sheet, ".parquet": Parquet}
    return kinds.get(path.suffix.casefold(), Delimited)(path, form)
