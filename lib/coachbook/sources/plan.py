"""What an import will read: each file once, its needed columns, and which table each source fills."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from duckdb import DuckDBPyConnection

from coachbook.errors import Invalid, NotFound, nearest
from coachbook.model.tables import Column, Table
from coachbook.sources.folders import Folder
from coachbook.sources.mapping import Drop, Lookup, Mapping, Origin, Source, key_of
from coachbook.sources.readers import Form, Loaded, Progress, Style, reader
from coachbook.text import N_


@dataclass(frozen=True)
class Intake:
    """One mapping over one folder's files, and whose state of which day they show; no day: today's."""

    folder: Folder
    mapping: Mapping
    source: str
    as_of: date | None
    prefix: str = ""
    """Stands before the names of its files, where several intakes are told apart."""


class RawFile:
    """One file, loaded as the temporary relation `table` with the columns that are needed."""

    def __init__(self, path: Path, name: str, table: str, form: Form) -> None:
        self.name = name
        self.table = table
        self.reader = reader(path, form)
        self.loaded = Loaded()
        self.needed: dict[int, tuple[int, Style]] = {}
        self._folded = [folded(column) for column in self.header]

    @property
    def header(self) -> list[str]:
        """The names of its columns, as they stand."""
        return self.reader.header

    def has(self, names: list[str]) -> bool:
        """Whether it has a column of one of these names."""
        return any(name in self.header or folded(name) in self._folded for name in names)

    def need(self, names: list[str], style: Style | None = None) -> tuple[str, int]:
        """Ask for the first of these columns that is there: its name, and its number.

        Raises
        ------
        NotFound
            The file has no such column; names the nearest.
        Invalid
            The file has it twice.
        """
        for name in names:
            header, wanted = (self.header, name) if name in self.header else (self._folded, folded(name))
            if header.count(wanted) > 1:
                raise Invalid(
                    N_("{file} has the column {column} more than once. Give each its own name."),
                    file=self.name, column=f"“{name}”",
                )  # fmt: skip
            if wanted in header:
                position = header.index(wanted)
                number, _style = self.needed.setdefault(position, (len(self.needed), style or Style()))
                return self.header[position], number
        raise NotFound(
            N_("{file} has no column {column}. Nearest: {near}."),
            file=self.name, column=f"“{names[0]}”", near=nearest(names[0], self.header),
        )  # fmt: skip

    def load(self, connection: DuckDBPyConnection, on_progress: Progress | None) -> None:
        """Read the file."""
        wanted = [(position, style) for position, (_number, style) in self.needed.items()]
        self.loaded = self.reader.load(connection, self.table, wanted, on_progress)

    def text(self, number: int) -> str:
        """A needed column as text, in a query over `table`."""
        return self.loaded.texts[number] if self.loaded.texts else f"c{number}"

    def type(self, number: int) -> str:
        """The DuckDB type of a needed column."""
        return self.loaded.types[number] if self.loaded.types else "VARCHAR"


def folded(name: str) -> str:
    """A column's name as it is compared: without case, width, and what surrounds it."""
    return unicodedata.normalize("NFKC", name).strip(" \t\r\n\ufeff\u200b").casefold()


@dataclass(frozen=True)
class Found:
    """A look-up's relation `key, value`, made of the files in which it looks."""

    relation: str
    keep: bool
    parts: tuple[tuple[RawFile, int, tuple[int, ...]], ...]
    """File, and the numbers of its columns of key and values."""


@dataclass(frozen=True)
class Bound:
    """An origin with the columns that the file has for it; none: the default alone."""

    origin: Origin
    label: str
    columns: tuple[int, ...]
    lookup: Found | None = None


@dataclass(frozen=True)
class Reading:
    """One source over one file, whose rows fill a table."""

    number: int
    intake: Intake
    table: Table
    file: RawFile
    bound: Dict[str, Bound]
    """By the key of the canonical column."""
    drops: tuple[tuple[Drop, tuple[int, ...]], ...]
    """Rules with the numbers of their columns."""

    @property
    def judged(self) -> str:
        """Name of the relation of judged rows."""
        return f"judged_{self.number}"

    @property
    def misshapen(self) -> list[tuple[int, int]]:
        """Line and number of fields of the records that have a wrong number of them, no rule knowing them."""
        return [record for record in self.file.loaded.misshapen if record[1] not in self._lengths]

    @property
    def footers(self) -> dict[str, int]:
        """How many records each rule about the number of fields leaves out."""
        counts = dict.fromkeys(self._lengths.values(), 0)
        for _line, fields in self.file.loaded.misshapen:
            if fields in self._lengths:
                counts[self._lengths[fields]] += 1
        return {rule: count for rule, count in counts.items() if count}

    @property
    def _lengths(self) -> dict[int, str]:
        return {rule.fields: rule.rule for rule, _column in self.drops if rule.fields is not None}


@dataclass
class Plan:
    """Everything that one import reads."""

    files: dict[tuple[Path, Form], RawFile] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """Files of optional mappings that no table reads."""

    @property
    def used(self) -> list[RawFile]:
        """The files of which more than the header is needed."""
        filling = {id(reading.file) for reading in self.readings}
        return [file for file in self.files.values() if id(file) in filling or file.needed]

    def add(self, intake: Intake) -> None:
        """Plan an intake; its files and columns are looked for now, so that nothing is begun in vain."""
        before = len(self.readings)
        for table, source in intake.mapping.sources():
            for path in self._paths(intake, source):
                file = self._file(intake, path)
                if all(map(file.has, source.having)) and not file.has(source.lacking):
                    self.readings.append(self._reading(intake, table, source, file))
        if intake.mapping.optional or intake.folder.chosen:
            self._complain(intake, len(self.readings) == before)

    def _paths(self, intake: Intake, source: Source) -> list[Path]:
        found = [path for pattern in source.file for path in intake.folder.find(pattern)]
        if not found and not intake.mapping.optional and not intake.folder.chosen:
            raise NotFound(
                N_("There is no file {file} in {folder}. Nearest: {near}."),
                file=source.file[0], folder=intake.folder.path,
                near=nearest(source.file[0], [intake.folder.name(path) for path in intake.folder.files]) or ["–"],
            )  # fmt: skip
        there = (path for path in dict.fromkeys(found) if os.path.isfile(path) or not intake.mapping.optional)  # noqa: PTH113
        return sorted(there) if len(source.file) == 1 else list(there)

    def _complain(self, intake: Intake, nothing: bool) -> None:  # noqa: FBT001
        read = {file.reader.path for file in self.used}
        unread = [path for path in intake.folder.files if path not in read]
        if unread and (intake.folder.chosen or nothing):
            columns = RawFile(unread[0], unread[0].name, "", intake.mapping.form).header
            raise NotFound(
                N_("No table of the mapping reads {file}, which has the columns {columns}. Name the preset that fits, or write a mapping.toml (see docs/mapping.md)."),
                file=unread[0], columns=columns[:8],
            )  # fmt: skip
        if nothing:
            raise NotFound(
                N_("{folder} holds no file that the mapping reads. Put for instance {example} there."),
                folder=intake.folder.path, example="deals.csv",
            )  # fmt: skip
        self.unread += [intake.prefix + intake.folder.name(path) for path in unread]

    def _file(self, intake: Intake, path: Path) -> RawFile:
        key = (path, intake.mapping.form)
        if key not in self.files:
            name = intake.prefix + intake.folder.name(path)
            self.files[key] = RawFile(path, name, f"raw_{len(self.files)}", intake.mapping.form)
        return self.files[key]

    def _reading(self, intake: Intake, table: Table, source: Source, file: RawFile) -> Reading:
        number = len(self.readings)
        bound: dict[str, Bound] = {}
        for column in table.columns:
            key = key_of(column)
            if key in source.columns:
                made = self._bound(intake, file, column, source.columns[key], f"look_{number}_{len(bound)}")
                bound |= {key: made} if made else {}
        drops = [
            (rule, tuple(file.need(names)[1] for names in rule.read))
            for rule in source.drop
            if all(map(file.has, rule.read)) or not intake.mapping.optional
        ]
        return Reading(number, intake, table, file, bound, tuple(drops))

    def _bound(
        self, intake: Intake, file: RawFile, column: Column, origin: Origin, relation: str
    ) -> Bound | None:
        if origin.constant is not None:
            return Bound(origin, key_of(column), ())
        optional = intake.mapping.optional or origin.optional
        style = Style(origin.decimal, origin.format[0] if origin.format else "")
        there = [names for names in origin.read if file.has(names) or not optional]
        if not there and origin.default is not None:
            return Bound(origin, key_of(column), ())
        if not there and not column.required:
            return None
        needed = [file.need(names, style) for names in there or origin.read]
        label = ", ".join(name for name, _number in needed)
        numbers = tuple(number for _name, number in needed)
        return Bound(origin, label, numbers, self._found(intake, origin, relation))

    def _found(self, intake: Intake, origin: Origin, relation: str) -> Found | None:
        lookup = origin.lookup
        if lookup is None:
            return None
        optional = intake.mapping.optional or origin.optional
        paths = [path for pattern in lookup.file for path in intake.folder.find(pattern, chosen=False)]
        parts = []
        for path in dict.fromkeys(paths):
            if optional and not os.path.isfile(path):  # noqa: PTH113
                continue
            other = self._file(intake, path)
            if not optional or all(other.has(names) for names in (lookup.key, *lookup.taken)):
                parts.append(_part(other, lookup))
        if not parts and not optional:
            raise NotFound(
                N_("There is no file {file} in {folder}. Nearest: {near}."),
                file=lookup.file[0], folder=intake.folder.path,
                near=nearest(lookup.file[0], [intake.folder.name(path) for path in intake.folder.files]) or ["–"],
            )  # fmt: skip
        return Found(relation, lookup.keep, tuple(parts)) if parts else None


def _part(file: RawFile, lookup: Lookup) -> tuple[RawFile, int, tuple[int, ...]]:
    _name, key = file.need(lookup.key)
    return file, key, tuple(file.need(names)[1] for names in lookup.taken)
