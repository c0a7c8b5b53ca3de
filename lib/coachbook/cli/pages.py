"""Commands about the pages: made in a batch, served live, changed by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coachbook.cli.console import Step, document, note, progress, tell
from coachbook.cli.grammar import Command
from coachbook.cli.options import AsOf, In, Json, Language, NoBrowser, Period, Port, here, path, text, whole
from coachbook.text import N_, _, number, shown

if TYPE_CHECKING:
    from coachbook.batch import Failure, Outcome, Row

app = typer.Typer()
_LISTED = 20
"""Most failures that are told one by one; the manifest has them all."""


Notebook = Annotated[
    str,
    typer.Argument(
        parser=text("NOTEBOOK", "retrospective"), metavar="NOTEBOOK",
        help=N_("Which notebook, for instance retrospective."),
    ),
]  # fmt: skip


@app.command(
    cls=Command, help=N_("Make the pages of a period: executed notebooks, HTML pages, and an index.")
)
def run(
    notebook: Notebook,
    *,
    reps: Annotated[
        str,
        typer.Option(
            "--reps", parser=text("--reps", "all"), metavar="WHO",
            help=N_("Whose pages: all, ids or names with commas between, or team:ID. Without it: all."),
        ),
    ] = "all",
    team: Annotated[
        str | None,
        typer.Option(
            "--team", parser=text("--team", "T1"), metavar="ID", help=N_("One page of this team instead, by the team's id.")
        ),
    ] = None,
    period: Period = None,
    as_of: AsOf = None,
    locale: Language = None,
    reader: Annotated[
        str | None,
        typer.Option(
            "--for", parser=text("--for", "rep"), metavar="READER",
            help=N_("Who will read the pages: rep or manager. Without it: rep, for a team's page manager."),
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", parser=whole("--workers", 1, 256, 2), metavar="N",
            help=N_("How many pages are made at once. Without it: 2."),
        ),
    ] = 2,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster", parser=text("--cluster", "tcp://192.0.2.7:8786"), metavar="URL",
            help=N_("The address of a Dask scheduler whose workers make the pages, instead of processes here."),
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard", parser=text("--shard", "2/3"), metavar="I/N",
            help=N_("Make one part of the pages only, for instance 2/3: the second of three. All parts can share one folder."),
        ),
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            "--format", parser=text("--format", "ipynb,html"), metavar="FORMATS",
            help=N_("ipynb, html, or both with a comma between. Without it: both."),
        ),
    ] = "ipynb,html",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", parser=path("--out", "october"), metavar="DIR",
            help=N_("Where the pages go. Without it: the folder runs of the workspace."),
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help=N_("Go on with a run that was stopped: what is done is kept."))] = False,
    workspace: In = None,
    json: Json = False,
) -> None:  # fmt: skip
    """`batch.run`."""
    from coachbook import batch

    order = batch.Order(
        notebook, reps=reps, team=team or "", period=period or "", as_of=as_of or "", locale=locale or "",
        reader=reader or "", workers=workers, out=out, formats=tuple(formats.split(",")), resume=resume,
        cluster=cluster or "", shard=shard or "",
    )  # fmt: skip
    into = here(workspace)
    with progress(_("Making pages")) as step:
        count = _Count(step)
        outcome = batch.run(into, order, on_start=count.start, on_row=count.row)
    if json:
        document(outcome.to_dict())
    _say(outcome, note if json else tell)
    raise typer.Exit(outcome.exit_code)


@app.command(cls=Command, help=N_("Serve the notebooks as live pages on this computer, until Ctrl-C."))
def serve(*, port: Port = 8866, no_browser: NoBrowser = False, workspace: In = None) -> None:
    """`serve.serve`."""
    from coachbook.serve import serve as serve_pages

    serve_pages(here(workspace), port=port, browser=not no_browser, on_ready=_ready)


@app.command(cls=Command, help=N_("Open JupyterLab on the workspace, to read and change notebooks."))
def lab(*, no_browser: NoBrowser = False, workspace: In = None) -> None:
    """`lab.open_lab`."""
    from coachbook.lab import open_lab

    into = here(workspace)
    note(
        _(
            "Notebooks in {folder} are yours to change and take precedence. Copy one there with: coachbook eject {example}",
            folder=shown(into.notebooks), example="retrospective",
        )
    )  # fmt: skip
    open_lab(into, browser=not no_browser)


@app.command(
    cls=Command, help=N_("Copy a notebook into the workspace, where it can be changed and takes precedence.")
)
def eject(notebook: Notebook, *, locale: Language = None, workspace: In = None) -> None:
    """`catalogue.eject`."""
    from coachbook import catalogue

    into = here(workspace)
    tell(shown(catalogue.eject(notebook, into.notebooks, locale or into.locale)))


@app.command(
    cls=Command, help=N_("Show it all on the sample: import, a month's pages for every rep, then serve them.")
)
def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(
            parser=path("DIR", "coachbook-demo"), metavar="DIR",
            help=N_("The folder of the demo's workspace. Without it: coachbook-demo."),
        ),
    ] = None,
    *,
    no_serve: Annotated[bool, typer.Option("--no-serve", help=N_("Stop when the pages are made."))] = False,
    no_browser: NoBrowser = False,
    port: Port = 8866,
) -> None:  # fmt: skip
    """`demo.demo`."""
    from coachbook.demo import demo as run_demo

    with ExitStack() as until_made:
        count = _Count(until_made.enter_context(progress(_("Making pages"))))

        def made(outcome: Outcome) -> None:
            until_made.close()
            _say(outcome, tell)

        outcome = run_demo(
            folder or Path("coachbook-demo"), serve=not no_serve, port=port, browser=not no_browser,
            on_start=count.start, on_row=count.row, on_made=made, on_ready=_ready,
        )  # fmt: skip
    raise typer.Exit(outcome.exit_code)


@dataclass
class _Count:
    """Rows of a batch as steps of a progress."""

    step: Step
    total: int = 0
    done: int = 0

    def start(self, total: int) -> None:
        self.total = total

    def row(self, row: Row) -> None:
        self.done += 1
        what = row.name if row.status == "ok" else _failure(row)
        self.step(f"{self.done}/{self.total} {what}", self.done / self.total)


def _failure(row: Row) -> str:
    error = row.error or {}
    return _(
        "{name} failed at {cell}: {problem}",
        name=shown(row.name), cell=shown(error.get("cell") or _("the start")),
        problem=shown(f"{error.get('ename')}: {error.get('evalue')}"),
    )  # fmt: skip


def _alike(failure: Failure) -> str:
    where = shown(failure.cell or _("the start"))
    return _("{count} failed at {cell} with {ename}", count=number(failure.count), cell=where, ename=failure.ename)  # fmt: skip


def _say(outcome: Outcome, line: Callable[[str], None]) -> None:
    """What became of a batch, and where it lies."""
    failed = [row for row in outcome.rows if row.status == "failed"]
    for row in failed[:_LISTED]:
        note(_failure(row))
    if len(failed) > 1:
        for alike in outcome.failures:
            note(_alike(alike))
    if outcome.broken:
        note(shown(outcome.broken))
    line(
        _(
            "Pages made: {made}; kept from before: {kept}; failed: {failed}; not tried: {skipped}. It took {seconds} seconds.",
            made=number(outcome.count("ok")), kept=number(outcome.kept), failed=number(outcome.count("failed")),
            skipped=number(outcome.count("skipped")), seconds=number(outcome.seconds, 1),
        )
    )  # fmt: skip
    line(_("Open {file}", file=shown(outcome.folder / "index.html")))


def _ready(url: str) -> None:
    tell(_("The pages are live at {address}", address=url))
    tell(_("Stop with Ctrl-C."))
    sys.stdout.flush()
