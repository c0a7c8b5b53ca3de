"""What an import will read: each file once, its needed columns, and which table each source fills."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from duckdb import DuckDBPyConnection

from coachbook.errors import Invalid, NotFound, nearest
from coachbook.model.tables import Table
from coachbook.sources import files
from coachbook.sources.mapping import Lookup, Mapping, Origin, Source
from coachbook.text import N_


@dataclass
class RawFile:
    """One CSV file, loaded as the temporary table `table` with the columns that are needed."""

    path: Path
    name: str
    table: str
    header: list[str]
    needed: dict[str, str] = field(default_factory=dict)
    """Name in the file to name in `table`."""
    loaded: files.Loaded = field(default_factory=files.Loaded)

    def need(self, column: str) -> None:
        """Ask for a column.

        Raises
        ------
        NotFound
            The file has no such column; names the nearest.
        Invalid
            The file has it twice.
        """
        if column not in self.header:
            raise NotFound(
                N_("{file} has no column {column}. Nearest: {near}."),
                file=self.name, column=f"“{column}”", near=nearest(column, self.header),
            )  # fmt: skip
        if self.header.count(column) > 1:
            raise Invalid(
                N_("{file} has the column {column} more than once. Give each its own name."),
                file=self.name, column=f"“{column}”",
            )  # fmt: skip
        self.needed.setdefault(column, f"c{len(self.needed)}")

    def load(self, connection: DuckDBPyConnection, on_progress: files.Progress | None) -> None:
        """Read the file."""
        positions = [self.header.index(column) for column in self.needed]
        self.loaded = files.load(connection, self.table, self.path, positions, on_progress)

    def sql(self, column: str) -> str:
        """A column in a query."""
        return f"{self.table}.{self.needed[column]}"


@dataclass(frozen=True)
class Reading:
    """One source: the file whose rows fill a table, and the files that its look-ups need."""

    number: int
    table: Table
    source: Source
    file: RawFile
    lookups: dict[int, tuple[Lookup, str, RawFile]]
    """By identity of the origin: the look-up, the name of its relation, and its file."""

    @property
    def judged(self) -> str:
        """Name of the relation of judged rows."""
        return f"judged_{self.number}"

    def found(self, origin: Origin) -> str:
        """The value that a look-up finds, in a query."""
        return f"{self.lookups[id(origin)][1]}.value"


class Plan:
    """Everything that one import reads."""

    def __init__(self) -> None:
        self.files: dict[Path, RawFile] = {}
        self.readings: list[Reading] = []

    def add(self, folder: Path, mapping: Mapping, prefix: str = "") -> None:
        """Plan a folder; its files and columns are looked for now, so that nothing is begun in vain."""
        for table, source in mapping.sources():
            file = self._file(folder, source.file, prefix)
            number = len(self.readings)
            lookups: dict[int, tuple[Lookup, str, RawFile]] = {}
            for origin in source.columns.values():
                if origin.column is not None:
                    file.need(origin.column)
                if origin.lookup:
                    other = self._file(folder, origin.lookup.file, prefix)
                    other.need(origin.lookup.key)
                    other.need(origin.lookup.value)
                    lookups[id(origin)] = (origin.lookup, f"look_{number}_{len(lookups)}", other)
            for rule in source.drop:
                file.need(rule.column)
            self.readings.append(Reading(number, table, source, file, lookups))

    def _file(self, folder: Path, name: str, prefix: str) -> RawFile:
        path = folder / name
        if path not in self.files:
            self.files[path] = RawFile(path, prefix + name, f"raw_{len(self.files)}", files.header(path))
        return self.files[path]
