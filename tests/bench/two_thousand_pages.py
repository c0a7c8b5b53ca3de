"""Two thousand notebooks in one run: what the coordinator takes of memory and CPU."""

from __future__ import annotations

from pathlib import Path

from coachbook import facts
from coachbook.facts import Asked
from tests.bench.batches import batched
from tests.bench.companies import published
from tests.bench.yard import Row, say

REPS = 2_000
EARLY = 100
TARGET_GROWTH = 1.1
TARGET_CPU_MS = 5.0


def measure(folder: Path) -> Row:
    """Retrospectives of everybody; memory at the end beside that after a hundred. CPU is printed, and must hold, too."""
    made = published(REPS)
    month = facts.periods(made)[1]
    with facts.workers() as executor:
        facts.ensure(made, facts.settle(made, Asked(period=month)), executor)
    rows = batched(made, folder / "run", period=month, formats=["ipynb"])
    early, end = rows[EARLY], rows[-1]
    cpu_ms = (end.cpu - early.cpu) / (len(rows) - EARLY) * 1000
    say(
        f"  {len(rows)} pages in {end.at:.0f} s; the coordinator: {early.rss / 1e6:.0f} MB after {EARLY}, "
        f"{end.rss / 1e6:.0f} MB at the end; {cpu_ms:.1f} ms of CPU a page (at most {TARGET_CPU_MS:.0f})"
    )
    return Row("two_thousand_pages", end.rss / early.rss, "times", target=TARGET_GROWTH)
