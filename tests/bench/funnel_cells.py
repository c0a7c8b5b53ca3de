"""Seconds that the cells of a funnel review take: the median of a batch of 20 of the made-up company, one at a time."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from coachbook import batch, facts, sources
from coachbook.catalogue import shipped
from coachbook.settings import Workspace
from tests.bench.yard import Row

PERIOD = "2026-09"
TARGET_SECONDS = 0.4


def measure(folder: Path) -> Row:
    """Facts are there, pages are not."""
    made = Workspace.init(folder / "workspace")
    sources.import_paths(made, [shipped("sample_data") / "demo"])
    facts.prepare(made, PERIOD, workbooks=["funnel_review"])
    reps = ",".join(member.rep_id for member in facts.roster(made, PERIOD)[:20])
    order = batch.Order(
        "funnel_review", reps=reps, period=PERIOD, reader="manager", workers=1, out=folder / "run"
    )
    outcome = batch.run(made, order)
    assert outcome.exit_code == 0
    return Row("funnel_cells", median(row.cells_seconds for row in outcome.rows), "s", target=TARGET_SECONDS)
