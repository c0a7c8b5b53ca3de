"""Facts of a company of several shards: wherever they are worked on they are the same, and those of the files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest
from distributed import Client

from coachbook import facts, sources
from coachbook.facts import Asked
from coachbook.facts.shards import ENTITIES
from coachbook.model.periods import Period
from coachbook.settings import Workspace
from coachbook.sources.simulate import World, write
from tests.oracles.demo import Demo

MONTH = "2026-08"
Pages = dict[tuple[str, str], Any]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large") / "files"
    write(World(reps=ENTITIES + 100, teams=35, months=3, seed=5), folder)
    return folder


@pytest.fixture(scope="module")
def company(files: Path) -> Workspace:
    workspace = Workspace.init(files.parent / "workspace")
    sources.import_paths(workspace, [files])
    return workspace


@pytest.fixture(scope="module")
def here(company: Workspace) -> Pages:
    return _pages(company, None)


@pytest.fixture(params=["threads", "processes", "dask"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "dask":
        with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
            yield client.get_executor()
        return
    with ThreadPoolExecutor(3) if request.param == "threads" else facts.workers() as pool:
        yield pool


def _pages(company: Workspace, executor: Executor | None) -> Pages:
    """Made anew."""
    file = facts.ensure(company, facts.settle(company, Asked(period=MONTH)), executor)
    with duckdb.connect(str(file), read_only=True) as connection:
        rows = connection.execute("FROM pages").fetchall()
    file.unlink()
    return {(kind, scope): json.loads(body) for kind, scope, body in rows}


def test_it_does_not_matter_who_works_on_the_shards(
    company: Workspace, here: Pages, executor: Executor
) -> None:
    assert len([kind for kind, _scope in here if kind == "rep"]) > ENTITIES
    assert _pages(company, executor) == here


def test_figures_of_every_shard_are_those_of_the_files(files: Path, here: Pages) -> None:
    oracle, span = Demo(files), Period.parse(MONTH).span
    reps = sorted(scope for kind, scope in here if kind == "rep")
    for rep in reps[::15]:
        expected = oracle.figures(rep, span.first, span.after)
        found = {f["metric"]: f["value"] for f in reversed(here["rep", rep]["findings"])}
        assert {name: found[name] for name in expected} == pytest.approx(expected), rep


def test_others_are_counted_across_shards(here: Pages) -> None:
    """Everybody stands beside the same company: own deals and the others' are one number, but for outsiders'."""
    seen = set()
    for (kind, _scope), page in here.items():
        won = next(f for f in page["findings"] if f["metric"] == "deals_won")
        beside = next((c for c in won["comparisons"] if c["with"] == "peers"), None)
        if kind == "rep" and beside:
            seen.add(won["n"] + beside["n"])
    assert len(seen) == 1
