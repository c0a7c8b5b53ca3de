"""The roster that successive exports tell, as known at a day."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from typing import Any

import duckdb
import pytest
from duckdb import DuckDBPyConnection

from coachbook.model.people import People
from coachbook.model.tables import REPS
from coachbook.warehouse.rosters import people_as_known, read_people, write_roster

JANUARY, FEBRUARY, MARCH, APRIL = (date(2026, month, 28) for month in (1, 2, 3, 4))
EXPORTS = (JANUARY, FEBRUARY, MARCH, APRIL)


@pytest.fixture
def exports() -> Iterator[DuckDBPyConnection]:
    """Four full exports of one source, empty."""
    with closing(duckdb.connect()) as connection:
        columns = ", ".join(f'"{c.name}" {c.kind.duckdb}' for c in REPS.columns)
        connection.execute(f"CREATE TABLE reps ({columns}, _source VARCHAR, _first DATE, _last DATE)")
        connection.execute(
            'CREATE TABLE exports (source VARCHAR, "table" VARCHAR, as_of DATE, complete BOOLEAN)'
        )
        for day in EXPORTS:
            connection.execute("INSERT INTO exports VALUES ('crm', 'reps', ?, true)", [day])
        yield connection


def show(connection: DuckDBPyConnection, rep: str, first: date, last: date, **said: Any) -> None:
    """A version of a row, as exports from `first` to `last` showed it."""
    row = {
        "rep_id": rep,
        "name": rep,
        "role": "rep",
        "_source": "crm",
        "_first": first,
        "_last": last,
        **said,
    }
    names, marks = ", ".join(row), ", ".join("?" for _name in row)
    connection.execute(f"INSERT INTO reps ({names}) VALUES ({marks})", list(row.values()))


def teams(people: People, rep: str) -> list[tuple[str | None, date, date | None]]:
    return [(t.team_id, t.from_on, t.until_on) for t in people.tenures if t.rep_id == rep]


def known(connection: DuckDBPyConnection, as_of: date) -> People:
    return people_as_known(connection, as_of, raw="memory")


def test_the_first_export_tells_what_always_was_and_a_later_one_what_is_since(
    exports: DuckDBPyConnection,
) -> None:
    show(exports, "ann", JANUARY, FEBRUARY, team_id="east")
    show(exports, "ann", MARCH, APRIL, team_id="west")
    show(exports, "bob", MARCH, APRIL, team_id="west")
    assert teams(known(exports, APRIL), "ann") == [("east", date.min, MARCH), ("west", MARCH, None)]
    assert teams(known(exports, APRIL), "bob") == [("west", MARCH, None)]


def test_what_came_later_never_changes_what_was_known(exports: DuckDBPyConnection) -> None:
    show(exports, "ann", JANUARY, FEBRUARY, team_id="east")
    before = [
        known(exports, day).tenures
        for day in (date(2025, 6, 30), JANUARY, FEBRUARY, MARCH - timedelta(days=1))
    ]
    show(exports, "ann", MARCH, APRIL, team_id="west", end_on=date(2026, 2, 15))
    show(exports, "ann", MARCH, APRIL, team_id="north", effective_on=date(2026, 1, 1))
    show(exports, "bob", APRIL, APRIL)
    after = [
        known(exports, day).tenures
        for day in (date(2025, 6, 30), JANUARY, FEBRUARY, MARCH - timedelta(days=1))
    ]
    assert before == after
    assert len(before[0]) == 1


def test_an_end_learnt_late_holds_from_its_day(exports: DuckDBPyConnection) -> None:
    show(exports, "ann", JANUARY, FEBRUARY)
    show(exports, "ann", MARCH, APRIL, end_on=date(2026, 2, 15))
    assert teams(known(exports, APRIL), "ann") == [(None, date.min, date(2026, 2, 16))]


def test_whoever_an_export_lacks_stays_until_an_end_is_told(exports: DuckDBPyConnection) -> None:
    show(exports, "ann", JANUARY, JANUARY)
    assert teams(known(exports, APRIL), "ann") == [(None, date.min, None)]


def test_a_person_whose_dated_rows_are_rewritten_is_still_there(exports: DuckDBPyConnection) -> None:
    """A full export may show the present row alone; what was said of earlier days stays said."""
    show(exports, "ann", JANUARY, FEBRUARY, effective_on=date(2026, 1, 1), team_id="east")
    show(exports, "ann", MARCH, APRIL, effective_on=date(2026, 3, 1), team_id="west")
    assert teams(known(exports, APRIL), "ann") == [
        ("east", date(2026, 1, 1), date(2026, 3, 1)), ("west", date(2026, 3, 1), None),
    ]  # fmt: skip


def test_a_corrected_dated_row_is_the_later_one(exports: DuckDBPyConnection) -> None:
    show(exports, "ann", JANUARY, FEBRUARY, effective_on=date(2026, 1, 1), team_id="typo")
    show(exports, "ann", MARCH, APRIL, effective_on=date(2026, 1, 1), team_id="east")
    assert teams(known(exports, FEBRUARY), "ann") == [("typo", date(2026, 1, 1), None)]
    assert teams(known(exports, APRIL), "ann") == [("east", date(2026, 1, 1), None)]


def test_a_roster_written_is_read_back_as_it_was(exports: DuckDBPyConnection) -> None:
    for table, rows in (("none", 0), ("known_roster", 2)):
        for n in range(rows):
            show(
                exports,
                f"r{n}",
                JANUARY,
                APRIL,
                name="王小明",
                presence="leave",
                ramp=0.25,
                manager="m",
                team="T",
            )
        people = known(exports, APRIL)
        write_roster(exports, people, table)
        assert exports.execute(f"SELECT count(*) FROM {table}").fetchall() == [(rows,)]
    assert read_people(exports).tenures == people.tenures
