"""`mapping.toml`: how the columns of somebody's files become the canonical tables. See docs/mapping.md."""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import duckdb
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from coachbook.errors import CoachbookError, Invalid, NotFound, Refused, nearest
from coachbook.model.periods import parse_day
from coachbook.model.tables import TABLES, Column, Kind, Table
from coachbook.settings import explained
from coachbook.sources.readers import Form
from coachbook.sources.transforms import TRANSFORMS
from coachbook.text import N_, _

FILE = "mapping.toml"
ANYTHING = "*"
"""Left side of a map: every other text."""
WORKSPACE = "workspace"
"""Default of a currency: the one that the workspace counts in."""
NULLS = ("null", "NULL", "(null)", "N/A", "n/a", "#N/A", "#N/V", "None", "nil", "\\N", "-", "--", "—")
"""Texts that are no value, unless the mapping says otherwise."""


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _named(value: object) -> object:
    return {"column": value} if isinstance(value, str | list) else value


def _day(value: object) -> object:
    try:
        return parse_day(value) if isinstance(value, str) else value
    except CoachbookError as error:
        raise ValueError(_("write a day like 2021-11-10")) from error


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Texts = Annotated[list[str], BeforeValidator(_listed)]
Names = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
"""Names that one column may have; the first that the file has is taken."""


def _inside(name: str) -> str:
    if not name or PurePath(name).is_absolute() or ".." in PurePath(name).parts or "\0" in name:
        raise ValueError(_("write the name of a file inside the folder"))
    return name


Files = Annotated[list[Annotated[str, AfterValidator(_inside)]], BeforeValidator(_listed)]
"""Names inside the folder, or patterns with `*`."""


class Lookup(_Section):
    """Replace a value by what another file says about it."""

    file: Files
    key: Names
    """Column of that file in which the value is looked up."""
    value: Names | None = None
    """Column of that file that replaces it."""
    values: list[Names] = []
    """Several, joined by a space."""
    keep: bool = False
    """Whether a value that is not found stays."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Lookup:
        if (self.value is None) == (not self.values):
            raise ValueError(_("write either value or values"))
        return self

    @property
    def taken(self) -> list[list[str]]:
        """The columns that replace the value, each with the names it may have."""
        return [self.value] if self.value else self.values


class Origin(_Section):
    """Where the values of one canonical column come from: columns or a constant, then what is done to them."""

    column: Names | None = None
    columns: list[Names] = []
    """Several columns, joined by a space."""
    first: bool = False
    """Of several columns, the first that is not empty instead."""
    constant: str | None = None
    transform: Texts = []
    lookup: Lookup | None = None
    map: dict[str, str] = {}
    default: str | None = None
    """The text where there is none."""
    optional: bool = False
    """Whether the file may lack the column."""
    format: Texts = []
    """Forms of a date as `strptime` writes them; the first that fits is taken."""
    decimal: str = Field(".", min_length=1, max_length=1)
    thousands: str = Field("", max_length=1)

    @model_validator(mode="after")
    def _one_of_three(self) -> Origin:
        if sum([self.column is not None, bool(self.columns), self.constant is not None]) != 1:
            raise ValueError(_("write either column or constant (or columns, for several)"))
        if self.thousands == self.decimal:
            raise ValueError(_("decimal and thousands must differ"))
        return self

    @field_validator("transform")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        if unknown := [name for name in names if name not in TRANSFORMS]:
            near = ", ".join(nearest(unknown[0], list(TRANSFORMS)))
            raise ValueError(_("write one of the transforms, for instance {near}", near=near))
        return names

    @property
    def read(self) -> list[list[str]]:
        """The columns of the file that it needs, each with the names it may have."""
        return [self.column] if self.column else self.columns


class Drop(_Section):
    """Rows that are left out on purpose, and counted under the rule's name."""

    rule: str = Field(min_length=1)
    column: Names | None = None
    columns: list[Names] = []
    """Several columns, joined by a space."""
    equals: Texts = []
    other_than: Texts = []
    fields: int | None = Field(None, ge=1)
    """How many fields a record has that is no row, as in the last lines of a report."""

    @model_validator(mode="after")
    def _one_way(self) -> Drop:
        told = [bool(self.equals), bool(self.other_than), self.fields is not None]
        if sum(told) != 1 or (self.fields is None) != bool(self.read):
            raise ValueError(_("write either fields, or column with equals or other_than"))
        return self

    @property
    def read(self) -> list[list[str]]:
        """The columns of the file that it needs, each with the names it may have."""
        return [self.column] if self.column else self.columns


class Source(_Section):
    """Files that fill one canonical table."""

    file: Files
    having: list[Names] = []
    """Columns by which the files are told from others; those that lack one are passed by."""
    lacking: Texts = []
    """Columns of files that are passed by."""
    columns: dict[str, Annotated[Origin, BeforeValidator(_named)]]
    drop: list[Drop] = []


Sources = Annotated[list[Source], BeforeValidator(_listed)]
_tables: dict[str, Any] = {name: (Sources, []) for name in TABLES}
_Tables = create_model("_Tables", __base__=_Section, **_tables)


class Mapping(_Tables):
    """All of `mapping.toml`: these keys, and a section for each table of `model/tables.py`."""

    as_of: Annotated[date | None, BeforeValidator(_day)] = None
    source: str = Field("", max_length=100)
    export: Literal["partial", "full"] = "partial"
    optional: bool = False
    """Whether files, and columns that no row needs, may be absent."""
    time_zone: str = ""
    encoding: str = ""
    delimiter: str = Field("", max_length=1)
    sheet: str = ""
    nulls: list[str] = Field(list(NULLS))

    @field_validator("time_zone")
    @classmethod
    def _known_time_zone(cls, zone: str) -> str:
        try:
            return ZoneInfo(zone).key if zone else ""
        except (OSError, ValueError):
            raise ValueError(_("write a time zone like Asia/Shanghai")) from None

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str) -> str:
        try:
            return codecs.lookup(name).name if name else ""
        except LookupError:
            raise ValueError(_("write an encoding like utf-8 or gb18030")) from None

    @property
    def form(self) -> Form:
        """What it says of the files' form."""
        return Form(self.encoding, self.delimiter, self.sheet)

    @classmethod
    def read(cls, path: Path) -> Mapping:
        """Read and check a `mapping.toml`.

        Raises
        ------
        NotFound
            There is no such file.
        Invalid
            Names the key or value, and the nearest right one.
        """
        try:
            mapping = cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
        except FileNotFoundError:
            raise NotFound(
                N_("There is no {file} in {folder}. Write one (see docs/mapping.md), or import with {preset}."),
                file=path.name, folder=path.parent, preset="--preset regional_sales",
            ) from None  # fmt: skip
        except OSError as error:
            raise Refused(
                N_("{file} cannot be read: {problem}."), file=path, problem=error.strerror or error
            ) from None
        except UnicodeDecodeError:
            raise Invalid(N_("{file} is not UTF-8. Save it as UTF-8."), file=path) from None
        except tomllib.TOMLDecodeError as error:
            raise Invalid(N_("{file} is not valid TOML: {problem}."), file=path, problem=error) from None
        except ValidationError as error:
            raise explained(cls, error, str(path)) from None
        for table, source in mapping.sources():
            _check(table, source, str(path))
        if not any(mapping.sources()):
            raise Invalid(
                N_("{file} maps no table. Write at least one of: {known}."), file=path, known=list(TABLES)
            )
        return mapping

    def sources(self) -> Iterator[tuple[Table, Source]]:
        """Every source with the table that it fills."""
        for name, table in TABLES.items():
            for source in getattr(self, name):
                yield table, source


def key_of(column: Column) -> str:
    """What a mapping calls a canonical column: amounts are written in major units, so `amount`."""
    return column.name.removesuffix("_minor") if column.kind is Kind.MINOR else column.name


def _check(table: Table, source: Source, origin: str) -> None:
    """The canonical columns named exist, those required are there, constants and date formats can be read."""
    keys = {key_of(column): column for column in table.columns}
    for key in source.columns:
        if key not in keys:
            raise Invalid(
                N_("{file} has no key {key}. The nearest is {known}."),
                file=origin, key=f"{table.name}.columns.{key}",
                known=f"{table.name}.columns.{nearest(key, list(keys), most=1)[0]}",
            )  # fmt: skip
    for key, column in keys.items():
        if column.required and key not in source.columns:
            raise Invalid(N_("{file} lacks the key {key}."), file=origin, key=f"{table.name}.columns.{key}")
        if key in source.columns:
            _check_choices(column, source.columns[key], f"{table.name}.columns.{key}", origin)
            if source.columns[key].format:
                _check_format(source.columns[key].format, f"{table.name}.columns.{key}.format", origin)


def _check_format(forms: list[str], key: str, origin: str) -> None:
    try:
        duckdb.execute("SELECT try_strptime('', ?)", [forms])
        right = not any(
            "%z" in form or "%Z" in form for form in forms
        )  # offsets are understood without a form
    except duckdb.InvalidInputException:
        right = False
    if not right:
        raise Invalid(
            N_("In {file}, {key} = {value} is not a form of a date. Write it like {example}."),
            file=origin, key=key, value=forms, example="%d/%m/%Y",
        )  # fmt: skip


def _check_choices(column: Column, source: Origin, key: str, origin: str) -> None:
    written = [
        *source.map.values(),
        *(text for text in (source.constant, source.default) if text is not None),
    ]
    for value in written if column.choices else []:
        if value not in column.choices and not (value == "" and not column.required):
            raise Invalid(
                N_("In {file}, {key} gives {value}. It can be: {known}."),
                file=origin, key=key, value=f"“{value}”", known=list(column.choices),
            )  # fmt: skip
