"""Milliseconds to find a slice that was cut before."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from tests.bench.slicing import table
from tests.bench.yard import Row

ROUNDS = 101
TARGET_MS = 5.0


def measure(folder: Path) -> Row:
    """The median over rounds, of one rep."""
    cutting = table(folder)
    [rep] = cutting.reps(1)
    cutting.milliseconds(rep)
    return Row(
        "slice_cached", median(cutting.milliseconds(rep) for _round in range(ROUNDS)), "ms", target=TARGET_MS
    )
