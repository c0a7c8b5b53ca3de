"""The command that makes a company up, to try everything on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coachbook.cli.console import document, progress, table, tell
from coachbook.cli.grammar import Command
from coachbook.cli.options import Json, Language, chosen, path, whole
from coachbook.text import N_, _, active, number, shown

app = typer.Typer()


def _count(option: str, low: int, high: int, usual: int, text: str) -> typer.models.OptionInfo:
    found: typer.models.OptionInfo = typer.Option(
        option, parser=whole(option, low, high, usual), metavar="N", help=text
    )
    return found


@app.command(
    cls=Command,
    help=N_("Make up a company and write its files: deals with their whole history, people, quotas, money."),
)
def simulate(
    folder: Annotated[
        Path,
        typer.Argument(
            parser=path("DIR", "made-up-company"), metavar="DIR",
            help=N_("Where to: a new or an empty folder, for instance made-up-company."),
        ),
    ],
    *,
    reps: Annotated[int, _count("--reps", 1, 100_000, 28, N_("How many sell. Without it: 28."))] = 28,
    teams: Annotated[int, _count("--teams", 1, 100_000, 4, N_("How many teams they are. Without it: 4."))] = 4,
    months: Annotated[
        int, _count("--months", 1, 60, 18, N_("How many months up to September 2026. Without it: 18."))
    ] = 18,
    seed: Annotated[
        int, _count("--seed", 0, 999_999_999, 1, N_("The same number makes the same company. Without it: 1."))
    ] = 1,
    locale: Language = None,
    dirt: Annotated[
        bool, typer.Option("--dirt", help=N_("Sow faults into the files, such as real exports have."))
    ] = False,
    form: Annotated[
        str,
        typer.Option(
            "--format", parser=chosen("--format", "csv", "parquet"), metavar="FORMAT",
            help=N_("csv or parquet. Without it: csv."),
        ),
    ] = "csv",
    json: Json = False,
) -> None:  # fmt: skip
    """`sources.simulate.write`."""
    from coachbook.sources import simulate as simulator

    world = simulator.World(
        reps=reps, teams=teams, months=months, seed=seed, locale=locale or active(), dirt=dirt
    )
    with progress(_("Making up a company")) as step:
        written = simulator.write(world, folder, format=simulator.Format(form), on_progress=step)
    if json:
        document({"folder": str(written.folder), "rows": written.rows})
        return
    table(
        [_("Table"), _("Rows")],
        [(name, number(rows)) for name, rows in written.rows.items()],
        figures=[_("Rows")],
    )
    tell(_("The company is made. Next: coachbook import {folder}", folder=shown(written.folder)))
