"""`cb.open()`: the one door from a notebook to data, whatever runs it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from coachbook import access, facts
from coachbook.charts import show_for
from coachbook.model.periods import FiscalYear, Period, parse_day
from coachbook.settings import Workspace, locale_named
from coachbook.text import _, day, use_everywhere
from coachbook.warehouse.slices import Slice

if TYPE_CHECKING:
    from coachbook.workbooks.retrospective import Retrospective


@dataclass(frozen=True)
class Book:
    """An opened page: one scope, one period, and the slice that may be seen of it."""

    slice: Slice

    @cached_property
    def period(self) -> Period:
        """The period looked at."""
        about = self.slice.about
        return Period.parse(about["period"], FiscalYear(**about["fiscal"]) if about["fiscal"] else None)

    def retrospective(self) -> Retrospective:
        """What happened, how sure one can be, and what is worth talking about."""
        from coachbook.workbooks.retrospective import Retrospective

        return Retrospective.of(self.slice, self.period)

    def _repr_mimebundle_(self, **_kwargs: object) -> dict[str, str]:
        return {
            "text/html": f'<p class="cb-banner">{escape(str(self))}</p>',
            "text/plain": str(self),
        }

    def __str__(self) -> str:
        about = self.slice.about
        line = _(
            "{name} · {team} · {period} · data as of {as_of} · snapshot {snapshot}",
            name=about["scope"]["name"], team=about["team"] or _("no team"), period=self.period.label,
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
        return Book(Slice.read(Path(grant.slice)))
    workspace = Workspace.find(Path.cwd())
    use_everywhere(locale_named(locale or workspace.settings.locale))
    show_for("")
    page = facts.settle(workspace, asked)
    return Book(Slice.read(facts.cut(workspace, page, "manager")))
