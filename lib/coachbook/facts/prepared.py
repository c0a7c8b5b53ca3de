"""Figures made before anybody asks for a page."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from coachbook import catalogue
from coachbook.facts.pages import Asked, ensure, settle_all
from coachbook.model.periods import CALENDAR, Period, parse_day
from coachbook.model.quality import Sentence
from coachbook.settings import Settings, Workspace
from coachbook.warehouse import Snapshots, calendar_warnings


@dataclass(frozen=True)
class Prepared:
    """The facts of one period, for everybody on the roster: of each workbook a file."""

    snapshot: str
    settings: str
    period: Period
    as_of: date
    reps: int
    files: dict[str, Path]
    warnings: tuple[Sentence, ...]
    """What a reader of the figures must know."""


def prepare(
    workspace: Workspace, period: str = "", as_of: str = "", *, workbooks: Sequence[str] = (),
    executor: Executor | None = None,
) -> Prepared:  # fmt: skip
    """Take over what `coachbook.toml` says now, and compute the facts of a period; `executor` as of `ensure`.

    `workbooks`: for these alone; empty: for all.

    Raises
    ------
    Invalid
        A text that is no period or no day, whatever the settings: nothing was changed.
    NotFound
        There is no such workbook.
    NotFound, Invalid
        As `settle`: no data yet, or a period or day that the data do not reach. The settings are taken over by then.
    Refused
        An amount has no rate into the currency that the settings name.
    """
    _check_form(period, as_of)
    names = [catalogue.workbook(name).name for name in workbooks] or [
        book.name for book in catalogue.workbooks()
    ]
    snapshot = Snapshots(workspace.store).republish(workspace.settings.reporting)
    pages = settle_all(workspace, Asked(period=period, as_of=as_of))
    page = pages[0]
    settings = Settings.model_validate_json(snapshot.settings_at(page.as_of))
    return Prepared(
        page.snapshot, page.settings, page.period, page.as_of, len(pages),
        {name: ensure(workspace, replace(page, workbook=name), executor) for name in names},
        calendar_warnings(snapshot, page.as_of, settings.calendar.working),
    )  # fmt: skip


def _check_form(period: str, as_of: str) -> None:
    """Whether there is a fiscal year is asked once the settings are taken over; here any will do."""
    if period:
        Period.parse(period, CALENDAR)
    if as_of:
        parse_day(as_of)
