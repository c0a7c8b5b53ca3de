"""`mapping.toml`: how the columns of somebody's files become the canonical tables. See docs/mapping.md."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import duckdb
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from coachbook.errors import CoachbookError, Invalid, NotFound, Refused, nearest
from coachbook.model.periods import parse_day
from coachbook.model.tables import TABLES, Column, Kind, Table
from coachbook.settings import explained
from coachbook.text import N_, _

FILE = "mapping.toml"


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _named(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


def _day(value: object) -> object:
    try:
        return parse_day(value) if isinstance(value, str) else value
    except CoachbookError as error:
        raise ValueError(_("write a day like 2021-11-10")) from error


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Lookup(_Section):
    """Replace a value by what another file says about it."""

    file: str
    key: str
    """Column of that file in which the value is looked up."""
    value: str
    """Column of that file that replaces it."""


class Origin(_Section):
    """Where the values of one canonical column come from: a column or a constant, then look-up, then map."""

    column: str | None = None
    constant: str | None = None
    lookup: Lookup | None = None
    map: dict[str, str] = {}
    format: Annotated[list[str], BeforeValidator(_listed)] = []
    """Forms of a date as `strptime` writes them; the first that fits is taken."""
    decimal: str = Field(".", min_length=1, max_length=1)
    thousands: str = Field("", max_length=1)

    @model_validator(mode="after")
    def _one_of_two(self) -> Origin:
        if (self.column is None) == (self.constant is None):
            raise ValueError(_("write either column or constant"))
        if self.thousands == self.decimal:
            raise ValueError(_("decimal and thousands must differ"))
        return self


class Drop(_Section):
    """Rows that are left out on purpose, and counted under the rule's name."""

    rule: str = Field(min_length=1)
    column: str
    equals: Annotated[list[str], BeforeValidator(_listed)]


class Source(_Section):
    """One file that fills one canonical table."""

    file: str = Field(min_length=1)
    columns: dict[str, Annotated[Origin, BeforeValidator(_named)]]
    drop: list[Drop] = []


Sources = Annotated[list[Source], BeforeValidator(_listed)]


class Mapping(_Section):
    """All of `mapping.toml`."""

    as_of: Annotated[date | None, BeforeValidator(_day)] = None
    export: Literal["partial", "full"] = "partial"
    reps: Sources = []
    accounts: Sources = []
    products: Sources = []
    deals: Sources = []

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
            _check_format(source.columns[key], f"{table.name}.columns.{key}.format", origin)


def _check_format(source: Origin, key: str, origin: str) -> None:
    try:
        duckdb.execute("SELECT try_strptime('', ?)", [source.format or ["%Y"]])
    except duckdb.InvalidInputException:
        raise Invalid(
            N_("In {file}, {key} = {value} is not a form of a date. Write it like {example}."),
            file=origin, key=key, value=source.format, example="%d/%m/%Y",
        ) from None  # fmt: skip


def _check_choices(column: Column, source: Origin, key: str, origin: str) -> None:
    written: list[Any] = [*source.map.values(), *([source.constant] if source.constant is not None else [])]
    for value in written if column.choices else []:
        if value not in column.choices:
            raise Invalid(
                N_("In {file}, {key} gives {value}. It can be: {known}."),
                file=origin, key=key, value=f"“{value}”", known=list(column.choices),
            )  # fmt: skip
