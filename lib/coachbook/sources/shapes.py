"""The shape of a source's deals file, kept from the last import: what is decided about deals is written like it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from duckdb import DuckDBPyConnection
from pydantic import BaseModel, ConfigDict, ValidationError

from coachbook.model.tables import DEALS
from coachbook.sources.mapping import Origin
from coachbook.sources.plan import Bound, Reading

KEYS = ("deal_id", "status", "stage", "close_on", "amount", "next_step", "loss_reason")
"""What of a deal is written."""
_PARTS = ("name", "account_id")
"""What an id may be joined from."""
_FOLDER = "shapes"
_MOST_WORDS = 1000
"""A look-up of more words than that is no list of stages or states."""


class Shape(BaseModel):
    """How a deals file is written.

    `columns` has the keys that a row can be given, each with the columns that the file has for it; what is looked up
    in another file has become a `map` of words.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    file: str
    encoding: str
    delimiter: str
    time_zone: str
    nulls: list[str]
    columns: dict[str, Origin]
    looked_up: list[str]
    """Keys whose words stand for numbers of another file."""


def remember(store: Path, connection: DuckDBPyConnection, readings: Iterable[Reading]) -> None:
    """Keep the shapes of the deals files of an import, one for each source; of several files the last with rows."""
    for reading in readings:
        if reading.table is DEALS and reading.file.loaded.rows:
            shape = _shape(connection, reading)
            with suppress(OSError):  # the data are in; whoever wants the shape is told to import once more
                _write(_path(store, shape.source), shape.model_dump_json(indent=1, exclude_defaults=True))


def remembered(store: Path, source: str) -> Shape | None:
    """The shape of a source's deals file; None: nothing was imported from it since shapes are kept."""
    try:
        return Shape.model_validate_json(_path(store, source).read_bytes())
    except (OSError, ValidationError):
        return None


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"aside-{secrets.token_hex(4)}")
    try:
        aside.touch(mode=0o600)
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _path(store: Path, source: str) -> Path:
    return store / _FOLDER / f"{sha256(source.encode()).hexdigest()[:16]}.json"


def _shape(connection: DuckDBPyConnection, reading: Reading) -> Shape:
    header = {number: reading.file.header[place] for place, (number, _style) in reading.file.needed.items()}
    bounds = {
        key: bound for key in (*KEYS, *_PARTS) if (bound := reading.bound.get(key)) and bound.columns
        and not (bound.lookup and key in _PARTS)
    }  # fmt: skip
    written = {key: _written(connection, bound, header) for key, bound in bounds.items()}
    mapping, reader = reading.intake.mapping, reading.file.reader
    return Shape(
        source=reading.intake.source, file=reading.file.name, encoding=reader.encoding,
        delimiter=getattr(reader, "delimiter", ","), time_zone=mapping.time_zone, nulls=mapping.nulls,
        columns={key: origin for key, origin in written.items() if origin},
        looked_up=[key for key, bound in bounds.items() if bound.lookup],
    )  # fmt: skip


def _written(connection: DuckDBPyConnection, bound: Bound, header: dict[int, str]) -> Origin | None:
    """The origin with the columns that the file has; None if its look-up cannot be read backwards."""
    names = [[header[number]] for number in bound.columns]
    taken: dict[str, object] = {"column": names[0], "columns": []}
    if bound.origin.column is None and not bound.origin.first:
        taken = {"column": None, "columns": names}
    words = bound.origin.map
    if bound.lookup:
        found = connection.execute(
            f"SELECT key, value FROM {bound.lookup.relation} LIMIT {_MOST_WORDS + 1}"
        ).fetchall()
        if len(found) > _MOST_WORDS:
            return None
        words = {key: _mapped(bound.origin, value) for key, value in found if key is not None}
    return bound.origin.model_copy(
        update={**taken, "first": False, "lookup": None, "map": words, "optional": False}
    )


def _mapped(origin: Origin, value: str | None) -> str:
    """What the map makes of a word that was looked up."""
    if not origin.map:
        return value or ""
    return origin.map.get(value or "", origin.map.get("*", "") if value else "")
