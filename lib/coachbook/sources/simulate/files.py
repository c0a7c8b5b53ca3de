"""A made-up company as a folder of files: one for each table, the mapping that reads them, the truth, a note."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from coachbook.errors import Refused
from coachbook.model.tables import TABLES
from coachbook.sources.simulate.columns import keys
from coachbook.sources.simulate.company import headquarters, opened, told
from coachbook.sources.simulate.dirt import Sower
from coachbook.sources.simulate.office import Office
from coachbook.sources.simulate.truth import DEALS, truth
from coachbook.sources.simulate.words import HOSTILE
from coachbook.sources.simulate.world import World
from coachbook.text import N_, _, speaking


class Format(StrEnum):
    """What the files are."""

    CSV = "csv"
    PARQUET = "parquet"


Progress = Callable[[str, float], None]
_DIRT = 7
NOTE = N_(
    """# A company that does not exist

Made by `{command}`. People, customers, products and figures are made up; any likeness is chance.

- One file for each table; `mapping.toml` says how they are read: `coachbook import` this folder.
- `truth.json` says what is true of the company in the long run, and what was planted. coachbook never reads it.
"""
)


@dataclass(frozen=True)
class Written:
    """What was written: the folder, and the number of rows in each table."""

    folder: Path
    rows: dict[str, int]


def write(
    world: World,
    folder: Path,
    *,
    format: Format = Format.CSV,  # noqa: A002 - what the command line calls it
    deals_measured: int = DEALS,
    on_progress: Progress | None = None,
) -> Written:
    """Make up a company and write it into a new or an empty folder.

    Parameters
    ----------
    world
        The company; the same one gives the same bytes.
    deals_measured
        How many deals the long run in `truth.json` is measured on.
    on_progress
        Called with what is being done, and the share of the whole that is done.

    Raises
    ------
    Refused
        The folder holds something, or cannot be written; or dirt is asked for in Parquet, which cannot hold it.
    """
    if world.dirt and format is not Format.CSV:
        raise Refused(
            N_("{option} needs {known}: a {format} file cannot hold broken rows."),
            option="--dirt", known="--format csv", format=format,
        )  # fmt: skip
    step = on_progress or (lambda _text, _share: None)
    try:
        _make_empty(folder)
        return _written(world, folder, format, deals_measured, step)
    except OSError as error:
        raise Refused(
            N_("{folder} cannot be written: {problem}."), folder=folder, problem=error.strerror or error
        ) from None


def _make_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(
            N_("{folder} holds something already. Name a new or an empty folder, for instance {example}."),
            folder=folder, example="made-up-company",
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)


def _written(world: World, folder: Path, form: Format, deals: int, step: Progress) -> Written:
    office, rows = opened(world), Counter[str]()
    expected = world.reps * world.months * world.deals_per_month
    sower = Sower(world.random(_DIRT)) if world.dirt else None
    marked: list[str] = []
    with ExitStack() as stack:
        writers = {name: stack.enter_context(_WRITERS[form](folder, name, sower)) for name in TABLES}
        for part in _parts(office):
            step(f"deals.{form}", 0.95 * rows["deals"] / max(expected, rows["deals"]))
            for name, table in part.items():
                rows[name] += table.num_rows
                writers[name].write(table)
            marked += _marked(part)
    (folder / "mapping.toml").write_text(mapping(world, form), encoding="utf-8")
    with speaking(world.locale):
        (folder / "README.md").write_text(_(NOTE, command=command(world, form)), encoding="utf-8")
    step("truth.json", 0.95)
    measured = truth(office, deals=deals) | {"dirt": dict(sower.counts) if sower else {}}
    measured["planted"]["hostile_deals"] = marked
    (folder / "truth.json").write_text(
        json.dumps(measured, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return Written(folder, {name: rows[name] for name in TABLES})


def _marked(part: dict[str, pa.Table]) -> list[str]:
    """Ids of the deals with the hostile name."""
    deals = part.get("deals")
    found: list[str] = deals.filter(pc.equal(deals["name"], HOSTILE))["deal_id"].to_pylist() if deals else []
    return found


def _parts(office: Office) -> Iterator[dict[str, pa.Table]]:
    yield headquarters(office)
    for part in told(office):
        yield part.tables()


class _Csv:
    """A CSV file as Python's csv module writes it, faults sown in if there is a sower."""

    def __init__(self, folder: Path, name: str, sower: Sower | None) -> None:
        self.name, self.sower, self.header = name, sower, keys(name)
        self._file = (folder / f"{name}.csv").open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(self.header)

    def __enter__(self) -> _Csv:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, table: pa.Table) -> None:
        columns = [pc.cast(column, pa.string()).fill_null("").to_pylist() for column in table.columns]
        rows = list(map(list, zip(*columns, strict=True)))
        self._rows.writerows(self.sower.spoilt(self.name, self.header, rows) if self.sower else rows)


class _Parquet:
    """A Parquet file with days, instants and numbers as such."""

    def __init__(self, folder: Path, name: str, _sower: Sower | None) -> None:
        self._path = folder / f"{name}.parquet"
        self._file: Any = None

    def __enter__(self) -> _Parquet:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file:
            self._file.close()

    def write(self, table: pa.Table) -> None:
        self._file = self._file or pq.ParquetWriter(self._path, table.schema)
        self._file.write_table(table)


_WRITERS: dict[Format, Any] = {Format.CSV: _Csv, Format.PARQUET: _Parquet}


def command(world: World, form: Format) -> str:
    """The command line that makes this company."""
    dirt = " --dirt" if world.dirt else ""
    return (
        f"coachbook simulate DIR --reps {world.reps} --teams {world.teams} --months {world.months}"
        f" --seed {world.seed} --locale {world.locale}{dirt} --format {form}"
    )


def mapping(world: World, form: Format) -> str:
    """The `mapping.toml` that reads the files: every column under its own key."""
    lines = [
        "# A made-up company: every column is called by its own key. The language: docs/mapping.md.\n",
        'source = "simulated"', f"as_of = {world.end.isoformat()}", 'export = "full"',
    ]  # fmt: skip
    for name in TABLES:
        lines += [f"\n[{name}]", f'file = "{name}.{form}"', f"[{name}.columns]"]
        lines += [f'{key} = "{key}"' for key in keys(name)]
    return "\n".join(lines) + "\n"
