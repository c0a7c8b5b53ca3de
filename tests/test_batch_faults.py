"""What a batch survives: real signals to real processes, in every phase, and nothing left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from coachbook import batch
from coachbook.settings import Workspace
from tests import standin
from tests.conftest import COMMAND
from tests.processes import Marked, marked, until

OCTOBER = "2021-10"
Own = Callable[[Workspace], Workspace]
FIRST = """
from pathlib import Path
tries = Path("tries-" + rep)
tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
first = tries.read_text() == "x"
"""
"""Whether the notebook runs for the first time for that rep, in `first`."""


def _order(**asked: Any) -> batch.Order:
    return batch.Order(
        "retrospective", **{"period": OCTOBER, "reps": "N1,N2,N3", "formats": ("ipynb",), **asked}
    )


def _manifest(folder: Path) -> list[dict[str, Any]]:
    """Its rows; none where it is not there yet."""
    path = folder / "manifest.jsonl"
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    )


def _tries(workspace: Workspace) -> dict[str, int]:
    return {
        path.name.removeprefix("tries-"): len(path.read_text()) for path in workspace.folder.glob("tries-*")
    }


@contextmanager
def _running(workspace: Workspace, mark: Marked, *options: str | Path) -> Iterator[subprocess.Popen[str]]:
    """`coachbook run` in a process of its own."""
    process = subprocess.Popen(
        [COMMAND, "run", "retrospective", "--period", OCTOBER, "--format", "ipynb", "--json", *options],
        cwd=workspace.folder, env=mark.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


# One try more where a process died, none where the page itself failed


@pytest.mark.parametrize(
    "killed",
    [
        pytest.param("os.getpid()", id="kernel"),
        pytest.param("os.getppid()", id="warm parent"),
        pytest.param('int(os.environ["JPY_PARENT_PID"])', id="worker"),
    ],
)
def test_what_dies_once_costs_nothing(own: Own, firm: Workspace, tmp_path: Path, killed: str) -> None:
    kill = f'import os, signal, time\nif rep == "N2" and first:\n    os.kill({killed}, signal.SIGKILL)\n    time.sleep(60)'
    workspace = standin.eject(own(firm), FIRST, kill, "print('made')")
    outcome = batch.run(workspace, _order(out=tmp_path / "run"))
    assert {row.rep: (row.status, row.kernel) for row in outcome.rows} == dict.fromkeys(
        ("N1", "N2", "N3"), ("ok", "forked")
    )
    assert _tries(workspace)["N2"] == 2
    assert len(_manifest(tmp_path / "run")) == 3


def test_a_page_that_fails_by_itself_is_not_tried_again(own: Own, firm: Workspace, tmp_path: Path) -> None:
    workspace = standin.eject(
        own(firm), FIRST, "import os\nif rep == 'N2':\n    1 / 0\nif rep == 'N3':\n    os._exit(3)"
    )
    outcome = batch.run(workspace, _order(out=tmp_path / "run"))
    assert _tries(workspace) == {"N1": 1, "N2": 1, "N3": 2}
    errors = {row.rep: row.error and row.error["ename"] for row in outcome.rows}
    assert errors == {"N1": None, "N2": "ZeroDivisionError", "N3": "DeadKernelError"}
    alike = {(failure.cell, failure.ename, failure.count) for failure in outcome.failures}
    assert alike == {("step-1", "ZeroDivisionError", 1), ("step-1", "DeadKernelError", 1)}


# A page that never ends

POLITE = "while True:\n    pass"
DEAF = """
import subprocess, sys
from pathlib import Path
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
Path("child").write_text(str(child.pid))
while True:
    try:
        while True:
            pass
    except KeyboardInterrupt:
        pass
"""


@pytest.mark.parametrize("stuck", [pytest.param(POLITE, id="interrupted"), pytest.param(DEAF, id="killed")])
def test_a_page_that_never_ends_is_ended(own: Own, firm: Workspace, tmp_path: Path, stuck: str) -> None:
    body = "\n".join(f"    {line}" for line in stuck.strip().splitlines())
    workspace = standin.eject(own(firm), FIRST, f"if rep == 'N2':\n{body}")
    outcome = batch.run(workspace, _order(out=tmp_path / "run", timeout_seconds=2))
    rows = {row.rep: row for row in outcome.rows}
    assert {rep: row.status for rep, row in rows.items()} == {"N1": "ok", "N2": "failed", "N3": "ok"}
    assert rows["N2"].error == {
        "cell": "step-1", "ename": "TimeoutError", "evalue": "The page took longer than 2 seconds.",
    }  # fmt: skip
    assert _tries(workspace)["N2"] == 1
    if stuck == DEAF:
        child = int((workspace.folder / "child").read_text())
        assert until(
            lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
        )


# Signals to a whole run

SLEEP = 'import subprocess, sys, time\nif rep in ("N3", "S1"):\n    subprocess.Popen(["sleep", "300"])\n    time.sleep(300)'


def _until_stuck(folder: Path, mark: Marked) -> None:
    """Two pages sleep, with a process of their own each; others are done."""
    assert until(lambda: len(_manifest(folder)) >= 2, 40)
    assert until(lambda: sum(p.name() == "sleep" for p in mark.processes()) == 2, 40)


def test_ctrl_c_is_tidy_and_the_run_can_go_on(own: Own, firm: Workspace, tmp_path: Path) -> None:
    workspace, folder = standin.eject(own(firm), SLEEP), tmp_path / "run"
    with marked() as mark:
        with _running(workspace, mark, "--out", folder) as process:
            _until_stuck(folder, mark)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
            assert process.returncode == 130
            assert mark.gone(), mark.left
        told = json.loads(out)
        assert told["skipped"] + told["ok"] == len(told["rows"]) == 12
        assert {row["rep"] for row in told["rows"] if row["status"] == "skipped"} >= {"N3", "S1"}
        assert "Traceback" not in err
    standin.eject(workspace, "print('quick')", parameters=standin.PARAMETERS)
    done = {row["rep"] for row in told["rows"] if row["status"] == "ok"}
    assert done
    assert (folder / "index.html").exists()


SLOW = 'import subprocess, time\nsubprocess.Popen(["sleep", "300"])\ntime.sleep(0.2)'
PHASES: dict[str, Callable[[Path, Marked], bool]] = {
    "while processes come up": lambda folder, mark: until(mark.parents),
    "while pages run": lambda folder, mark: until(lambda: len(mark.kernels()) >= 2, 40),
    "when rows are written": lambda folder, mark: until(lambda: len(_manifest(folder)) >= 3, 40),
}
"""What comes true in that phase of a run."""
VICTIMS = ["coordinator", "worker", "warm parent"]


@pytest.mark.parametrize(
    ("victim", "phase"),
    [
        # Each victim in one phase here, in all of them in `make verify`.
        pytest.param(victim, phase, marks=[] if v == p else [pytest.mark.verify])
        for v, victim in enumerate(VICTIMS)
        for p, phase in enumerate(PHASES)
    ],
)
def test_kill_minus_9_of_anything_leaves_nothing_behind_and_the_run_goes_on(
    own: Own, firm: Workspace, tmp_path: Path, phase: str, victim: str
) -> None:
    _survives(standin.eject(own(firm), SLOW), tmp_path / "run", phase, victim)


@pytest.mark.verify
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("victim", VICTIMS)
def test_five_kills_in_each_phase(own: Own, firm: Workspace, tmp_path: Path, phase: str, victim: str) -> None:
    workspace = standin.eject(own(firm), SLOW)
    for number in range(5):
        _survives(workspace, tmp_path / f"run-{number}", phase, victim)


def _survives(workspace: Workspace, folder: Path, phase: str, victim: str) -> None:
    with marked() as mark, _running(workspace, mark, "--out", folder) as process:
        assert PHASES[phase](folder, mark)
        killed = _victim(victim, process.pid, mark)
        killed.kill()
        assert until(lambda: not killed.is_running() or killed.status() == psutil.STATUS_ZOMBIE)
        assert process.wait(timeout=60) == (-signal.SIGKILL if victim == "coordinator" else 0)
        assert mark.gone(), mark.left
    before = _manifest(folder)
    assert {row["status"] for row in before} <= {"ok"}
    if victim != "coordinator":
        assert len(before) == len({row["rep"] for row in before}) == 12
    else:
        again = batch.run(
            workspace,
            batch.Order("retrospective", period=OCTOBER, formats=("ipynb",), out=folder, resume=True),
        )
        assert (again.kept, len(again.rows), again.count("ok")) == (
            len(before),
            12 - len(before),
            12 - len(before),
        )


def _victim(victim: str, coordinator: int, mark: Marked) -> psutil.Process:
    if victim == "coordinator":
        return psutil.Process(coordinator)
    if victim == "warm parent":
        return mark.parents()[0]
    assert until(lambda: len(_workers(coordinator)) >= 1, 30)
    return _workers(coordinator)[0]


def _workers(coordinator: int) -> list[psutil.Process]:
    """Children of the process that workers are forked from."""
    children = psutil.Process(coordinator).children(recursive=True)
    return [p for p in children if p.name() not in ("sleep",) and _is_worker(p)]


def _is_worker(process: psutil.Process) -> bool:
    parent = process.parent()
    return parent is not None and "multiprocessing.forkserver" in " ".join(parent.cmdline())


# A disk that is full

FULL = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from coachbook import batch
from coachbook.settings import Workspace
import coachbook.batch.folder as folder
workspace, out, size = Workspace(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])
order = batch.Order("retrospective", reps="N1,N2,N3", period="2021-10", formats=("ipynb",), out=out)
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
outcome = batch.run(workspace, order)
print(outcome.exit_code, sorted((row.rep, row.status) for row in outcome.rows), outcome.broken)
"""


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(64, id="manifest", marks=pytest.mark.verify),
        pytest.param(700, id="some rows", marks=pytest.mark.verify),
        pytest.param(3000, id="pages"),
    ],
)
def test_a_full_disk_fails_pages_not_the_folder(own: Own, firm: Workspace, tmp_path: Path, size: int) -> None:
    workspace, out = standin.eject(own(firm), "print('x' * 4000)"), tmp_path / "run"
    batch.run(workspace, _order(out=tmp_path / "before"))  # facts and slices are there
    tried = subprocess.run(
        [sys.executable, "-c", FULL, workspace.folder, out, str(size)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert tried.returncode == 0, tried.stderr
    assert tried.stdout.startswith("1 ")
    assert "Traceback" not in tried.stderr
    assert not list(out.rglob("*.part"))
    again = batch.run(workspace, _order(out=out, resume=True))
    assert (again.exit_code, again.kept + len(again.rows)) == (0, 3)
