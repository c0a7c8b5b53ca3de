"""What is printed, and where: results on standard output, everything else on standard error.

Values come from other people's data: nothing in them is taken for markup, and what could steer a terminal is
escaped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from coachbook.text import shown

_PIPED_WIDTH = 160


def tell(text: str) -> None:
    """A line of the result."""
    sys.stdout.write(f"{text}\n")


def note(text: str) -> None:
    """A line beside the result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


complain = note


def document(value: Any) -> None:
    """The one JSON document of `--json`; pure ASCII, so that no name can steer a terminal."""
    tell(json.dumps(value, indent=2))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, figures: Sequence[str] = ()) -> None:
    """Rows under headings; the columns named in `figures` are set to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        grid.add_column(Text(heading), justify="right" if heading in figures else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(shown(value)) for value in row))
    Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH).print(grid)


Step = Callable[[str, float], None]
"""Called with what was just done, and the share of the whole that is done."""


@contextmanager
def progress(heading: str) -> Iterator[Step]:
    """A bar on a terminal, a plain line for each thing done otherwise; on standard error."""
    if sys.stderr.isatty():
        with _bar(heading) as step:
            yield step
    else:
        yield _lines()


def _lines() -> Step:
    last = ""

    def step(text: str, _share: float) -> None:
        nonlocal last
        if text != last:
            note(shown(text))
        last = text

    return step


@contextmanager
def _bar(heading: str) -> Iterator[Step]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    latest = TextColumn("{task.fields[latest]}", markup=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, latest, console=Console(stderr=True)) as bar:
        task = bar.add_task(heading, total=1.0, latest="")
        yield lambda text, share: bar.update(task, completed=share, latest=shown(text))
