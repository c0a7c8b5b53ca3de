"""The years whose working days are counted, and what is not known of them."""

from __future__ import annotations

from contextlib import closing
from datetime import date

from duckdb import DuckDBPyConnection

from coachbook.model.calendar import WorkingCalendar
from coachbook.model.quality import Sentence
from coachbook.warehouse.snapshot import Snapshot


def years_counted(connection: DuckDBPyConnection, as_of: date) -> range:
    """From the year of the first deal in the view `known` to that of the day; none without deals."""
    [(first,)] = connection.execute("SELECT min(year(created_on)) FROM known").fetchall()
    return range(first or as_of.year + 1, as_of.year + 1)


def calendar_warnings(snapshot: Snapshot, as_of: date, working: WorkingCalendar) -> tuple[Sentence, ...]:
    """What a reader of figures as known at the end of that day must know of the calendar; mostly nothing."""
    if not working.has_make_up:
        return ()
    with closing(snapshot.known(as_of)) as connection:
        return working.warnings(years_counted(connection, as_of))
