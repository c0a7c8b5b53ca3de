"""`cb.open()`: the one door from a notebook to data, whatever runs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coachbook import access, facts
from coachbook.charts import show_for
from coachbook.errors import Refused
from coachbook.model.periods import FiscalYear, Period, parse_day
from coachbook.settings import Workspace, locale_named
from coachbook.text import N_, _, day, use_everywhere
from coachbook.warehouse.slices import Slice

if TYPE_CHECKING:
    from coachbook.workbooks.funnel_review import FunnelReview
    from coachbook.workbooks.retrospective import Retrospective


@dataclass(frozen=True)
class Book:
    """An opened page: one scope and one period. `about` says whose; `read` gives what may be seen for a workbook."""

    about: Mapping[str, Any]
    read: Callable[[str], Slice]

    @cached_property
    def period(self) -> Period:
        """The period looked at."""
        fiscal = self.about["fiscal"]
        return Period.parse(self.about["period"], FiscalYear(**fiscal) if fiscal else None)

    def retrospective(self) -> Retrospective:
        """What happened, how sure one can be, and what is worth talking about."""
        from coachbook.workbooks.retrospective import Retrospective

        return Retrospective.of(self.read("retrospective"), self.period)

    def funnel_review(self, *, since: str = "") -> FunnelReview:
        """Where deals stick, whose matter it is, and whether one can know.

        Parameters
        ----------
        since
            A day like `2021-10-31`: what changed since its end is told deal by deal; empty: since the period began.
        """
        from coachbook.workbooks.funnel_review import FunnelReview

        return FunnelReview.of(
            self.read("funnel_review"), self.period, since=parse_day(since) if since else None
        )

    def _repr_mimebundle_(self, **_kwargs: object) -> dict[str, str]:
        return {
            "text/html": f'<p class="cb-banner">{escape(str(self))}</p>',
            "text/plain": str(self),
        }

    def __str__(self) -> str:
        about = self.about
        scope = about["scope"]
        team = about["team"] or _("no team")
        who = scope["name"] if scope["kind"] == "team" else f"{scope['name']} · {team}"
        line = _(
            "{who} · {period} · data as of {as_of} · snapshot {snapshot}", who=who, period=self.period.label,
            as_of=day(parse_day(about["as_of"])), snapshot=about["snapshot"],
        )  # fmt: skip
        return _("{line} · a made-up company", line=line) if about.get("made_up") else line


def open(  # noqa: A001 - `cb.open()` reads as what it is
    *, rep: str | int = "", team: str | int = "", period: str | int = "", as_of: str = "", locale: str = ""
) -> Book:
    """Open a page: of a rep, or of a team.

    Under a grant (a batch, a served page) only what it covers; otherwise as the owner of the workspace that
    the working directory lies in.

    Parameters
    ----------
    rep, team
        The source's id, or a rep's name where it is unique. Whole numbers are taken as their digits:
        `papermill -p rep 15` passes one.
    period
        `2021-10`, `2021-Q4`, `2021-W41` or `2021`; of a fiscal year `FY2021-P07`, `FY2021-Q4` or `FY2021`;
        empty: the last complete month.
    as_of
        A day like `2021-11-10`: nothing known later is used; empty: the newest data.
    locale
        `en` or `zh_CN`; empty: the workspace's.

    Raises
    ------
    CoachbookError
        Says what was wrong and what would be right.
    """
    asked = facts.Asked(rep=str(rep), team=str(team), period=str(period), as_of=as_of)
    token = os.environ.get(access.ENVIRONMENT)
    if token:
        grant = access.read(token)
        use_everywhere(locale_named(locale or grant.locale))
        grant.covers({"rep": asked.rep, "team": asked.team, "period": asked.period, "as_of": as_of})
        show_for(grant.host)
        granted = Slice.read(Path(grant.slice))
        return Book(granted.about, partial(_given, granted))
    workspace = Workspace.find(Path.cwd())
    use_everywhere(locale_named(locale or workspace.settings.locale))
    show_for("")
    page = facts.settle(workspace, asked)
    return Book(facts.about(workspace, page, "manager"), partial(_cut, workspace, page))


def _given(granted: Slice, workbook: str) -> Slice:
    opened = granted.about["workbook"]
    if workbook != opened:
        raise Refused(
            N_("This page was opened as {opened} and holds nothing for {workbook}. Open {workbook} instead."),
            opened=opened, workbook=workbook,
        )  # fmt: skip
    return granted


def _cut(workspace: Workspace, page: facts.Page, workbook: str) -> Slice:
    return Slice.read(facts.cut(workspace, replace(page, workbook=workbook), "manager"))
