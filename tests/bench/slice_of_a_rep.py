"""Milliseconds to cut what one rep's page may see out of 10,000 reps' data."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from tests.bench.slicing import table
from tests.bench.yard import Row

REPS_ASKED = 41
TARGET_MS = 30.0


def measure(folder: Path) -> Row:
    """The median over reps from all over the company, each for the first time."""
    cutting = table(folder)
    taken = [cutting.milliseconds(rep) for rep in cutting.reps(REPS_ASKED)]
    return Row("slice_of_a_rep", median(taken), "ms", target=TARGET_MS)
