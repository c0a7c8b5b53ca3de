"""Made-up companies of any size, kept between runs in build/bench."""

from __future__ import annotations

import resource
from pathlib import Path

from coachbook.settings import Workspace
from coachbook.warehouse import Snapshot, Snapshots
from tests.bench.yard import quoted, say, seconds

KEPT = Path(__file__).parents[2] / "build/bench"
MONTHS = 18


def company(reps: int) -> Path:
    """The files of a company of so many reps; about 200 deals and 2,000 events each."""
    folder = KEPT / f"company-{reps}"
    if not (folder / "truth.json").is_file():
        KEPT.mkdir(parents=True, exist_ok=True)
        command = quoted(
            "coachbook", "simulate", folder, "--reps", str(reps), "--teams", str(max(reps // 10, 1)),
            "--months", str(MONTHS), "--seed", "1", "--format", "parquet",
        )  # fmt: skip
        seconds(f"rm -rf {quoted(folder)} && {command}", KEPT)
    return folder


def imported(reps: int, into: Path) -> tuple[Workspace, float]:
    """A workspace with the company in it, and how many seconds `coachbook import` took."""
    workspace = Workspace.init(into)
    took = seconds(quoted("coachbook", "import", company(reps)), workspace.folder)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    say(f"  {reps} reps: {took:.1f} s; the largest process so far took {peak:.2f} GB")
    return workspace, took


def snapshot(workspace: Workspace) -> Snapshot:
    """What was imported."""
    return Snapshots(workspace.store).current()
