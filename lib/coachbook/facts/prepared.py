"""Figures made before anybody asks for a page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from coachbook.facts.pages import Asked, ensure, settle_all
from coachbook.model.periods import Period
from coachbook.settings import Workspace
from coachbook.warehouse import Snapshots


@dataclass(frozen=True)
class Prepared:
    """The facts of one period, for everybody on the roster."""

    snapshot: str
    settings: str
    period: Period
    as_of: date
    reps: int
    file: Path


def prepare(workspace: Workspace, period: str = "", as_of: str = "") -> Prepared:
    """Take over what `coachbook.toml` says now, and compute the facts of a period.

    Raises
    ------
    NotFound, Invalid
        As `settle`: no data yet, or a period or day that the data do not reach.
    """
    asked = Asked(period=period, as_of=as_of)
    settle_all(workspace, asked)
    Snapshots(workspace.store).republish(workspace.settings.reporting)
    pages = settle_all(workspace, asked)
    page = pages[0]
    return Prepared(
        page.snapshot, page.settings, page.period, page.as_of, len(pages), ensure(workspace, page)
    )
