"""What was known at an instant: nothing later leaks in."""

from __future__ import annotations

from datetime import date

from duckdb import DuckDBPyConnection


def know(connection: DuckDBPyConnection, as_of: date) -> None:
    """Make the temporary table `known`: deals as at the end of the day `as_of`.

    Without an event history a deal's own days are its events: it did not exist before `created_on`, and
    it was open, its close date unknown, before the day it was decided. Amounts and owners are those last seen.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE known AS
        SELECT
            * REPLACE (
                CASE WHEN status <> 'open' AND close_on > $as_of THEN 'open' ELSE status END AS status,
                CASE WHEN status <> 'open' AND close_on > $as_of THEN NULL ELSE close_on END AS close_on
            )
        FROM deal_state
        WHERE created_on <= $as_of
        """,
        {"as_of": as_of},
    )
