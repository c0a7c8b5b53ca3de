"""Run benchmarks and write build/bench.json: `python -m tests.bench [NAME…]`."""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.bench import (
    batch_overhead,
    batch_vs_papermill,
    clone_to_first_page,
    cluster_vs_local,
    facts_of_a_month,
    funnel_cells,
    funnel_facts,
    import_growth,
    import_publish,
    kernel_uss,
    slice_cached,
    slice_of_200,
    slice_of_a_rep,
    survival_curves,
    ten_pages,
    two_thousand_pages,
    voila_browser_vs_stock,
    voila_http_vs_stock,
)
from tests.bench.yard import Row, say

FILE = Path(__file__).parents[2] / "build/bench.json"
BENCHMARKS: dict[str, Callable[[Path], Row]] = {
    module.__name__.rpartition(".")[2]: module.measure
    for module in (
        batch_overhead,
        batch_vs_papermill,
        kernel_uss,
        ten_pages,
        two_thousand_pages,
        cluster_vs_local,
        voila_http_vs_stock,
        voila_browser_vs_stock,
        clone_to_first_page,
        import_publish,
        import_growth,
        slice_of_a_rep,
        slice_of_200,
        slice_cached,
        facts_of_a_month,
        funnel_facts,
        funnel_cells,
        survival_curves,
    )
}


def main(asked: list[str]) -> int:
    """Measure what was asked for, or everything; a benchmark that fails leaves no row."""
    unknown = set(asked) - set(BENCHMARKS)
    if unknown:
        say(f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(BENCHMARKS)}.")
        return 2
    rows = {row["name"]: row for row in json.loads(FILE.read_text(encoding="utf-8"))} if FILE.exists() else {}
    failed = False
    for name in asked or BENCHMARKS:
        rows.pop(name, None)
        measured = _measured(name)
        failed |= measured is None
        if measured:
            rows[name] = measured
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(
            json.dumps([rows[n] for n in BENCHMARKS if n in rows], indent=2) + "\n", encoding="utf-8"
        )
    return int(failed)


def _measured(name: str) -> dict[str, object] | None:
    say(f"{name}:")
    try:
        with tempfile.TemporaryDirectory(prefix="coachbook-bench-") as folder:
            row = BENCHMARKS[name](Path(folder)).to_dict()
    except Exception:  # noqa: BLE001 - the others are still worth measuring
        say(traceback.format_exc())
        return None
    say(f"  {json.dumps(row)}")
    return row


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
