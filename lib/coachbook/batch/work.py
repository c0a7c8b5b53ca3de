"""What a worker does: one page, from a notebook to finished files. papermill lives only here.

`make` works in any process of any machine that reaches the workspace; a worker of the local pool runs
`prepare` before. Importing this module loads papermill, nbconvert and vl-convert, which the process that
only plans and waits has no use for.
"""

from __future__ import annotations

from coachbook import charts  # first: it spares nbformat, too, a grammar of 2 s (charts/lean.py)

# isort: split
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing.connection import wait
from pathlib import Path
from secrets import token_hex
from time import monotonic, perf_counter
from typing import Any, NoReturn

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbformat.sign import NotebookNotary
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager, papermill_engines
from papermill.exceptions import strip_color
from papermill.execute import execute_notebook, raise_for_execution_errors, remove_error_markers

from coachbook import access, catalogue, facts, kernels
from coachbook.batch.environment import environment
from coachbook.batch.folder import Row, Status, content_hash, write
from coachbook.batch.order import Made, Task
from coachbook.errors import CoachbookError
from coachbook.export.about import KEY
from coachbook.export.index import told
from coachbook.export.page import static_page
from coachbook.settings import Workspace
from coachbook.text import _, number, speaking

START_SECONDS = 60
GRACE_SECONDS = 5.0
"""So long a cell that was interrupted may take to end before its kernel is killed."""
_CLEARED_SECONDS = 2.0
_ANY_CHART = {"mark": "point", "data": {"values": []}}
_OWNER = "owner"
_ENGINE = "coachbook"
_EVALUE_LENGTH = 500
_running: set[AsyncKernelManager] = set()
"""Kernels of the moment, so that neither they nor this process outlive the other."""


class _Engine(Engine):  # type: ignore[misc]
    """papermill's own way with a kernel that is handed in, and with the notebook of one that died handed out."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, *, page: _Page, **_rest: Any
    ) -> None:
        page.notebook = nb_man.nb
        nb_man.nb.metadata.papermill["input_path"] = None  # it would be the whole notebook once more
        for cell in nb_man.nb.cells:
            if "injected-parameters" in cell.metadata.tags:
                cell.id = "injected-parameters"
        client = PapermillNotebookClient(
            nb_man, km=page.manager, kernel_name=kernel_name, startup_timeout=START_SECONDS, record_timing=False,
            shutdown_kernel="immediate", extra_arguments=["--HistoryManager.hist_file=:memory:"],
        )  # fmt: skip
        client.execute(env=page.environment, cwd=str(page.task.workspace), cleanup_kc=True)


papermill_engines.register(_ENGINE, _Engine)


@dataclass
class _Page:
    """A task while it is worked on."""

    task: Task
    notebook: NotebookNode
    manager: AsyncKernelManager
    environment: dict[str, str]
    problem: Exception | None = None
    late: bool = False

    def execute(self) -> None:
        """Run the notebook as far as it comes; what stops it becomes `problem`."""
        _running.add(self.manager)
        begun = threading.Timer(self.task.timeout_seconds, self._interrupt)
        begun.daemon = True
        begun.start()
        try:
            self.notebook = execute_notebook(
                self.notebook, None, self.task.parameters, kernel_name=catalogue.KERNEL, prepare_only=True
            )
            papermill_engines.execute_notebook_with_engine(
                _ENGINE, self.notebook, catalogue.KERNEL, progress_bar=False, log_output=False, page=self
            )
            raise_for_execution_errors(self.notebook, None)
        except Exception as problem:  # noqa: BLE001 - a cell, a dead kernel, a timeout, no kernel at all
            self.notebook = remove_error_markers(self.notebook)
            self.problem = problem
        finally:
            begun.cancel()
            _running.discard(self.manager)

    def _interrupt(self) -> None:
        """Too late: interrupt the cell, then kill the kernel and what it started."""
        self.late = True
        _signal(self.manager, signal.SIGINT)
        if not self._ended(GRACE_SECONDS):
            _signal(self.manager, signal.SIGKILL)

    def _ended(self, seconds: float) -> bool:
        end = perf_counter() + seconds
        while self.manager in _running and perf_counter() < end:
            threading.Event().wait(0.05)
        return self.manager not in _running


def prepare(scratch: str, parent: kernels.Address) -> None:
    """Once per worker of the local pool: nothing outlives the coordinator.

    `scratch` is a short path in the coordinator's folder; kernels' sockets and IPython's files lie in it. `parent`
    forks the kernels of all workers.
    """
    tempfile.tempdir = scratch
    kernels.borrow(parent)
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, partial(_leave, Path(scratch).parent))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_coordinator, daemon=True).start()
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    charts.svg(_ANY_CHART)  # the first drawing takes 0.3 s, while the kernels' parent is not up yet either


def make(task: Task) -> Made:
    """One page. Whatever goes wrong becomes the row's error: one page never stops the others."""
    begun = perf_counter()
    with speaking(task.locale):
        try:
            made = _made(task)
        except Exception as problem:  # noqa: BLE001 - anything at all
            row = Row(task.about.id, task.about.name, "failed", error=_error(None, problem))
            made = Made(row, again=_is_infrastructure(problem))
    return replace(made, row=replace(made.row, seconds=round(perf_counter() - begun, 3)))


def _made(task: Task) -> Made:
    private = _private()
    connection = private / f"{token_hex(4)}.json"
    source = nbformat.reads(task.notebook, as_version=4)
    source.metadata[KEY] = task.about.to_dict()
    manager = AsyncKernelManager(kernel_name=catalogue.KERNEL, connection_file=str(connection))
    page = _Page(
        task, source, manager, {**environment(), "HOME": str(private), access.ENVIRONMENT: _token(task)}
    )
    page.execute()
    row = Row(
        task.about.id, task.about.name, "failed", kernel=kernels.how(manager),
        cells_seconds=_cells_seconds(page.notebook), error=_stopped(page),
    )  # fmt: skip
    row = _written(task, page.notebook, row)
    return Made(row, told(page.notebook), _is_infrastructure(page.problem) and not page.late)


def _token(task: Task) -> str:
    """A grant over this page's slice alone."""
    workspace = Workspace(task.workspace)
    grant = access.Grant(
        user=_OWNER, reader=task.reader, scope=task.page.scope, workbook=task.about.workbook,
        period=task.about.period, as_of=task.about.as_of, locale=task.locale.value, host="batch",
        slice=str(facts.cut(workspace, task.page, task.reader).absolute()),
    )  # fmt: skip
    return access.sign(grant, workspace.secret)


def _is_infrastructure(problem: Exception | None) -> bool:
    """Whether the cause is a process that died or did not come up: another try may well succeed."""
    return isinstance(problem, (DeadKernelError, RuntimeError)) and not isinstance(problem, CoachbookError)


def _stopped(page: _Page) -> dict[str, str | None] | None:
    """What stopped a page, and in which cell; where that left no traceback of its own, it is written into the cell."""
    if page.problem is None:
        return None
    problem = page.problem
    if page.late:
        seconds = number(page.task.timeout_seconds)
        problem = TimeoutError(_("The page took longer than {seconds} seconds.", seconds=seconds))
    begun = [c for c in page.notebook.cells if c.metadata.get("papermill", {}).get("start_time")]
    if not begun:
        return _error(None, problem)
    cell = begun[-1]
    error = _error(cell.id, problem)
    if cell.cell_type == "code" and not any(o.output_type == "error" for o in cell.outputs):
        cell.outputs.append(
            nbformat.v4.new_output(
                "error", ename=error["ename"], evalue=error["evalue"], traceback=[str(problem)]
            )
        )
    return error


def _error(cell: str | None, problem: Exception) -> dict[str, str | None]:
    ename = getattr(problem, "ename", type(problem).__name__)
    evalue = strip_color(str(getattr(problem, "evalue", problem)))
    return {"cell": cell, "ename": ename, "evalue": evalue[:_EVALUE_LENGTH]}


def _cells_seconds(notebook: NotebookNode) -> float:
    timed = (c.metadata.get("papermill", {}).get("duration") for c in notebook.cells)
    return round(sum(seconds or 0.0 for seconds in timed), 3)


def _written(task: Task, notebook: NotebookNode, row: Row) -> Row:
    """The page's files. A failed page leaves its notebook with the traceback, and nothing else."""
    html = None
    if row.error is None:
        try:
            _draw(notebook)
            html = static_page(notebook, task.about) if "html" in task.formats else None
        except Exception as problem:  # noqa: BLE001 - an output that cannot be drawn
            row = replace(row, error=_error(None, problem))
    record = task.folder / f"{task.about.workbook}.ipynb"
    page = record.with_suffix(".html")
    text = nbformat.writes(notebook)
    task.folder.mkdir(exist_ok=True)
    page.unlink(missing_ok=True)
    write(record, text)
    _sign(notebook)
    if html is not None:
        write(page, html)
    files = tuple(f"{task.folder.name}/{path.name}" for path in (record, page) if path.exists())
    status: Status = "ok" if row.error is None else "failed"
    return replace(row, status=status, files=files, hash=content_hash(json.loads(text)))


def _draw(notebook: NotebookNode) -> None:
    """Beside each chart's specification its picture, for JupyterLab and for the page alike."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if charts.CHART in data:
                data["image/svg+xml"] = charts.svg(data[charts.CHART])
                data.pop("text/html", None)


def _sign(notebook: NotebookNode) -> None:
    """Trusted by JupyterLab of this user, which shows styles and pictures of trusted notebooks only."""
    with suppress(Exception):
        _notary().sign(notebook)


@cache
def _notary() -> NotebookNotary:
    return NotebookNotary()


@cache
def _private() -> Path:
    """This process's folder for what kernels write beside their output."""
    return Path(tempfile.mkdtemp(dir=kernels.folder()))


def _end_with_coordinator() -> None:
    """One that was killed cannot tell its workers. The main thread leaves, so that it makes nothing more meanwhile."""
    coordinator = multiprocessing.parent_process()
    if coordinator is not None:
        wait([coordinator.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(_CLEARED_SECONDS * 2)
        os._exit(1)


def _leave(place: Path, *_signal_and_frame: object) -> NoReturn:
    """End the kernels of the moment, then this process; a coordinator that was killed did not clean up either.

    The warm parent does, once its kernels have ended; if that was killed before, nobody else is left to.
    """
    for manager in list(_running):
        _signal(manager, signal.SIGKILL)
    coordinator = multiprocessing.parent_process()
    if coordinator is not None and not coordinator.is_alive():
        end = monotonic() + _CLEARED_SECONDS
        while place.exists() and monotonic() < end:
            threading.Event().wait(0.05)
        shutil.rmtree(place, ignore_errors=True)
    os._exit(1)


def _signal(manager: AsyncKernelManager, number: signal.Signals) -> None:
    """To a kernel and all that it started."""
    if manager.has_kernel:
        with suppress(ProcessLookupError):
            os.killpg(manager.provisioner.pid, number)  # type: ignore[union-attr]
