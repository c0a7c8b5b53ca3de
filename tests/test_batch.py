"""One batch: every page or a reason, nothing of others touched, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.sign import NotebookNotary

from coachbook import batch
from coachbook.access import Scope
from coachbook.batch.folder import file_name
from coachbook.errors import CoachbookError, Invalid, NotFound, Refused
from coachbook.settings import Workspace
from tests import standin
from tests.conftest import COMMAND

CHART = "application/vnd.coachbook.chart+json"
REVIEW = "application/vnd.coachbook.review+json"
OCTOBER = "2021-10"
Own = Callable[[Workspace], Workspace]


def _order(**asked: Any) -> batch.Order:
    return batch.Order("retrospective", **{"period": OCTOBER, **asked})


def _manifest(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def _tree(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


# Real pages; all twenty of the sample are made by `coachbook demo` in tests/test_wheel.py


def test_everybody_named_gets_a_page(october: batch.Outcome) -> None:
    rows = _manifest(october.folder)
    assert [row["status"] for row in rows] == ["ok"] * 6
    assert {row["rep"] for row in rows} == {"1", "2", "8", "9", "14", "15"}
    assert "Archie Boyle" in {row["name"] for row in rows}
    assert (october.exit_code, october.kept, october.count("ok")) == (0, 0, 6)
    assert october.to_dict()["rows"] == rows


def test_a_row_has_the_keys_of_the_contract(october: batch.Outcome) -> None:
    for row in _manifest(october.folder):
        assert list(row) == [
            "rep", "name", "status", "kernel", "seconds", "cells_seconds", "error", "files", "hash",
        ]  # fmt: skip
        assert row["files"] == [f"{row['rep']}/retrospective.ipynb", f"{row['rep']}/retrospective.html"]
        assert all((october.folder / name).stat().st_size > 1000 for name in row["files"])
        assert 0 < row["cells_seconds"] < row["seconds"]
        assert (row["kernel"], row["error"]) == ("forked", None)
        assert re.fullmatch("[0-9a-f]{64}", row["hash"])
    assert len({row["hash"] for row in _manifest(october.folder)}) == 6


def test_an_executed_notebook_is_complete(october: batch.Outcome) -> None:
    for row in october.rows:
        notebook = nbformat.read(october.folder / row.files[0], as_version=4)
        injected = next(cell for cell in notebook.cells if cell.id == "injected-parameters")
        given = dict(re.findall(r'(\w+) = "(.*)"', injected.source))
        assert given == {"rep": row.rep, "period": OCTOBER, "as_of": "2021-11-10", "locale": "en"}
        bundles = [o.data for cell in notebook.cells for o in cell.get("outputs", ()) if "data" in o]
        charts = [bundle for bundle in bundles if CHART in bundle]
        assert all(
            {"image/svg+xml", "text/plain"} < set(chart) and "text/html" not in chart for chart in charts
        )
        assert [b[REVIEW]["scope"]["id"] for b in bundles if REVIEW in b] == [row.rep]
        assert NotebookNotary().check_signature(notebook)


# Faults

FAULTS = """
import os
if rep in ("3", "4") and os.path.exists("fault"):
    print("so far")
    if rep == "3":
        raise ValueError("no luck with " + rep)
    os._exit(1)
"""


@pytest.fixture(scope="module")
def faulty(regional: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, batch.Outcome]:
    """Twenty pages of a notebook that raises for one rep and whose kernel exits for another."""
    folder = tmp_path_factory.mktemp("faulty")
    workspace = Workspace(Path(shutil.copytree(regional.folder, folder / "workspace")))
    standin.eject(workspace, "made = 1", FAULTS, "made = 2")
    (workspace.folder / "fault").touch()
    return workspace, batch.run(workspace, _order(out=folder / "run"))


def test_one_failure_stops_no_other(faulty: tuple[Workspace, batch.Outcome]) -> None:
    _workspace, outcome = faulty
    rows = {row["rep"]: row for row in _manifest(outcome.folder)}
    assert len(rows) == 20
    assert {rep for rep, row in rows.items() if row["status"] != "ok"} == {"3", "4"}
    assert rows["3"]["error"] == {"cell": "step-1", "ename": "ValueError", "evalue": "no luck with 3"}
    assert rows["4"]["error"] == {"cell": "step-1", "ename": "DeadKernelError", "evalue": "Kernel died"}
    assert (outcome.exit_code, outcome.count("ok"), outcome.count("failed")) == (1, 18, 2)


def test_a_failed_notebook_shows_how_far_it_came(faulty: tuple[Workspace, batch.Outcome]) -> None:
    _workspace, outcome = faulty
    for rep, ename in (("3", "ValueError"), ("4", "DeadKernelError")):
        assert [path.name for path in (outcome.folder / rep).iterdir()] == ["retrospective.ipynb"]
        notebook = nbformat.read(outcome.folder / rep / "retrospective.ipynb", as_version=4)
        cells = {cell.id: cell for cell in notebook.cells}
        assert [o.ename for o in cells["step-1"].outputs if o.output_type == "error"] == [ename]
        assert list(cells) == ["title", "parameters", "injected-parameters", "step-0", "step-1", "step-2"]


def test_a_second_run_keeps_what_is_done_and_makes_the_rest(
    faulty: tuple[Workspace, batch.Outcome], own: Own, tmp_path: Path
) -> None:
    workspace, outcome = faulty
    mended = own(workspace)
    (mended.folder / "fault").unlink()
    folder = Path(shutil.copytree(outcome.folder, tmp_path / "run"))
    (folder / "5" / "retrospective.html").unlink()
    (folder / "6" / "retrospective.ipynb").write_text("{}", encoding="utf-8")
    with (folder / "manifest.jsonl").open("a", encoding="utf-8") as manifest:
        manifest.write('{"rep": "torn by a cra')
    again = batch.run(mended, _order(out=folder))
    assert {row.rep for row in again.rows} == {"3", "4", "5", "6"}
    assert (again.kept, again.exit_code) == (16, 0)
    before = {row.rep: row.hash for row in outcome.rows}
    assert {row.rep: row.hash == before[row.rep] for row in again.rows if row.rep in "56"} == {
        "5": True,
        "6": True,
    }
    written = _tree(folder)
    last = batch.run(mended, _order(out=folder, resume=True))
    assert (last.rows, last.kept) == ((), 20)
    changed = {path for path, when in _tree(folder).items() if written.get(path) != when}
    assert changed <= {str(folder), str(folder / "index.html")}


def test_a_worker_that_is_killed_costs_one_page(own: Own, firm: Workspace, tmp_path: Path) -> None:
    kill = (
        'import os, signal\nif rep == "N2":\n    os.kill(int(os.environ["JPY_PARENT_PID"]), signal.SIGKILL)'
    )
    workspace = standin.eject(own(firm), kill)
    outcome = batch.run(workspace, _order(reps="N1,N2,N3", out=tmp_path / "run"))
    assert {row.rep: row.status for row in outcome.rows} == {"N1": "ok", "N2": "failed", "N3": "ok"}
    assert next(row for row in outcome.rows if row.error).error == {
        "cell": None, "ename": "WorkerDied", "evalue": "The process that made this page died twice.",
    }  # fmt: skip


# What a kernel can see

KERNEL_SEES = {
    "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "GIT_PAGER", "JPY_PARENT_PID", "JPY_SESSION_NAME",
    "LC_CTYPE", "MPLBACKEND", "PAGER", "PYDEVD_USE_FRAME_EVAL", "TERM",
    "COACHBOOK_GRANT", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONUSERBASE", "PYTHONUTF8", "TMPDIR", "TZ",
    "MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS",
}  # fmt: skip
"""ipykernel's own, then ours; what stands in `/proc/self/environ` is the warm parent's."""
LOOK = """
import os
from pathlib import Path
print(dict(os.environ), Path("/proc/self/environ").read_text())
print("names:", *os.environ, *(entry.partition("=")[0] for entry in Path("/proc/self/environ").read_text().split("\\0")))
"""


def test_a_kernel_sees_its_grant_and_no_secret(
    own: Own, firm: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "correct-horse")
    workspace = standin.eject(own(firm), LOOK)
    secret = workspace.secret
    outcome = batch.run(workspace, _order(reps="N1", out=tmp_path / "run"))
    told = (outcome.folder / "N1" / "retrospective.ipynb").read_text(encoding="utf-8")
    assert "COACHBOOK_GRANT" in told
    assert "correct-horse" not in told
    assert secret not in told
    names = re.search(r"names: ([^\"]*?)\\n", told)
    assert names
    assert set(names[1].split()) <= KERNEL_SEES


# Stopping, and two at once


def _scratch(process: psutil.Process) -> Path | None:
    """The folder that a kernel's batch keeps its private files in."""
    with suppress(psutil.Error):
        if "ipykernel_launcher" in process.cmdline():
            return Path(process.environ()["HOME"]).parent
    return None


class _Running:
    """`coachbook run` in a process of its own, stopped in its tracks by a page that sleeps."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [COMMAND, "run", "retrospective", "--period", OCTOBER, "--out", folder, "--json"],
            cwd=workspace.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._until(lambda: folder.joinpath("manifest.jsonl").exists() and len(_manifest(folder)) >= 2)
        self.family = psutil.Process(self.process.pid).children(recursive=True)
        self.scratch = set(filter(None, map(_scratch, self.family)))

    def end(self, how: signal.Signals) -> tuple[int, str, str]:
        """Send a signal; returns when the process and all that it started are gone."""
        self.process.send_signal(how)
        said = self.process.communicate(timeout=30)
        self._until(lambda: not any(p.is_running() and p.status() != "zombie" for p in self.family))
        assert not any(folder.exists() for folder in self.scratch)
        return self.process.returncode, *said

    def _until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 40
        while not true():
            assert time.monotonic() < deadline, "nothing happened"
            time.sleep(0.1)


SLEEP = 'import time\nif rep in ("N3", "S1"):\n    time.sleep(60)'


@pytest.fixture
def running(own: Own, firm: Workspace, tmp_path: Path) -> Iterator[tuple[Workspace, _Running]]:
    workspace = standin.eject(own(firm), SLEEP)
    begun = _Running(workspace, tmp_path / "run")
    yield workspace, begun
    if begun.process.poll() is None:
        begun.end(signal.SIGKILL)


def test_a_second_batch_waits_and_a_stopped_one_keeps_its_work(running: tuple[Workspace, _Running]) -> None:
    workspace, first = running
    with pytest.raises(Refused, match="Another batch is writing"):
        batch.run(workspace, _order(out=first.folder))
    code, out, err = first.end(signal.SIGINT)
    assert code == 130
    assert "Traceback" not in err
    rows = _manifest(first.folder)
    assert {row["status"] for row in rows} == {"ok", "skipped"}
    assert len(rows) == len({row["rep"] for row in rows}) == 12
    assert json.loads(out)["skipped"] == sum(row["status"] == "skipped" for row in rows)
    assert "N3" in {row["rep"] for row in rows if row["status"] == "skipped"}
    assert (first.folder / "index.html").exists()


def test_a_killed_batch_goes_on_where_it_was(running: tuple[Workspace, _Running]) -> None:
    workspace, first = running
    code, _out, _err = first.end(signal.SIGKILL)
    assert code == -signal.SIGKILL
    finished = {row["rep"] for row in _manifest(first.folder)}
    asked = ",".join({*finished, "S6"})
    again = batch.run(workspace, _order(out=first.folder, reps=asked, resume=True))
    assert (again.kept, {row.rep for row in again.rows}) == (len(finished), {"S6"} - finished)
    assert {row["status"] for row in _manifest(first.folder)} == {"ok"}


# Refusals

WRONG = [
    pytest.param({"reps": "Archy Boyle"}, NotFound, "Archie Boyle", id="rep"),
    pytest.param({"reps": ""}, NotFound, "Nearest", id="no rep"),
    pytest.param({"reps": "team:Amelia Garner"}, NotFound, "Amelie Garner", id="reps of a team"),
    pytest.param({"team": "nobody"}, NotFound, "Amelie Garner", id="team"),
    pytest.param({"team": "Amelie Garner", "reps": "1"}, Invalid, "not both|Both", id="team and reps"),
    pytest.param({"team": "Amelie Garner", "reader": "rep"}, Refused, "manager", id="team for a rep"),
    pytest.param({"period": "2021-13"}, Invalid, "2021-13", id="period"),
    pytest.param({"period": "2031-01"}, Invalid, "2021-10", id="period outside"),
    pytest.param({"as_of": "yesterday"}, Invalid, "yesterday", id="as of"),
    pytest.param({"locale": "de"}, Invalid, "zh_CN", id="locale"),
    pytest.param({"reader": "director"}, Invalid, "manager", id="reader"),
    pytest.param({"formats": ("ipynb", "pdf")}, Invalid, "html", id="format"),
    pytest.param({"formats": ()}, Invalid, "html", id="no format"),
    pytest.param({"workers": 0}, Invalid, "1", id="workers"),
    pytest.param({"reps": "x" * 10_000}, NotFound, "Nearest", id="long"),
]


@pytest.mark.parametrize(("asked", "kind", "named"), WRONG)
def test_a_wrong_order_is_refused_before_anything_starts(
    regional: Workspace, tmp_path: Path, asked: dict[str, Any], kind: type[CoachbookError], named: str
) -> None:
    before = _tree(regional.folder)
    with pytest.raises(kind, match=named):
        batch.run(regional, _order(out=tmp_path / "run", **asked))
    assert not (tmp_path / "run").exists()
    assert _tree(regional.folder) == before


def test_an_unknown_notebook_is_refused(regional: Workspace, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="retrospective"):
        batch.run(regional, batch.Order("retro", out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        (standin.PARAMETERS.replace('as_of = ""', ""), "does not take the parameter as_of"),
        ("rep = (", "cannot be read as a notebook"),
        ("", "as_of, locale, period, rep"),
    ],
)
def test_a_notebook_that_lacks_a_parameter_is_refused(
    own: Own, firm: Workspace, tmp_path: Path, parameters: str, named: str
) -> None:
    workspace = standin.eject(own(firm), parameters=parameters)
    with pytest.raises(Invalid, match=named):
        batch.run(workspace, _order(out=tmp_path / "run"))
    (workspace.notebooks / "retrospective.ipynb").write_text("not JSON", encoding="utf-8")
    with pytest.raises(Invalid, match="coachbook eject retrospective"):
        batch.run(workspace, _order(out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("letters", "holds other things"),
        ("letters/a.txt", "cannot be written"),
        ("letters/a.txt/below", "cannot be written"),
        ("new/and/" + "x" * 300, "cannot be written"),
        ("nul\0", "cannot be written"),
    ],
)
def test_a_folder_that_cannot_be_used_stays_as_it_is(
    regional: Workspace, tmp_path: Path, place: str, named: str
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    before = _tree(tmp_path)
    with pytest.raises(Refused, match=named):
        batch.run(regional, _order(out=tmp_path / place))
    assert _tree(tmp_path) == before


def test_the_folder_of_another_run_stays_as_it_is(regional: Workspace, october: batch.Outcome) -> None:
    before = _tree(october.folder)
    for other in ({"period": "2021-09"}, {"locale": "zh_CN"}, {"reader": "manager"}, {"formats": ("ipynb",)}):
        with pytest.raises(Refused, match="a run of other data, settings or parameters"):
            batch.run(regional, _order(out=october.folder, **other))
    assert _tree(october.folder) == before


# Names and places


@given(
    st.sets(st.text(min_size=1, max_size=300) | st.sampled_from([".", "..", "index.html", "run.json", "%2E"]))
)
def test_any_id_has_a_folder_of_its_own(ids: set[str]) -> None:
    names = {file_name(Scope("rep", each)) for each in ids}
    assert len(names) == len(ids)
    for name in names:
        assert Path("out", name).resolve().parent == Path("out").resolve()
        assert len(os.fsencode(name)) <= 255
        assert name not in {"index.html", "manifest.jsonl", "run.json"}


def test_plain_ids_are_kept_and_hostile_ones_encoded() -> None:
    plain = {"42", "王小明", "john.smith@example.com", "0051U00000abcDE"}
    assert {file_name(Scope("rep", each)) for each in plain} == plain
    assert file_name(Scope("rep", "../../etc/passwd")) == "%2E%2E%2F%2E%2E%2Fetc%2Fpasswd"
    assert file_name(Scope("team", "north")) == "team-north"


def test_without_a_folder_runs_lie_in_the_workspace(own: Own, firm: Workspace) -> None:
    workspace = standin.eject(own(firm), "print(rep, team)")
    team = batch.run(workspace, _order(team="north"))
    assert team.folder == workspace.folder / "runs" / "retrospective-2021-10"
    assert [(row.rep, row.name, row.files[1]) for row in team.rows] == [
        ("north", "North", "team-north/retrospective.html")
    ]
    reps = batch.run(workspace, _order(reps="S1"))
    assert reps.folder.parent == team.folder.parent
    assert reps.folder.name.startswith("retrospective-2021-10-")
    assert batch.run(workspace, _order(team="north")).kept == 1


def test_altair_comes_without_the_grammar_that_no_chart_needs() -> None:
    loaded = "import coachbook.charts, sys; print('lark' in sys.modules, 'altair' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, timeout=60)
    assert found.stdout == "False True\n"
    kept = "import coachbook.charts, rfc3987_syntax; print('there')"
    assert subprocess.run([sys.executable, "-c", kept], capture_output=True, timeout=60).stdout == b"there\n"
