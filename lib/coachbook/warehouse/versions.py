"""Versions of rows: what successive exports showed, in whatever order they were imported.

A sighting is a row as one export shows it. Sightings of one key that follow each other in the ledger of
exports with the same content are kept as one version: `_source`, `_first` and `_last`, the as-of days of the
first and last export in which it stood like this. Where an export lacks the row, a version ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from coachbook.model.tables import Table

LEDGER = """
CREATE TABLE exports (source VARCHAR, "table" VARCHAR, as_of DATE, complete BOOLEAN, PRIMARY KEY (source, "table", as_of))
"""


def ddl(table: Table) -> str:
    """`CREATE TABLE` of a canonical table with its versions."""
    columns = ", ".join(f'"{c.name}" {c.kind.duckdb}' for c in table.columns)
    return f'CREATE TABLE "{table.name}" ({columns}, _source VARCHAR, _first DATE, _last DATE)'


def in_force(table: Table, relation: str, day: str, *, exports: str) -> str:
    """The version of each key in force at a day, as a query; what a complete export by then lacked is gone.

    What a source's first export of the table shows holds ever since; what a later one adds, from then on.
    """
    return f"""
    SELECT v.* FROM {relation} AS v JOIN (
        SELECT source, min(as_of) AS base_on, max(as_of) FILTER (complete AND as_of <= {day}) AS whole_on
        FROM {exports} WHERE "table" = '{table.name}' GROUP BY source
    ) AS b ON b.source = v._source
        AND (v._first <= {day} OR v._first = b.base_on) AND coalesce(v._last >= b.whole_on, true)
    QUALIFY row_number() OVER (PARTITION BY {_list(table.key, "v")} ORDER BY v._first DESC, v._source) = 1
    """


@dataclass(frozen=True)
class Export:
    """One table of one export, and where its day stands among the days of the source's other exports."""

    source: str
    as_of: date
    before: date | None
    """The export before it, if any."""
    after: date | None
    """The export after it, if any: this one comes late."""
    again: bool
    """Its day is in the ledger already: what it shows replaces what was seen that day."""
    complete: bool
    """It shows every row: those it lacks were not there."""


def merged(table: Table, export: Export, *, old: str, new: str, kept: str) -> str:
    """The versions after an export, as a query.

    Parameters
    ----------
    old
        Relation of the versions so far.
    new
        Relation of the export's rows, one per key.
    kept
        Relation of keys that the export has but that could not be read; empty: none.
    """
    columns, key = _list(table.names), _list(table.key)
    day, source = _day(export.as_of), f"'{quoted(export.source)}'"
    before, after = _day(export.before), _day(export.after)
    # Rows that a complete or a late export lacks are touched too: their versions end, or are split.
    whole = export.complete or (export.after is not None and not export.again)
    shown = f"SELECT {key} FROM {new}" + (f" UNION SELECT {key} FROM {kept}" if kept else "")
    mine = f"_source = {source}" + ("" if whole else f" AND {_among(table, 'v', shown)}")
    near = f"_first <= coalesce({after}, {day}) AND _last >= coalesce({before}, {day})"
    parts = " UNION ALL ".join(
        [
            f"SELECT {columns}, _first, {before} AS _last, 1 AS place FROM touched WHERE _first <= {before} AND _last >= {before}",
            f"SELECT {columns}, {day} AS _first, {day} AS _last, 2 AS place FROM {new}",
            *_staying(table, export, new, kept),
            f"SELECT {columns}, {after} AS _first, _last, 3 AS place FROM touched WHERE _first <= {after} AND _last >= {after}",
        ]
    )
    content = f"row({columns})"
    return f"""
    WITH versions AS (SELECT *, ({mine} AND {near}) AS touched FROM {old} AS v),
    touched AS (FROM versions WHERE touched),
    parts AS ({parts}),
    turns AS (
        SELECT *, coalesce(
            place - lag(place) OVER turn <> 1 OR {content} IS DISTINCT FROM lag({content}) OVER turn, true
        ) AS turned
        FROM parts WINDOW turn AS (PARTITION BY {key} ORDER BY place)
    ),
    runs AS (SELECT *, sum(turned::INTEGER) OVER (PARTITION BY {key} ORDER BY place) AS run FROM turns)
    SELECT {columns}, _source, _first, _last FROM versions WHERE NOT touched
    UNION ALL
    SELECT {columns}, {source} AS _source, min(_first) AS _first, max(_last) AS _last
    FROM runs GROUP BY {columns}, run
    """


def _staying(table: Table, export: Export, new: str, kept: str) -> list[str]:
    """Sightings of the export's day that it does not show anew: those of that day, and rows that could not be read."""
    lacking = f"NOT {_among(table, 'v', f'SELECT {_list(table.key)} FROM {new}')}"
    unread = _among(table, "v", f"SELECT {_list(table.key)} FROM {kept}") if kept else "false"
    day = export.as_of if export.again else export.before
    there = lacking if export.again and not export.complete else f"{lacking} AND {unread}"
    return [
        f"SELECT {_list(table.names)}, {_day(export.as_of)} AS _first, {_day(export.as_of)} AS _last, 2 AS place "
        f"FROM touched AS v WHERE _first <= {_day(day)} AND _last >= {_day(day)} AND {there}"
    ]


def _among(table: Table, alias: str, keys: str) -> str:
    same = " AND ".join(f"k.{name} IS NOT DISTINCT FROM {alias}.{name}" for name in table.key)
    return f"EXISTS (SELECT 1 FROM ({keys}) AS k WHERE {same})"


def _list(names: tuple[str, ...] | list[str], alias: str = "") -> str:
    return ", ".join(f'{alias}{"." if alias else ""}"{name}"' for name in names)


def _day(day: date | None) -> str:
    return f"DATE '{day}'" if day else "NULL::DATE"


def quoted(value: str) -> str:
    """A text inside an SQL literal."""
    return value.replace("'", "''")
