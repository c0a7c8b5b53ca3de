"""Forty retrospectives on two cores: `coachbook run`, and stock papermill two at once, from command to last file."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

from coachbook import facts
from coachbook.catalogue import workbook
from coachbook.facts import Asked
from coachbook.settings import Workspace
from tests.bench.companies import imported
from tests.bench.yard import Row, quoted, say, seconds

ROUNDS = 3
PAGES = 40
REPS = 50
"""Of the made-up company; some of them have left, or have not come yet."""
TARGET_RATIO = 12.0


def measure(folder: Path) -> Row:
    """Each in turn, with a month of its own for each round: no side makes a page twice."""
    made, _took = imported(REPS, folder / "workspace")
    stock, ours = [], []
    for period in facts.periods(made)[1 : ROUNDS + 1]:
        reps = [member.rep_id for member in facts.roster(made, period)][:PAGES]
        facts.ensure(made, facts.settle(made, Asked(period=period)))
        stock.append(_stock(made, folder / f"stock-{period}", reps, period))
        ours.append(_ours(made, folder / f"ours-{period}", reps, period))
    say(f"  {PAGES} pages: stock {median(stock):.1f} s, ours {median(ours):.1f} s")
    return Row(
        "batch_vs_papermill", median(ours), "s", against=median(stock), target=median(stock) / TARGET_RATIO
    )


def _stock(made: Workspace, out: Path, reps: list[str], period: str) -> float:
    out.mkdir()
    one = f"{quoted('papermill', workbook('retrospective').path)} {quoted(out)}/$0.ipynb -k python3 -p rep $0 -p period {period} --no-progress-bar"
    return seconds(f"printf '%s\\n' {quoted(*reps)} | xargs -P 2 -L 1 sh -c {quoted(one)}", made.folder)


def _ours(made: Workspace, out: Path, reps: list[str], period: str) -> float:
    command = quoted(
        "coachbook", "run", "retrospective", "--reps", ",".join(reps), "--period", period, "--workers", "2",
        "--format", "ipynb", "--out", out,
    )  # fmt: skip
    taken = seconds(command, made.folder)
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == PAGES
    say(f"  cells: {sum(row['cells_seconds'] for row in rows):.1f} s of {len(rows)} pages")
    return taken
