"""The roster as known at a day: rows of exports are read, resolved into stretches, and kept as a table."""

from __future__ import annotations

from dataclasses import fields
from datetime import date

from duckdb import DuckDBPyConnection

from coachbook.model.people import Entry, People, Tenure, resolve

_COLUMNS = {
    "rep_id": "VARCHAR", "from_on": "DATE", "until_on": "DATE", "name": "VARCHAR", "team_id": "VARCHAR",
    "team": "VARCHAR", "manager": "VARCHAR", "role": "VARCHAR", "presence": "VARCHAR", "ramp": "DOUBLE",
    "start_on": "DATE", "end_on": "DATE",
}  # fmt: skip


def people_as_known(connection: DuckDBPyConnection, as_of: date, *, raw: str) -> People:
    """Everybody, out of what exports had shown by the end of a day.

    A source's first export tells what always was; a later one, what is from then on. Nobody leaves by being
    missing from an export: many lack those who have left. `raw` is the catalogue of the canonical tables.
    """
    rows = connection.execute(
        f"""
        WITH base AS (SELECT source, min(as_of) AS base_on FROM {raw}.exports WHERE "table" = 'reps' GROUP BY source),
        known AS (
            SELECT r.*, CASE WHEN r._first > b.base_on THEN r._first END AS seen_on
            FROM {raw}.reps AS r JOIN base AS b ON b.source = r._source
            WHERE r._first <= $as_of OR r._first = b.base_on
        )
        SELECT {", ".join(field.name for field in fields(Entry))}
        FROM known
        QUALIFY effective_on IS NULL
            OR row_number() OVER (PARTITION BY rep_id, effective_on ORDER BY _first DESC, _source) = 1
        ORDER BY rep_id, effective_on, _first, _source
        """,
        {"as_of": as_of},
    ).fetchall()
    return People(resolve(Entry(*row) for row in rows))


def write_roster(connection: DuckDBPyConnection, people: People, table: str) -> None:
    """Make the table of that name: a row per person and stretch of days, by person and time."""
    connection.execute(f"CREATE TABLE {table} ({', '.join(f'{n} {kind}' for n, kind in _COLUMNS.items())})")
    unnested = ", ".join(f"unnest(${name}::{kind}[])" for name, kind in _COLUMNS.items())
    values = {name: [getattr(tenure, name) for tenure in people.tenures] for name in _COLUMNS}
    connection.execute(f"INSERT INTO {table} SELECT {unnested}", values)


def read_people(connection: DuckDBPyConnection) -> People:
    """Everybody, out of `known_roster`."""
    rows = connection.execute("FROM known_roster ORDER BY rep_id, from_on").fetchall()
    return People(tuple(Tenure(*row) for row in rows))
