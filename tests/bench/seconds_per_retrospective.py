"""Seconds of wall time per executed retrospective: `coachbook run` with two workers, and two papermills at once."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from statistics import median

from coachbook.catalogue import workbook
from tests.bench.yard import AS_OF, Row, pairs, quoted, seconds, workspace

ROUNDS = 3
PAGES = 10


def measure(folder: Path) -> Row:
    """Rounds of ten reps, stock and ours in turn, each in a period of its own."""
    made = workspace(folder / "workspace")
    every = pairs(made)
    stock, ours = [], []
    for number in range(ROUNDS):
        stock.append(_stock(made.folder, folder / f"stock-{number}", list(islice(every, PAGES))) / PAGES)
        ours.append(_ours(made.folder, folder / f"ours-{number}", list(islice(every, PAGES))) / PAGES)
    return Row("seconds_per_retrospective", median(ours), "s", against=median(stock))


def _stock(workspace_folder: Path, out: Path, asked: list[tuple[str, str]]) -> float:
    out.mkdir()
    notebook = workbook("retrospective").path
    one = quoted("papermill", notebook) + f" {quoted(out)}/{{}}.ipynb -k python3 -p rep {{}} "
    period = asked[0][1]
    one += quoted("-p", "period", period, "-p", "as_of", AS_OF, "--no-progress-bar")
    reps = " ".join(rep for rep, _period in asked)
    return seconds(f"printf '%s\\n' {reps} | xargs -P 2 -I {{}} {one}", workspace_folder)


def _ours(workspace_folder: Path, out: Path, asked: list[tuple[str, str]]) -> float:
    reps = ",".join(rep for rep, _period in asked)
    command = quoted(
        "coachbook", "run", "retrospective", "--reps", reps, "--period", asked[0][1], "--as-of", AS_OF,
        "--workers", "2", "--format", "ipynb", "--out", out,
    )  # fmt: skip
    return seconds(command, workspace_folder)
