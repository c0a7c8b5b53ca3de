"""Milliseconds to cut what the page of a manager of some 200 people may see out of 10,000 reps' data."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from coachbook.access import Scope
from tests.bench.slicing import table
from tests.bench.yard import Row, say

TREES = 11
PEOPLE = range(150, 251)
TARGET_MS = 250.0


def measure(folder: Path) -> Row:
    """The median over managers who lead so many, by way of others, each for the first time."""
    cutting = table(folder)
    day = cutting.snapshot.as_of
    roster = cutting.snapshot.people(day).at(day)
    led = {manager: len(roster.reports(manager, left=True)) for manager in roster.managers}
    trees = [manager for manager in led if led[manager] in PEOPLE][:TREES]
    taken = [cutting.milliseconds(Scope("tree", manager)) for manager in trees]
    say(f"  {len(trees)} managers; the median leads {median(led[manager] for manager in trees)} people")
    return Row("slice_of_200", median(taken), "ms", target=TARGET_MS)
