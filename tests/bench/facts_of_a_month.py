"""Seconds that `coachbook facts` takes for one month of 10,000 reps, all workers' starts included."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.bench.companies import published
from tests.bench.import_publish import REPS
from tests.bench.yard import Row, quoted, seconds

MONTH = "2026-09"
TARGET_SECONDS = 60.0


def measure(_folder: Path) -> Row:
    """Once, anew."""
    workspace = published(REPS)
    shutil.rmtree(workspace.store / "facts", ignore_errors=True)
    took = seconds(
        quoted("coachbook", "facts", "--notebook", "retrospective", "--period", MONTH), workspace.folder
    )
    return Row("facts_of_a_month", took, "s", target=TARGET_SECONDS)
