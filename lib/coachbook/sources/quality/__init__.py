"""Data quality: one question per check, asked of a snapshot as known at a day."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from importlib.resources import files
from typing import Any

from duckdb import DuckDBPyConnection

from coachbook.model.periods import parse_day
from coachbook.model.quality import Check, Example, Mender, Report, Sentence, Share
from coachbook.model.tables import DEAL_EVENTS, TABLES
from coachbook.settings import Settings, Workspace
from coachbook.sources.quality import company, coverage, dates, deals, duplicates, history, references
from coachbook.sources.quality.question import Question, Told
from coachbook.warehouse import Snapshots, years_counted
from coachbook.warehouse.rosters import read_people

__all__ = ["QUESTIONS", "doctor"]

EXAMPLES = 10
"""Most examples of one check."""
QUESTIONS: tuple[Question, ...] = (
    *deals.QUESTIONS, *dates.QUESTIONS, *duplicates.QUESTIONS, *references.QUESTIONS, *history.QUESTIONS,
    *coverage.QUESTIONS, *company.QUESTIONS,
)  # fmt: skip


def doctor(workspace: Workspace, as_of: str = "") -> Report:
    """Ask every question of the current snapshot.

    Parameters
    ----------
    as_of
        Like `2021-11-10`: what was known at the end of that day; empty: the newest data.

    Raises
    ------
    NotFound
        There are no data yet.
    Invalid
        `as_of` is not a day.
    """
    snapshot = Snapshots(workspace.store).current()
    day = parse_day(as_of) if as_of else snapshot.as_of
    settings = Settings.model_validate_json(snapshot.settings_at(day))
    with closing(snapshot.known(day, TABLES.keys() - {DEAL_EVENTS.name})) as connection:
        _prepare(connection, day, settings)
        checks = tuple(_asked(connection, question) for question in QUESTIONS)
    return Report(snapshot.id, day, checks, snapshot.made_up)


def _prepare(connection: DuckDBPyConnection, day: date, settings: Settings) -> None:
    """Make what the questions read."""
    zone = settings.time_zone
    text = (files("coachbook.sources.quality") / "prepare.sql").read_text(encoding="utf-8")
    local = "instant" if zone == "UTC" else f"((instant AT TIME ZONE 'UTC') AT TIME ZONE '{zone}')"
    connection.execute(text.format(day=day, local=local))
    for table in duplicates.TOLD_APART:
        connection.execute(duplicates.repeats_sql(table))
    roster = read_people(connection).at(day)
    names = [" → ".join((*ring, ring[0])) for ring in roster.rings]
    _fill(
        connection,
        "rings",
        [(rep, name) for ring, name in zip(roster.rings, names, strict=True) for rep in ring],
    )
    _fill(connection, "unclear", [(rep,) for rep in roster.unclear])
    _fill(connection, "years", _years(connection, day, settings))


def _years(connection: DuckDBPyConnection, day: date, settings: Settings) -> list[tuple[int, bool]]:
    """The years of the deals, and whether the country's make-up workdays of each are known."""
    if not settings.calendar.country:
        return []
    years = years_counted(connection, day)
    unknown = settings.calendar.working.years_without_make_up(years)
    return [(year, year not in unknown) for year in years]


def _fill(connection: DuckDBPyConnection, table: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        marks = ", ".join("?" for _value in rows[0])
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


def _asked(connection: DuckDBPyConnection, question: Question) -> Check:
    """The answer to one question."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE found AS {question.rows}")
    columns = [str(row[0]) for row in connection.execute("DESCRIBE found").fetchall()]
    (count,) = _row(
        connection,
        f"SELECT {'coalesce(sum(times), 0)::BIGINT' if 'times' in columns else 'count(*)'} FROM found",
    )
    (of,) = _row(connection, question.of)
    return Check(
        question.id, question.severity, question.mended_by, Sentence(question.what, dict(question.values)),
        Sentence(question.remedy), count, of,
        details=tuple(sentence for told in question.told for sentence in _told(connection, told)) if count else (),
        examples=_examples(connection, question.order) if count else (),
        by_owner=_by_owner(connection) if count and question.mended_by is Mender.REP else (),
    )  # fmt: skip


def _told(connection: DuckDBPyConnection, told: Told) -> list[Sentence]:
    return [Sentence(told.message, row) for row in _named(connection, told.query)]


def _examples(connection: DuckDBPyConnection, order: str) -> tuple[Example, ...]:
    rows = _named(connection, f"FROM found ORDER BY {order} LIMIT {EXAMPLES}")
    people = dict(connection.execute("SELECT rep_id, name FROM people").fetchall())
    return tuple(
        Example(
            str(row.pop("id")), row.pop("name", None) or "", rep := row.pop("rep_id", None) or "", people.get(rep, rep), row
        )
        for row in rows
    )  # fmt: skip


def _by_owner(connection: DuckDBPyConnection) -> tuple[Share, ...]:
    rows = connection.execute(
        """
        SELECT coalesce(rep_id, ''), coalesce(any_value(p.name), rep_id, ''), count(*) FROM found LEFT JOIN people AS p USING (rep_id)
        GROUP BY rep_id ORDER BY count(*) DESC, rep_id
        """
    ).fetchall()
    return tuple(Share(*row) for row in rows)


def _named(connection: DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _row(connection: DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    (row,) = connection.execute(query).fetchall()
    return tuple(row)
