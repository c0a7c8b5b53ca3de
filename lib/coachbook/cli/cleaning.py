"""Commands about clean-up: what a review decided about deals, as changes for the CRM, and what became of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from coachbook.cli.console import document, note, table, tell
from coachbook.cli.grammar import Command, Group
from coachbook.cli.options import In, Json, here, path, text
from coachbook.errors import NotFound, Refused, nearest
from coachbook.text import N_, _, listed, money, number, shown

if TYPE_CHECKING:
    from coachbook.cleanup import Decision, Outcome, Outcomes
    from coachbook.model.people import Roster

MOST = 20
"""How many decisions are named after an import."""

app = typer.Typer(
    cls=Group,
    help=N_("Clean up the pipeline: decisions of a review as changes for the CRM, and what became of them."),
)


@app.callback(invoke_without_command=True)
def _start(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        context.get_help()


@app.command(
    cls=Command,
    help=N_("Write a worksheet of deals to decide about: overdue, quiet, or without a next step."),
)
def worksheet(
    *,
    reps: Annotated[
        str | None,
        typer.Option(
            "--reps", parser=text("--reps", "15,16"), metavar="ID|NAME,…",
            help=N_("Only deals of these reps, by id or name. Without it: of everybody."),
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", parser=path("--out", "worksheet.csv"), metavar="FILE",
            help=N_("The file to write, for instance worksheet.csv. Without it: a new one in the folder cleanup of the workspace."),
        ),
    ] = None,
    workspace: In = None,
    json: Json = False,
) -> None:  # fmt: skip
    """`cleanup.candidates`, `cleanup.worksheet`."""
    from coachbook import cleanup
    from coachbook.warehouse import Snapshots

    inside, named = here(workspace), _free(out)
    snapshot = Snapshots(inside.store).current()
    day = snapshot.as_of
    roster = snapshot.people(day).at(day)
    asked = None if reps is None else [_rep(roster, name.strip()) for name in reps.split(",")]
    found = cleanup.candidates(snapshot, day, reps=asked)
    content = cleanup.worksheet(found).encode("utf-8-sig")
    written = _put(named, inside.cleanup, f"worksheet-{day}", content)
    if json:
        document({"file": str(written), "deals": len(found)})
    else:
        tell(
            _(
                "Deals to decide about: {count}. They are in {file}; fill in decision, value and by, then run: coachbook cleanup add {file}",
                count=number(len(found)), file=shown(written),
            )
        )  # fmt: skip


@app.command(cls=Command, help=N_("Keep the decisions of a worksheet: all of them, or none if one is wrong."))
def add(
    file: Annotated[
        Path,
        typer.Argument(
            parser=path("FILE", "worksheet.csv"), metavar="FILE",
            help=N_("A CSV with the columns deal_id, decision (dead, close_on, amount, next_step or keep), value and by."),
        ),
    ],
    *,
    on: Annotated[
        str | None,
        typer.Option(
            "--on", parser=text("--on", "2021-11-10"), metavar="DAY",
            help=N_("The day of the review, for instance 2021-11-10. Without it: today."),
        ),
    ] = None,
    workspace: In = None,
    json: Json = False,
) -> None:  # fmt: skip
    """`cleanup.add`."""
    from coachbook import cleanup
    from coachbook.model.periods import parse_day

    added = cleanup.add(here(workspace), file, decided_on=parse_day(on).isoformat() if on else "")
    if json:
        document(added.to_dict())
        return
    tell(
        _(
            "Decisions kept: {count}; decided already: {unchanged}. Next: coachbook cleanup export",
            count=number(len(added.decisions)), unchanged=number(added.unchanged),
        )
    )  # fmt: skip


@app.command(
    cls=Command,
    help=N_("Write what is decided and not done yet as a list of changes that the CRM can import."),
)
def export(
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", parser=path("--out", "changes.csv"), metavar="FILE",
            help=N_("The file to write, for instance changes.csv. Without it: a new one in the folder cleanup of the workspace."),
        ),
    ] = None,
    workspace: In = None,
    json: Json = False,
) -> None:  # fmt: skip
    """`sources.change_lists`."""
    from coachbook import sources

    inside, named = here(workspace), _free(out)
    found = sources.change_lists(inside)
    today = datetime.now(ZoneInfo(inside.settings.time_zone)).date()
    several = len(found.lists) > 1
    written = []
    for nr, one in enumerate(found.lists, 1):
        target = _free(named.with_name(f"{named.stem}-{nr}{named.suffix}")) if named and several else named
        written.append((_put(target, inside.cleanup, f"changes-{today}", one.content), one))
    if json:
        document(
            {
                "files": [
                    {
                        "file": str(file), "source": one.source, "deals": len(one.rows), "decisions": len(one.decisions),
                        "columns": list(one.header), "outside": list(one.outside),
                    }
                    for file, one in written
                ],
                "unknown": [d.deal_id for d in found.homeless],
            }
        )  # fmt: skip
        return
    for file, one in written:
        tell(
            _(
                "Changes of {count} deals are in {file}. An empty field changes nothing.",
                count=number(len(one.rows)), file=shown(file),
            )
        )  # fmt: skip
        if one.outside:
            note(
                _(
                    "The mapping of {source} has no column for {columns}: enter these by hand, or map them (docs/cleanup.md).",
                    source=shown(one.source), columns=listed(list(one.outside)),
                )
            )  # fmt: skip
    if found.homeless:
        note(
            _(
                "The data do not have these deals: {deals}.",
                deals=listed([shown(d.deal_id) for d in found.homeless]),
            )
        )  # fmt: skip
    if not written:
        tell(_("There is nothing to change: every decision is done or overtaken."))


@app.command(cls=Command, help=N_("Say what became of every decision, by the newest data."))
def status(*, workspace: In = None, json: Json = False) -> None:
    """`cleanup.outcomes`."""
    from coachbook import cleanup
    from coachbook.warehouse import Snapshots

    inside = here(workspace)
    found = cleanup.outcomes(cleanup.kept(inside.cleanup), Snapshots(inside.store).current())
    if json:
        document(found.to_dict())
    else:
        print_outcomes(found)


def print_outcomes(found: Outcomes, *, most: int | None = None) -> None:
    """How many decisions are done, not done and overtaken, and which: those first that somebody must look at."""
    from coachbook.cleanup.outcomes import STATES

    if not found.all:
        if most is None:
            tell(_("Nothing is decided yet. Write a worksheet with: coachbook cleanup worksheet"))
        return
    tell(
        _(
            "Clean-up as of {day}: {done} done, {not_done} not done, {overtaken} overtaken.",
            day=found.as_of.isoformat(), **{state: number(len(found.of(state))) for state in STATES},
        )
    )  # fmt: skip
    every = [outcome for state in STATES for outcome in found.of(state)]
    shown_ones = every[:most]
    if shown_ones:
        headings = [_("State"), _("Deal"), _("Decision"), _("Now"), _("Decided by"), _("Decided on")]
        table(headings, [_line(outcome) for outcome in shown_ones])
    if len(shown_ones) < len(every):
        tell(_("And {count} more: coachbook cleanup status", count=number(len(every) - len(shown_ones))))


_STATES = {"done": N_("done"), "not_done": N_("not done"), "overtaken": N_("overtaken")}
_KINDS = {
    "close_on": N_("close date: {value}"), "amount": N_("amount: {value}"), "next_step": N_("next step: {value}"),
}  # fmt: skip
_STATUSES = {"open": N_("open"), "won": N_("won"), "lost": N_("lost"), "deleted": N_("deleted")}


def _line(outcome: Outcome) -> tuple[str, ...]:
    decision, now = outcome.decision, outcome.now
    deal = (
        _("{name} ({id})", name=shown(outcome.name), id=shown(decision.deal_id))
        if outcome.name
        else decision.deal_id
    )
    if decision.kind == "dead":
        called, held = _("given up as lost"), _(_STATUSES[now]) if now in _STATUSES else "–"
    else:
        called = _(_KINDS[decision.kind], value=_said(decision, decision.value))
        held = "–" if now is None else _said(decision, now)
    return _(_STATES[outcome.state]), deal, called, held, decision.by, decision.decided_on.isoformat()


def _said(decision: Decision, value: str) -> str:
    return money(int(value), decision.currency) if decision.kind == "amount" else value


def _rep(roster: Roster, name: str) -> str:
    """The id of somebody on the roster who has that id, or alone has that name."""
    named = [rep_id for rep_id, tenure in roster.people.items() if tenure.name == name]
    if name in roster.people or len(named) == 1:
        return name if name in roster.people else named[0]
    known = [*roster.people, *(tenure.name for tenure in roster.people.values())]
    raise NotFound(
        N_("There is no rep {name} on {day}, or several. Nearest: {near}."),
        name=f"“{name}”", day=roster.day.isoformat(), near=nearest(name, known),
    )  # fmt: skip


def _free(named: Path | None) -> Path | None:
    """The file that was named, if it can be made: nothing is written over."""
    if named is None:
        return None
    if named.exists():
        raise Refused(
            N_("There is already a file {file}. Name a new one, for instance {example}."),
            file=named, example=f"{named.stem}-2{named.suffix}",
        )  # fmt: skip
    if not named.parent.is_dir():
        raise Refused(
            N_("{file} cannot be written: {problem}."), file=named, problem=os.strerror(errno.ENOTDIR)
        )
    return named


def _put(named: Path | None, folder: Path, stem: str, content: bytes) -> Path:
    """Write a file that is not there yet: the one that was named, or a new one in the workspace."""
    from coachbook.cleanup.store import put

    try:
        if named is None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return put(named.parent if named else folder, [named.name] if named else _names(stem), content)
    except OSError as error:
        raise Refused(
            N_("{file} cannot be written: {problem}."), file=named or folder, problem=error.strerror or error
        ) from None


def _names(stem: str) -> Iterator[str]:
    yield f"{stem}.csv"
    yield from (f"{stem}-{number}.csv" for number in count(2))
