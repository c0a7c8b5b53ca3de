"""The same pages from two workers of a Dask scheduler and from two processes here; for information."""

from __future__ import annotations

from pathlib import Path

from tests.bench.batches import Told, batched
from tests.bench.yard import PERIODS, Row, workspace
from tests.test_cluster import started


def measure(folder: Path) -> Row:
    """Seconds a page between the second and the last; once each, after a run that wakes the workers."""
    made = workspace(folder / "workspace")
    local = _each(batched(made, folder / "here", period=PERIODS[0]))
    with started(2) as dask:
        batched(made, folder / "awake", period=PERIODS[1], reps="1,2,3,4", cluster=dask.address)
        there = _each(batched(made, folder / "there", period=PERIODS[0], cluster=dask.address))
    return Row("cluster_vs_local", there, "s", against=local)


def _each(rows: list[Told]) -> float:
    return (rows[-1].at - rows[1].at) / (len(rows) - 2)
