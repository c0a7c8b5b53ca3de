"""The way in: which language, which command, and what becomes of an error."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from coachbook import __version__
from coachbook.cli import cleaning, data, pages, quality, simulating
from coachbook.cli.console import complain, tell
from coachbook.cli.grammar import Group, localised
from coachbook.cli.options import language
from coachbook.errors import CoachbookError
from coachbook.settings import Workspace
from coachbook.text import N_, Locale, _, speaking, use

STOPPED = 130

app = typer.Typer(
    cls=Group,
    add_completion=False,
    help=N_(
        "Prepares sales conversations: numbers that survive an argument, a page for each rep and period."
    ),
)
app.add_typer(data.app)
app.add_typer(pages.app)
app.add_typer(quality.app)
app.add_typer(simulating.app)
app.add_typer(cleaning.app, name="cleanup")


def _version(*, asked: bool) -> None:
    if asked:
        tell(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    *,
    _shown: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda value: _version(asked=value),
            is_eager=True,
            help=N_("Show the version."),
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        context.get_help()


def command() -> Any:
    """The commands as they are parsed, their help in the active language."""
    return localised(typer.main.get_command(app))


def run(args: Sequence[str]) -> int:
    """Run one command line and give its exit code. A traceback goes to a file, never to the terminal."""
    with speaking(Locale.EN):
        try:
            _choose_language()
            return int(command().main(list(args), prog_name="coachbook", standalone_mode=False) or 0)
        except CoachbookError as error:
            complain(str(error))
            return error.exit_code
        except KeyboardInterrupt:
            complain(_("Stopped."))
            return STOPPED
        except Exception as error:  # noqa: BLE001 - the last line of defence: whatever it is, the user gets one line
            complain(
                _(
                    "Something went wrong inside coachbook ({kind}). The details are in {file}; please send it along when you report this.",
                    kind=type(error).__name__, file=_logged(error),
                )
            )  # fmt: skip
            return 1


def main() -> None:
    """What `coachbook` runs."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:]))


def _choose_language() -> None:
    """COACHBOOK_LOCALE, else the language of the workspace that the current folder lies in."""
    named = os.environ.get("COACHBOOK_LOCALE")
    if named:
        use(language("COACHBOOK_LOCALE")(named))
        return
    workspace = _workspace()
    if workspace:
        use(workspace.locale)


def _workspace() -> Workspace | None:
    """The workspace around the current folder, if there is one that can be read."""
    try:
        workspace = Workspace.find(Path.cwd())
        workspace.settings  # noqa: B018 - read now, refused by the command itself if it cannot be
    except (CoachbookError, OSError):
        return None
    return workspace


def _logged(error: BaseException) -> Path:
    """Write the traceback where the user can find it: beside the workspace's data, else in the temporary folder."""
    workspace = _workspace()
    text = "".join(traceback.format_exception(error))
    name = f"coachbook-error-{datetime.now(UTC):%Y%m%d-%H%M%S}.txt"
    for folder in ([workspace.store] if workspace else []) + [Path(tempfile.gettempdir())]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return folder / name
    return Path(os.devnull)
