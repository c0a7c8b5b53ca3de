"""From what was asked for to the slice that answers it: one way, whatever the host."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from datetime import date
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coachbook import __version__
from coachbook.access import Reader, Scope
from coachbook.errors import AccessDenied, Invalid, NotFound, nearest
from coachbook.facts.roster import Member, members
from coachbook.metrics.registry import VERSION
from coachbook.model.periods import Period, Span, parse_day
from coachbook.settings import Settings, Workspace
from coachbook.text import N_
from coachbook.warehouse import Snapshot, Snapshots, slices

if TYPE_CHECKING:
    from coachbook.cleanup import Decisions

FORMAT = "8"
"""Version of what a facts file and a slice hold; a file of another is never read."""

_DECIDED = {"funnel_review"}
"""Workbooks whose figures tell what was decided, and done, in a clean-up."""


@dataclass(frozen=True)
class Asked:
    """What a user asked for, as written; empty means the default: the first rep, the last complete month, now."""

    workbook: str = "retrospective"
    rep: str = ""
    team: str = ""
    period: str = ""
    as_of: str = ""


@dataclass(frozen=True)
class Page:
    """One page that can be made, everything settled."""

    workbook: str
    scope: Scope
    name: str
    team_id: str
    team: str
    period: Period
    as_of: date
    snapshot: str
    settings: str


def settle(workspace: Workspace, asked: Asked) -> Page:
    """Check a request against roster and data; nothing is written.

    Raises
    ------
    NotFound
        Unknown rep or team, with the nearest names; or no data yet.
    Invalid
        Malformed period or day, or one that the data do not reach.
    """
    desk = _Desk.open(workspace, asked)
    if asked.team:
        if asked.rep:
            raise Invalid(
                N_("Name a rep or a team, not both: rep = {rep}, team = {team}."),
                rep=asked.rep,
                team=asked.team,
            )
        return desk.team_page(asked.team)
    return desk.page(desk.member(asked.rep) if asked.rep else desk.first())


def settle_all(workspace: Workspace, asked: Asked, reps: str = "all") -> list[Page]:
    """The pages of `all`, of `ID,NAME,…` or of `team:ID`; each rep once, in the roster's order.

    Raises
    ------
    NotFound, Invalid
        As `settle`.
    """
    desk = _Desk.open(workspace, asked)
    if reps == "all":
        wanted = desk.members
    elif reps.startswith("team:"):
        team = desk.team_page(reps.removeprefix("team:")).scope.id
        wanted = [m for m in desk.members if m.team_id == team]
    else:
        chosen = {desk.member(part.strip()).rep_id for part in reps.split(",")}
        wanted = [m for m in desk.members if m.rep_id in chosen]
    return [desk.page(m) for m in wanted or [desk.first()]]


def roster(workspace: Workspace, period: str = "") -> list[Member]:
    """Who gets a page in a period, by team and name."""
    return _Desk.open(workspace, Asked(period=period)).members


def periods(workspace: Workspace) -> list[str]:
    """Months that the data hold, newest first."""
    snapshot = Snapshots(workspace.store).current()
    first, last = _reach(snapshot)
    month = Period.containing("month", last)
    ids = [month.id]
    while month.span.first > first:
        month = month.previous
        ids.append(month.id)
    return ids


def place(workspace: Workspace, page: Page) -> Path:
    """The file of the facts that the page reads, whether it is there or not."""
    return Snapshots(workspace.store).beside("facts", page.snapshot) / f"{_key(workspace, page)}.duckdb"


def ensure(workspace: Workspace, page: Page, executor: Executor | None = None) -> Path:
    """The facts of the page's workbook, period and as-of for everybody; made if missing (seconds).

    `executor` shares the work of a large company: any of `concurrent.futures`, or Dask's.
    """
    target = place(workspace, page)
    if not target.exists():
        # With all that computes; most pages find their facts made.
        from coachbook.facts.file import Making

        snapshot = _snapshot(workspace, page)
        settings = Settings.model_validate_json(snapshot.settings_at(page.as_of))
        making = Making(snapshot, settings, page.period, page.as_of, _decisions(workspace, page), target)
        import_module(f"coachbook.facts.{page.workbook}").build(making, executor)
    return target


def cut(workspace: Workspace, page: Page, reader: Reader) -> Path:
    """The slice that one kernel may read; made if missing.

    Raises
    ------
    AccessDenied
        A team's page was asked for a rep.
    """
    if page.scope.kind != "rep" and reader == "rep":
        raise AccessDenied(
            N_("A team's page shows each rep's figures and is not made for the reader {reader}. Make it for {other}."),
            reader=reader, other="manager",
        )  # fmt: skip
    snapshot = _snapshot(workspace, page)
    settings = Settings.model_validate_json(snapshot.settings_at(page.as_of))
    key = _key(workspace, page, page.scope.kind, page.scope.id, reader, page.name)
    return slices.cut(
        snapshot,
        ensure(workspace, page),
        Snapshots(workspace.store).beside("slices", page.snapshot) / f"{key}.duckdb",
        scope=page.scope,
        as_of=page.as_of,
        reader=reader,
        named=settings.peers.naming == "named",
        about=about(workspace, page, reader),
    )


def about(workspace: Workspace, page: Page, reader: Reader) -> dict[str, Any]:
    """What a page says of itself, as plain data."""
    snapshot = _snapshot(workspace, page)
    settings = Settings.model_validate_json(snapshot.settings_at(page.as_of))
    return {
        "workbook": page.workbook,
        "scope": {"kind": page.scope.kind, "id": page.scope.id, "name": page.name, "team": page.team_id},
        "team": page.team,
        "period": page.period.id,
        "fiscal": asdict(page.period.fiscal) if page.period.fiscal else None,
        "as_of": page.as_of.isoformat(),
        "snapshot": page.snapshot,
        "reader": reader,
        "currency": settings.currency,
        "workspace": settings.name,
        "made_up": snapshot.made_up,
    }


def _snapshot(workspace: Workspace, page: Page) -> Snapshot:
    return next(s for s in Snapshots(workspace.store).all() if s.id == page.snapshot)


def _decisions(workspace: Workspace, page: Page) -> Decisions:
    """What reviews decided by the as-of day, where the workbook tells of it."""
    from coachbook.cleanup import Decisions, kept  # with it comes what computes

    return kept(workspace.cleanup).known(page.as_of) if page.workbook in _DECIDED else Decisions(())


def _decided(workspace: Workspace, page: Page) -> str:
    """A hash of that; most workspaces have nothing to read."""
    if page.workbook not in _DECIDED or not workspace.cleanup.is_dir():
        return ""
    return _decisions(workspace, page).digest


def _key(workspace: Workspace, page: Page, *more: str) -> str:
    parts = (
        page.workbook,
        __version__,
        FORMAT,
        page.snapshot,
        page.settings,
        VERSION,
        page.period.id,
        page.as_of.isoformat(),
        _decided(workspace, page),
        *more,
    )
    return f"{page.period.id}-{sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"


def _reach(snapshot: Snapshot) -> tuple[date, date]:
    """First day that the data know, and the day they were published as of."""
    with snapshot.connect() as connection:
        row = connection.execute("SELECT min(created_on) FROM deal_state").fetchone()
    first = row[0] if row and row[0] else snapshot.as_of
    return first, snapshot.as_of


@dataclass(frozen=True)
class _Desk:
    """The request's period and as-of, checked, and who may be asked about."""

    workbook: str
    snapshot: Snapshot
    settings: str
    period: Period
    as_of: date
    members: list[Member]

    @classmethod
    def open(cls, workspace: Workspace, asked: Asked) -> _Desk:
        snapshot = Snapshots(workspace.store).current()
        as_of = parse_day(asked.as_of) if asked.as_of else snapshot.as_of
        first, _last = _reach(snapshot)
        settings = Settings.model_validate_json(snapshot.settings_at(as_of))
        fiscal = settings.calendar.fiscal_year
        period = Period.parse(asked.period, fiscal) if asked.period else _last_complete(as_of)
        if period.span.after <= first or period.span.first > as_of:
            raise Invalid(
                N_("{period} lies outside the data, which run from {first} to {last}. Try {example}."),
                period=period.id, first=first.isoformat(), last=as_of.isoformat(),
                example=_last_complete(snapshot.as_of).id,
            )  # fmt: skip
        members = _members(snapshot, as_of, period.until(as_of))
        return cls(asked.workbook, snapshot, settings.digest, period, as_of, members)

    def page(self, member: Member) -> Page:
        scope = Scope("rep", member.rep_id)
        return self._page(scope, member.name, member.team_id, member.team)

    def first(self) -> Member:
        """Whose page is opened if nobody is named."""
        if not self.members:
            raise NotFound(N_("Nobody is on the roster in {period}."), period=self.period.id)
        return self.members[0]

    def member(self, asked: str) -> Member:
        """By id, or by a name that is unique."""
        found = [m for m in self.members if m.rep_id == asked] or [m for m in self.members if m.name == asked]
        if len(found) == 1:
            return found[0]
        if found:
            raise Invalid(
                N_("The name {name} is not unique. Use the id: {ids}."),
                name=asked,
                ids=[m.rep_id for m in found],
            )
        known = [m.name for m in self.members] + [m.rep_id for m in self.members]
        raise NotFound(
            N_("There is no rep {name} in {period}. Nearest: {near}."),
            name=f"“{asked}”", period=self.period.id, near=nearest(asked, known),
        )  # fmt: skip

    def team_page(self, asked: str) -> Page:
        teams = {m.team_id: m.team for m in self.members if m.team_id}
        if asked not in teams:
            raise NotFound(
                N_("There is no team {name} in {period}. Nearest: {near}."),
                name=f"“{asked}”", period=self.period.id, near=nearest(asked, list(teams)),
            )  # fmt: skip
        return self._page(Scope("team", asked), teams[asked], asked, teams[asked])

    def _page(self, scope: Scope, name: str, team_id: str, team: str) -> Page:
        return Page(
            self.workbook,
            scope,
            name,
            team_id,
            team,
            self.period,
            self.as_of,
            self.snapshot.id,
            self.settings,
        )


def _last_complete(as_of: date) -> Period:
    month = Period.containing("month", as_of)
    return month if month.span.last <= as_of else month.previous


def _members(snapshot: Snapshot, as_of: date, span: Span) -> list[Member]:
    return members(snapshot.people(as_of), span)
