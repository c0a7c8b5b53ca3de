"""Blank CSV files of the canonical tables, to be filled by hand or by another program."""

from __future__ import annotations

import csv
from pathlib import Path

from coachbook.errors import Refused
from coachbook.model.tables import TABLES
from coachbook.sources.intakes import preset_file
from coachbook.sources.mapping import FILE, key_of
from coachbook.text import N_, _

README = "README.txt"


def write_templates(folder: Path) -> None:
    """Write a blank CSV of every canonical table into a folder, with the mapping that reads them and a note.

    Raises
    ------
    Refused
        The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for table in TABLES.values():
            with (folder / f"{table.name}.csv").open("w", encoding="utf-8-sig", newline="") as file:
                csv.writer(file).writerow(key_of(column) for column in table.columns)
        (folder / FILE).write_bytes(preset_file("generic").read_bytes())
        (folder / README).write_text(_note(folder), encoding="utf-8-sig")
    except OSError as error:
        raise Refused(
            N_("{file} cannot be written: {problem}."), file=folder, problem=error.strerror or error
        ) from None


def _note(folder: Path) -> str:
    tables = "\n".join(f"{table.name}.csv: {_(table.meaning)}" for table in TABLES.values())
    return "\n\n".join(
        [
            _(
                "Fill the tables you have and leave the others as they are; then run: coachbook import {folder}",
                folder=folder.name,
            ),
            tables,
            _(
                "What each column means stands in docs/tables.md. Dates are written 2026-10-09, amounts 1234.50, instants 2026-10-09 14:30 in the workspace's time zone."
            ),
        ]
    ) + "\n"  # fmt: skip
