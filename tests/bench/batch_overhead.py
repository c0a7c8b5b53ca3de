"""What a page costs beyond its cells, with one worker: seconds between two pages less those of the cells."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from tests.bench.batches import batched, cells_seconds
from tests.bench.yard import PERIODS, Row, say, workspace

TARGET_SECONDS = 0.25


def measure(folder: Path) -> Row:
    """A turn for each period, all reps of the sample; what it takes to come up is told apart."""
    made = workspace(folder / "workspace")
    taken = {}
    for formats in (["ipynb"], ["ipynb", "html"]):
        overheads = []
        for period in PERIODS:
            out = folder / f"{period}-{len(formats)}"
            rows = batched(made, out, period=period, as_of="2021-11-10", workers=1, formats=formats)
            steady = rows[2:]
            each = (steady[-1].at - steady[0].at) / (len(steady) - 1)
            overheads.append(each - sum(row.cells for row in steady[1:]) / (len(steady) - 1))
            say(
                f"  {'+'.join(formats)} {period}: {each:.3f} s a page, {cells_seconds(rows):.3f} of them in cells; "
                f"the first page after {rows[0].at:.1f} s"
            )
        taken[len(formats)] = median(overheads)
    say(f"  executed notebooks alone: {taken[1]:.3f} s; with HTML pages: {taken[2]:.3f} s")
    return Row("batch_overhead", taken[2], "s", target=TARGET_SECONDS)
