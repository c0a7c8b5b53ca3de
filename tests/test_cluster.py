"""The same pages from workers of a real Dask scheduler on this machine, whatever dies meanwhile."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from coachbook import batch
from coachbook.batch import cluster as cluster_module
from coachbook.batch.folder import Folder, Row
from coachbook.errors import Refused
from coachbook.settings import Workspace
from tests import standin
from tests.conftest import RunCli
from tests.processes import Marked, marked, until

OCTOBER = "2021-10"
DASK = Path(sys.executable).with_name("dask")
Own = Callable[[Workspace], Workspace]


class Cluster:
    """A scheduler, and workers with one thread each."""

    def __init__(self, mark: Marked, scratch: Path) -> None:
        self.mark = mark
        self.scratch = scratch
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", str(port))
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_worker(self) -> None:
        self.workers.append(self._start("worker", self.address, "--nthreads", "1", "--no-nanny"))

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [DASK, *command, "--no-dashboard"], env={**self.mark.environment, "DASK_TEMPORARY_DIRECTORY": str(self.scratch)}, cwd=self.scratch,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.terminate()
        for process in (*self.workers, self.scheduler):
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)


@contextmanager
def started(workers: int) -> Iterator[Cluster]:
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        found = Cluster(stack.enter_context(marked()), Path(scratch))
        stack.callback(found.stop)
        for _number in range(workers):
            found.add_worker()
        yield found


@pytest.fixture(scope="module")
def two() -> Iterator[Cluster]:
    with started(2) as found:
        yield found


def _order(**asked: Any) -> batch.Order:
    return batch.Order("retrospective", **{"period": OCTOBER, "formats": ("ipynb",), **asked})


def _killed(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=10) == -signal.SIGKILL


def test_pages_of_a_cluster_are_those_of_this_machine(firm: Workspace, two: Cluster, tmp_path: Path) -> None:
    reps = "N1,N2,S1"
    here = batch.run(firm, _order(reps=reps, out=tmp_path / "here"))
    there = batch.run(firm, _order(reps=reps, out=tmp_path / "there", cluster=two.address))
    rows = [
        {row.rep: (row.status, row.kernel, row.files, row.hash) for row in run.rows} for run in (here, there)
    ]
    assert rows[0] == rows[1]
    assert {status for status, *_rest in rows[1].values()} == {"ok"}
    assert {kernel for _status, kernel, *_rest in rows[1].values()} == {"forked"}


def test_the_command_names_a_cluster(firm: Workspace, two: Cluster, tmp_path: Path, run_cli: RunCli) -> None:
    done = run_cli(
        "run", "retrospective", "--period", OCTOBER, "--reps", "N4", "--cluster", two.address,
        "--out", tmp_path / "run", "--workspace", firm.folder,
    )  # fmt: skip
    assert (done.returncode, (tmp_path / "run" / "N4" / "retrospective.html").exists()) == (0, True), (
        done.stderr
    )
    assert "distributed" not in done.stderr


SLOW = "import time\ntime.sleep(0.5)"


@pytest.mark.verify
def test_a_worker_of_the_cluster_that_is_killed_costs_nothing(
    own: Own, firm: Workspace, tmp_path: Path
) -> None:
    workspace = standin.eject(own(firm), SLOW)
    with started(2) as dask:
        pages = iter(range(12))

        def strike(_row: batch.Row) -> None:
            if next(pages) == 2:
                _killed(dask.workers[0])

        outcome = batch.run(workspace, _order(out=tmp_path / "run", cluster=dask.address), on_row=strike)
        assert (outcome.exit_code, outcome.count("ok"), outcome.broken) == (0, 12, "")
        dask.stop()
        assert dask.mark.gone(), dask.mark.left


def test_a_scheduler_that_is_gone_is_told_and_the_run_can_go_on(
    own: Own, firm: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 2)
    workspace = standin.eject(own(firm), SLOW)
    with started(1) as dask:
        pages = iter(range(12))

        def strike(_row: batch.Row) -> None:
            if next(pages) == 2:
                _killed(dask.scheduler)

        outcome = batch.run(workspace, _order(out=tmp_path / "run", cluster=dask.address), on_row=strike)
        assert outcome.exit_code == 1
        assert dask.address in outcome.broken
        assert outcome.count("ok") >= 3
        assert outcome.count("ok") + outcome.count("skipped") == len(outcome.rows) == 12
        dask.stop()
        assert dask.mark.gone(), dask.mark.left
    again = batch.run(workspace, _order(out=tmp_path / "run", resume=True))
    assert (again.exit_code, again.kept + again.count("ok")) == (0, 12)
    assert again.kept == outcome.count("ok")


def test_a_scheduler_that_is_not_there_is_refused(
    firm: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 1)
    for address, named in (("tcp://127.0.0.1:9", "dask scheduler"), ("nonsense", "tcp://")):
        with pytest.raises(Refused, match=named):
            batch.run(firm, _order(reps="N1", out=tmp_path / "run", cluster=address))
    with started(0) as dask:
        assert until(lambda: _listens(dask.address))
        with pytest.raises(Refused, match="dask worker"):
            batch.run(firm, _order(reps="N1", out=tmp_path / "run", cluster=dask.address))
    assert not (tmp_path / "run").exists()


def _listens(address: str) -> bool:
    host, _colon, port = address.removeprefix("tcp://").partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


# Parts of a run, under any scheduler


def test_while_one_part_lists_all_pages_no_other_adds_one(tmp_path: Path) -> None:
    """Else the part that wrote its index last could be one that had not seen the last pages of another."""
    first, second = Folder(tmp_path), Folder(tmp_path)
    first.append(Row("a", "Ada", "ok"))
    with ThreadPoolExecutor(1) as other:
        with first.settled():
            adding = other.submit(second.append, Row("b", "Ben", "ok"))
            with pytest.raises(TimeoutError):
                adding.result(timeout=0.3)
            assert list(first.rows()) == ["a"]
        adding.result(timeout=10)
    assert list(first.rows()) == ["a", "b"]


def test_parts_of_a_run_share_a_folder_at_the_same_time(
    own: Own, firm: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 2)
    workspace = standin.eject(own(firm), "print(rep)")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    batch.run(workspace, _order(out=whole))
    processes = [
        subprocess.Popen(
            [
                Path(sys.executable).with_name("coachbook"), "run", "retrospective", "--period", OCTOBER, "--format", "ipynb",
                "--shard", f"{number}/3", "--workers", "1", "--out", parts, "--workspace", workspace.folder,
            ],
            stderr=subprocess.PIPE,
        )
        for number in (1, 2, 3)
    ]  # fmt: skip
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    pages = {path.relative_to(whole) for path in whole.rglob("*.ipynb")}
    assert {path.relative_to(parts) for path in parts.rglob("*.ipynb")} == pages
    assert len((parts / "manifest.jsonl").read_text(encoding="utf-8").splitlines()) == len(pages) == 12
    index = (parts / "index.html").read_text(encoding="utf-8")
    assert all(f"{page.parent}/" in index for page in pages)
    assert {path.name for path in parts.iterdir() if path.is_file()} == {
        "index.html",
        "manifest.jsonl",
        "run.json",
    }


def test_a_part_is_refused_where_the_same_part_or_the_whole_runs(
    firm: Workspace, own: Own, tmp_path: Path, run_cli: RunCli
) -> None:
    workspace = standin.eject(own(firm), "import time\ntime.sleep(60)")
    with marked() as mark:
        first = subprocess.Popen(
            [
                Path(sys.executable).with_name("coachbook"), "run", "retrospective", "--period", OCTOBER, "--shard", "1/4",
                "--out", tmp_path / "run", "--workspace", workspace.folder,
            ],
            env=mark.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert until(lambda: mark.kernels(), 40)
        for other in ("1/4", ""):
            with pytest.raises(Refused, match="Another batch is writing"):
                batch.run(workspace, _order(out=tmp_path / "run", formats=batch.FORMATS, shard=other))
        first.send_signal(signal.SIGINT)
        assert first.wait(timeout=20) == 130
        assert mark.gone(), mark.left


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "/3", "1/", "a/b", "1/0", "-1/3", "1/3/3", "1/999999"])
def test_a_part_that_is_none_is_refused(firm: Workspace, tmp_path: Path, run_cli: RunCli, shard: str) -> None:
    refused = run_cli(
        "run", "retrospective", "--shard", shard, "--out", tmp_path / "run", "--workspace", firm.folder
    )
    assert refused.returncode == 2
    assert "2/3" in refused.stderr
    assert not (tmp_path / "run").exists()
