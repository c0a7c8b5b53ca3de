"""The command about the quality of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coachbook.cli.console import document, note, table, tell
from coachbook.cli.grammar import Command
from coachbook.cli.options import AsOf, In, Json, here, path
from coachbook.errors import Refused
from coachbook.model.quality import Report
from coachbook.text import N_, _, listed, shown

FAULTY = 1

app = typer.Typer()


@app.command(
    cls=Command,
    help=N_("Check the data: what is missing, contradicts itself or is out of date, and who can mend it."),
)
def doctor(
    *,
    as_of: AsOf = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", parser=path("--html", "health.html"), metavar="FILE",
            help=N_("Write the findings as a page as well, for instance health.html."),
        ),
    ] = None,
    workspace: In = None,
    json: Json = False,
) -> None:  # fmt: skip
    """`sources.doctor`."""
    from coachbook import sources

    inside = here(workspace)
    report = sources.doctor(inside, as_of or "")
    if html:
        _write(html, report, inside.settings.name)
    if json:
        document(report.to_dict())
    else:
        _print(report)
    if report.is_faulty:
        raise typer.Exit(FAULTY)


def _write(target: Path, report: Report, brand: str) -> None:
    from coachbook.export.quality import quality_page

    try:
        target.write_text(quality_page(report, brand=brand), encoding="utf-8")
    except OSError as error:
        raise Refused(
            N_("{file} cannot be written: {problem}."), file=target, problem=error.strerror or error
        ) from None
    note(_("The page is in {file}.", file=shown(target)))


def _print(report: Report) -> None:
    headings = [
        _("Severity"),
        _("Check"),
        _("What was found"),
        _("Count"),
        _("Who can mend it"),
        _("For instance"),
    ]
    if report.found:
        table(
            headings,
            [
                (c.severity.called, c.id, c.title, c.share, c.mended_by.called, c.examples[0].text)
                for c in report.found
            ],
        )
    for check in report.found:
        for detail in check.details:
            tell(f"{check.id}: {detail}")
    if report.clean:
        tell(_("Looked at, and nothing found: {checks}", checks=listed([check.id for check in report.clean])))
    if report.idle:
        tell(_("Nothing to look at: {checks}", checks=listed([check.id for check in report.idle])))
    tell(
        _(
            "Data as of {day}, snapshot {snapshot}.",
            day=report.as_of.isoformat(), snapshot=report.snapshot,
        )
    )  # fmt: skip
    if report.made_up:
        tell(_("The data are those of a made-up company."))
