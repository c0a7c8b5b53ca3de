"""Seconds that all funnel facts of one month take for 10,000 reps (20 million events), how they grow, and their memory."""

from __future__ import annotations

import math
import resource
import shutil
from pathlib import Path

from tests.bench.companies import published
from tests.bench.import_publish import REPS
from tests.bench.yard import Row, quoted, say, seconds

MONTH = "2026-09"
TARGET_SECONDS, TARGET_GB, TARGET_EXPONENT = 60.0, 6.0, 1.1
SMALLER = REPS // 5


def measure(_folder: Path) -> Row:
    """Once each, anew; the larger first, since a memory's peak is that of the largest process so far."""
    took = {reps: _facts(reps) for reps in (SMALLER, REPS)}
    exponent = math.log(took[REPS] / took[SMALLER]) / math.log(REPS / SMALLER)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    say(f"  peak {peak:.2f} GB (target {TARGET_GB}); exponent {exponent:.2f} (target {TARGET_EXPONENT})")
    return Row("funnel_facts", took[REPS], "s", target=TARGET_SECONDS)


def _facts(reps: int) -> float:
    workspace = published(reps)
    shutil.rmtree(workspace.store / "facts", ignore_errors=True)
    command = quoted("coachbook", "facts", "--notebook", "funnel_review", "--period", MONTH)
    took = seconds(command, workspace.folder)
    say(f"  {reps} reps: {took:.1f} s")
    return took
