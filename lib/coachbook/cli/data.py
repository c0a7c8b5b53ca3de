"""Commands about the data: a workspace, what comes in, and what was made of it."""

from __future__ import annotations

from collections.abc import Iterable
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coachbook.cli.cleaning import MOST, print_outcomes
from coachbook.cli.console import document, note, progress, table, tell
from coachbook.cli.grammar import Command
from coachbook.cli.options import AsOf, In, Json, Language, Period, here, path, text
from coachbook.settings import Settings, Workspace
from coachbook.text import N_, _, active, listed, number, shown

if TYPE_CHECKING:
    from coachbook.model.quality import Sentence
    from coachbook.sources import Accounting

QUARANTINED = 3

app = typer.Typer()


@app.command(
    cls=Command, help=N_("Make a workspace: a new or an existing empty folder with coachbook.toml in it.")
)
def init(
    folder: Annotated[
        Path,
        typer.Argument(parser=path("DIR", "my-team"), metavar="DIR", help=N_("The folder, for instance my-team.")),
    ],
    *,
    locale: Language = None,
    currency: Annotated[
        str,
        typer.Option(
            "--currency", parser=text("--currency", "CNY"), metavar="CODE",
            help=N_("The reporting currency, for instance CNY. Without it: USD."),
        ),
    ] = "USD",
    templates: Annotated[
        bool, typer.Option("--templates", help=N_("Also write a blank CSV of every table into DIR/templates."))
    ] = False,
) -> None:  # fmt: skip
    """`Workspace.init`, `sources.write_templates`."""
    settings = Settings.read(
        f'locale = "{locale or active()}"\ncurrency = {dumps(currency)}', origin="--currency"
    )
    made = Workspace.init(folder, settings=settings)
    if templates:
        from coachbook import sources

        sources.write_templates(made.folder / "templates")
    tell(
        _(
            "{folder} is a workspace now. Next: coachbook import PATH --workspace {folder}",
            folder=shown(made.folder),
        )
    )


@app.command(
    "import",
    cls=Command,
    help=N_("Import data: folders or zip files with mapping.toml in them, or files of a known shape."),
)
def import_(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            parser=path("PATH", "sample_data/regional_sales"), metavar="PATH",
            help=N_("Folders, zip files, and CSV, XLSX or Parquet files. With --preset they need no mapping.toml; without a path, its own sample is taken."),
        ),
    ] = None,
    *,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", parser=text("--preset", "regional_sales"), metavar="NAME",
            help=N_("A mapping that comes with coachbook, for instance regional_sales."),
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", parser=text("--as-of", "2021-11-10"), metavar="DAY",
            help=N_("The day whose state the data show. Without it: what mapping.toml says, else today."),
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help=N_("The export is complete: a deal that it lacks is gone."))
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help=N_("Change nothing: show what would become of every row, and the first ones.")),
    ] = False,
    workspace: In = None,
    json: Json = False,
) -> None:  # fmt: skip
    """`sources.import_paths`."""
    from coachbook import sources

    into = here(workspace)
    with progress(_("Importing")) as step:
        accounting = sources.import_paths(
            into,
            paths or [],
            preset=preset or "",
            as_of=as_of or "",
            full=full,
            dry_run=dry_run,
            on_progress=step,
        )
    if json:
        document(accounting.to_dict())
    else:
        _print_account(accounting)
    _warn(accounting.warnings)
    if accounting.quarantined and not dry_run:
        note(
            _(
                "Rows in quarantine: {count}. They are listed with file, line and reason in {folder}; mend the source and import again.",
                count=number(accounting.quarantined), folder=shown(into.quarantine),
            )
        )  # fmt: skip
        raise typer.Exit(QUARANTINED)


@app.command(cls=Command, help=N_("List the versions of the data, newest first."))
def snapshots(*, workspace: In = None, json: Json = False) -> None:
    """`Snapshots.all`."""
    from coachbook.warehouse import Snapshots

    kept = Snapshots(here(workspace).store)
    current = kept.current()
    rows = [{"id": s.id, "as_of": s.as_of.isoformat(), "current": s == current} for s in kept.all()]
    if json:
        document(rows)
    else:
        table(
            [_("Snapshot"), _("As of"), _("Current")],
            [(row["id"], row["as_of"], _("yes") if row["current"] else "") for row in rows],
        )


@app.command(
    cls=Command,
    help=N_("Compute the figures of a period for everybody; changed settings count from here on."),
)
def facts(
    *,
    notebook: Annotated[
        str | None,
        typer.Option(
            "--notebook", parser=text("--notebook", "retrospective"), metavar="NAME",
            help=N_("For this notebook alone. Without it: for all."),
        ),
    ] = None,
    period: Period = None,
    as_of: AsOf = None,
    workspace: In = None,
    json: Json = False,
) -> None:  # fmt: skip
    """`facts.prepare`."""
    from coachbook.facts import prepare, workers

    with workers() as executor:
        prepared = prepare(
            here(workspace), period or "", as_of or "", workbooks=[notebook] if notebook else [], executor=executor
        )  # fmt: skip
    if json:
        document(
            {
                "snapshot": prepared.snapshot, "settings": prepared.settings, "period": prepared.period.id,
                "as_of": prepared.as_of.isoformat(), "reps": prepared.reps,
                "files": {name: str(file) for name, file in prepared.files.items()},
                "warnings": list(map(str, prepared.warnings)),
            }
        )  # fmt: skip
    else:
        tell(
            _(
                "The figures of {period} as of {as_of} are ready for {reps} reps (snapshot {snapshot}).",
                period=prepared.period.label, as_of=prepared.as_of.isoformat(), reps=number(prepared.reps),
                snapshot=prepared.snapshot,
            )
        )  # fmt: skip
    _warn(prepared.warnings)


@app.command(
    cls=Command, help=N_("Print the metric dictionary: what each figure is, and how it is computed.")
)
def metrics(*, json: Json = False) -> None:
    """`metrics.dictionary`."""
    from coachbook.metrics import dictionary

    entries = dictionary()
    if json:
        document(entries)
        return
    table(
        [_("Metric"), _("Title"), _("Variant"), _("Formula"), _("Counted over"), _("Better")],
        [(e["id"], e["title"], e["variant"], e["formula"], e["basis"], e["good"]) for e in entries],
    )


def _warn(warnings: Iterable[Sentence]) -> None:
    for warning in warnings:
        note(str(warning))


def _print_account(accounting: Accounting) -> None:
    figures = [_("Rows"), _("Loaded"), _("Unchanged"), _("In quarantine"), _("Left out")]
    table(
        [_("File"), _("Table"), *figures],
        [
            (
                f.file, f.table, number(f.rows), number(f.loaded), number(f.unchanged), number(f.quarantined),
                "; ".join(f"{number(count)} {rule}" for rule, count in f.dropped.items()),
            )
            for f in accounting.files
        ],
        figures=figures[:-1],
    )  # fmt: skip
    for encoding in sorted({f.encoding for f in accounting.files} - {"", "utf-8"}):
        files = sorted({f.file for f in accounting.files if f.encoding == encoding})
        note(_("Read as {encoding}: {files}.", encoding=encoding.upper(), files=shown(listed(files))))
    if accounting.unread:
        note(_("No table reads: {files}.", files=shown(listed(list(accounting.unread)))))
    if accounting.snapshot is None:
        _print_trial(accounting)
    else:
        tell(_("The data are in: snapshot {snapshot} is the current one.", snapshot=accounting.snapshot.id))
        if accounting.cleanup:
            print_outcomes(accounting.cleanup, most=MOST)


def _print_trial(accounting: Accounting) -> None:
    """A dry run's first rows, without the columns that are empty in all of them."""
    for sample in accounting.samples:
        filled = [i for i in range(len(sample.columns)) if any(row[i] is not None for row in sample.rows)]
        tell(sample.table)
        table(
            [sample.columns[i] for i in filled],
            [["" if row[i] is None else row[i] for i in filled] for row in sample.rows],
        )
    if accounting.faults:
        table(
            [_("File"), _("Line"), _("Column"), _("Value"), _("Reason")],
            [(f.file, f.line, f.column, f.value, f.reason) for f in accounting.faults],
        )
    tell(_("This was a trial: nothing was changed."))
