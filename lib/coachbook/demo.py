"""The whole of it on the sample: a workspace, its data, a month's pages for everybody, and the pages live."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from coachbook import batch, sources
from coachbook.errors import Refused
from coachbook.settings import FILE, Settings, Workspace
from coachbook.text import N_, active

NAME = "coachbook demo"
"""Name of a demo's workspace: a workspace of any other name is somebody's own."""
SAMPLE = "regional_sales"
PERIOD = "2021-10"


def demo(
    folder: Path = Path("coachbook-demo"),
    *,
    serve: bool = True,
    port: int = 8866,
    browser: bool = True,
    on_start: Callable[[int], None] | None = None,
    on_row: Callable[[batch.Row], None] | None = None,
    on_made: Callable[[batch.Outcome], None] | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> batch.Outcome:
    """Import the sample, make its retrospectives, then serve them until stopped.

    A folder that holds an earlier demo is used again; what is done there is kept.

    Parameters
    ----------
    folder
        New, empty, or of an earlier demo.
    on_start, on_row, on_made, on_ready
        Called with the number of pages, each page as it is made, the whole batch, the address of the live pages.

    Raises
    ------
    Refused
        The folder holds something else, or the port is in use.
    """
    workspace = _workspace(folder)
    sources.import_paths(workspace, [], preset=SAMPLE)
    outcome = batch.run(
        workspace, batch.Order("retrospective", period=PERIOD), on_start=on_start, on_row=on_row
    )
    if on_made:
        on_made(outcome)
    if serve:
        from coachbook.serve import serve as serve_pages

        serve_pages(workspace, port=port, browser=browser, on_ready=on_ready)
    return outcome


def _workspace(folder: Path) -> Workspace:
    if not (folder / FILE).is_file():
        return Workspace.init(folder, settings=Settings(name=NAME, locale=active().value))
    workspace = Workspace(folder.absolute())
    if workspace.settings.name != NAME:
        raise Refused(
            N_("{folder} is a workspace of your own, which stays as it is. Name a new or an empty folder, for instance {example}."),
            folder=folder, example="coachbook-demo",
        )  # fmt: skip
    return workspace
