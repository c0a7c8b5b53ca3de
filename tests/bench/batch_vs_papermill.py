"""Forty retrospectives on two cores: `coachbook run`, and stock papermill two at once, from command to last file."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from statistics import median

from coachbook.catalogue import workbook
from tests.bench.yard import AS_OF, Row, pairs, quoted, say, seconds, workspace

ROUNDS = 3
PAGES = 20
"""Of a period; a round makes two periods, since the sample has 20 reps."""
TARGET_RATIO = 12.0


def measure(folder: Path) -> Row:
    """Each in turn, with pages of its own: every pair of rep and period is asked for once by each side."""
    made = workspace(folder / "workspace")
    asked = list(islice(pairs(made), 2 * PAGES))
    stock, ours = [], []
    for number in range(ROUNDS):
        stock.append(_stock(made.folder, folder / f"stock-{number}", asked))
        ours.append(_ours(made.folder, folder / f"ours-{number}", asked))
    say(f"  {len(asked)} pages: stock {median(stock):.1f} s, ours {median(ours):.1f} s")
    return Row(
        "batch_vs_papermill", median(ours), "s", against=median(stock), target=median(stock) / TARGET_RATIO
    )


def _stock(workspace_folder: Path, out: Path, asked: list[tuple[str, str]]) -> float:
    out.mkdir()
    one = quoted("papermill", workbook("retrospective").path)
    one += f" {quoted(out)}/{{1}}-{{2}}.ipynb -k python3 -p rep {{1}} -p period {{2}} -p as_of {AS_OF} --no-progress-bar"
    shell = one.replace("{1}", "$0").replace("{2}", "$1")
    listed = " ".join(f"{rep} {period}" for rep, period in asked)
    return seconds(f"printf '%s %s\\n' {listed} | xargs -P 2 -L 1 sh -c {quoted(shell)}", workspace_folder)


def _ours(workspace_folder: Path, out: Path, asked: list[tuple[str, str]]) -> float:
    """One command a period, one after another; each comes up anew."""
    commands = []
    for period in sorted({period for _rep, period in asked}):
        reps = ",".join(rep for rep, of in asked if of == period)
        commands.append(
            quoted(
                "coachbook", "run", "retrospective", "--reps", reps, "--period", period, "--as-of", AS_OF,
                "--workers", "2", "--format", "ipynb", "--out", out / period,
            )
        )  # fmt: skip
    taken = seconds(" && ".join(commands), workspace_folder)
    rows = [
        json.loads(line)
        for file in out.rglob("manifest.jsonl")
        for line in file.read_text("utf-8").splitlines()
    ]
    say(f"  cells: {sum(row['cells_seconds'] for row in rows):.1f} s of {len(rows)} pages")
    return taken
