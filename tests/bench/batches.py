"""Batches as benchmarks run them: in a process of their own, each row with the moment at which it came."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from subprocess import PIPE, run

from coachbook.settings import Workspace
from tests.bench.yard import environment

_RUN = """
import json, sys
from pathlib import Path
from time import perf_counter, process_time
import psutil

def main():
    from coachbook import batch
    from coachbook.settings import Workspace
    asked = json.loads(sys.argv[2])
    asked |= {"out": Path(asked["out"]), "formats": tuple(asked["formats"])}
    me, rows, begun = psutil.Process(), [], perf_counter()
    def told(row):
        rows.append([perf_counter() - begun, process_time(), me.memory_info().rss, row.seconds, row.cells_seconds, row.status, row.kernel])
    outcome = batch.run(Workspace(Path(sys.argv[1])), batch.Order("retrospective", **asked), on_row=told)
    print(json.dumps({"rows": rows, "seconds": outcome.seconds}))

if __name__ == "__main__":
    main()
"""


@dataclass(frozen=True)
class Told:
    """One row: seconds since the start, CPU-seconds and bytes of the coordinator, the page's own seconds."""

    at: float
    cpu: float
    rss: int
    seconds: float
    cells: float


def batched(made: Workspace, out: Path, **asked: object) -> list[Told]:
    """The rows of a run; every page must be made, in a forked kernel."""
    script = out.parent / "run.py"
    script.write_text(_RUN, encoding="utf-8")
    order = json.dumps({"out": str(out), "formats": ["ipynb", "html"], **asked})
    done = run(
        [sys.executable, script, made.folder, order], stdout=PIPE, env=environment(), check=True, timeout=3600
    )
    rows = json.loads(done.stdout)["rows"]
    if {(status, kernel) for *_figures, status, kernel in rows} != {("ok", "forked")}:
        raise RuntimeError(rows)
    return [Told(*figures) for *figures, _status, _kernel in rows]


def cells_seconds(rows: list[Told]) -> float:
    """In the median."""
    return median(row.cells for row in rows)
