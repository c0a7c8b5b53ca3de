"""Figures made before anybody asks for a page."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from coachbook.facts.pages import Asked, ensure, settle_all
from coachbook.model.periods import CALENDAR, Period, parse_day
from coachbook.model.quality import Sentence
from coachbook.settings import Settings, Workspace
from coachbook.warehouse import Snapshots, calendar_warnings


@dataclass(frozen=True)
class Prepared:
    """The facts of one period, for everybody on the roster."""

    snapshot: str
    settings: str
    period: Period
    as_of: date
    reps: int
    file: Path
    warnings: tuple[Sentence, ...]
    """What a reader of the figures must know."""


def prepare(
    workspace: Workspace, period: str = "", as_of: str = "", *, executor: Executor | None = None
) -> Prepared:
    """Take over what `coachbook.toml` says now, and compute the facts of a period; `executor` as of `ensure`.

    Raises
    ------
    Invalid
        A text that is no period or no day, whatever the settings: nothing was changed.
    NotFound, Invalid
        As `settle`: no data yet, or a period or day that the data do not reach. The settings are taken over by then.
    Refused
        An amount has no rate into the currency that the settings name.
    """
    _check_form(period, as_of)
    snapshot = Snapshots(workspace.store).republish(workspace.settings.reporting)
    pages = settle_all(workspace, Asked(period=period, as_of=as_of))
    page = pages[0]
    settings = Settings.model_validate_json(snapshot.settings_at(page.as_of))
    return Prepared(
        page.snapshot, page.settings, page.period, page.as_of, len(pages), ensure(workspace, page, executor),
        calendar_warnings(snapshot, page.as_of, settings.calendar.working),
    )  # fmt: skip


def _check_form(period: str, as_of: str) -> None:
    """Whether there is a fiscal year is asked once the settings are taken over; here any will do."""
    if period:
        Period.parse(period, CALENDAR)
    if as_of:
        parse_day(as_of)
