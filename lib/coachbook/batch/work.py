"""What a worker does: one page, from a notebook to finished files. papermill lives only here.

A worker is long-lived: `prepare` once, then `make` for each page. Importing this module loads papermill,
nbconvert and vl-convert, which the process that only plans and waits has no use for.
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import site
import tempfile
from contextlib import suppress
from dataclasses import replace
from functools import cache
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbformat import NotebookNode
from nbformat.sign import NotebookNotary
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
from papermill.exceptions import strip_color
from papermill.execute import execute_notebook, remove_error_markers
from traitlets.config import Config

from coachbook import access, catalogue, charts
from coachbook.batch.folder import Row, Status, content_hash, write
from coachbook.export.about import KEY
from coachbook.export.page import static_page
from coachbook.text import speaking

if TYPE_CHECKING:
    from coachbook.batch.order import Task

CELL_TIMEOUT_SECONDS = 600
_ENGINE = "coachbook"
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_EVALUE_LENGTH = 500


class _Kernel(AsyncKernelManager):
    """The kernel of the moment, known to the worker, so that neither outlives the other."""

    current: ClassVar[_Kernel | None] = None

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        _Kernel.current = self


class _Engine(NBClientEngine):  # type: ignore[misc]
    """papermill's own engine, which also hands over the notebook of a kernel that died."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, *, begun: list[NotebookNode], **rest: Any
    ) -> None:
        begun.append(nb_man.nb)
        nb_man.nb.metadata.papermill["input_path"] = None  # it would be the whole notebook once more
        for cell in nb_man.nb.cells:
            if "injected-parameters" in cell.metadata.tags:
                cell.id = "injected-parameters"
        super().execute_managed_notebook(nb_man, kernel_name, **rest)


papermill_engines.register(_ENGINE, _Engine)


def prepare(scratch: str) -> None:
    """Once per worker: what a kernel could inherit is left behind, and nothing outlives the parent.

    `scratch` is a short path, the run's own; kernels' sockets and IPython's files lie in it.
    """
    with suppress(Exception), Path(scratch, "notary").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _notary().sign(nbformat.v4.new_notebook())
    private = tempfile.mkdtemp(dir=scratch)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    kept["PYTHONUSERBASE"] = site.getuserbase()
    os.environ.clear()
    os.environ.update(kept, HOME=private, PYTHONUTF8="1", OPENBLAS_NUM_THREADS="1")
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, _leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    Thread(target=_end_with_parent, daemon=True).start()
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)


def make(task: Task) -> Row:
    """One page. Whatever goes wrong becomes the row's error: one page never stops the others."""
    begun = perf_counter()
    row = Row(task.about.id, task.about.name, "failed", kernel="launched")
    with speaking(task.locale):
        try:
            notebook, error = _executed(task)
            row = replace(row, error=error, cells_seconds=_cells_seconds(notebook))
            row = _written(task, notebook, row)
        except Exception as problem:  # noqa: BLE001 - anything at all
            row = replace(row, status="failed", error=_error(None, problem))
    return replace(row, seconds=round(perf_counter() - begun, 3))


def _executed(task: Task) -> tuple[NotebookNode, dict[str, str | None] | None]:
    """The notebook as far as it came, and what stopped it."""
    source = nbformat.reads(task.notebook, as_version=4)
    source.metadata[KEY] = task.about.to_dict()
    begun: list[NotebookNode] = []
    os.environ[access.ENVIRONMENT] = task.token
    try:
        execute_notebook(
            source, None, task.parameters,
            engine_name=_ENGINE, kernel_name=catalogue.KERNEL, cwd=task.directory,
            request_save_on_cell_execute=False, progress_bar=False, log_output=False,
            execution_timeout=CELL_TIMEOUT_SECONDS, record_timing=False, shutdown_kernel="immediate",
            kernel_manager_class=_Kernel, config=_transport(), begun=begun,
        )  # fmt: skip
        return begun[0], None
    except Exception as problem:  # noqa: BLE001 - a cell, a dead kernel, a timeout, no kernel at all
        notebook = remove_error_markers(begun[0] if begun else source)
        return notebook, _stopped(notebook, problem)
    finally:
        del os.environ[access.ENVIRONMENT]


def _transport() -> Config:
    """Sockets in the worker's own folder; the default for ipc would put them into the working directory."""
    connection = Path(os.environ["HOME"], "kernel.json")
    transport = "ipc" if len(os.fsencode(connection)) < 80 else "tcp"
    return Config({"KernelManager": {"transport": transport, "connection_file": str(connection)}})


def _stopped(notebook: NotebookNode, problem: Exception) -> dict[str, str | None]:
    """Which cell was running; where it left no traceback of its own, the problem is written into it."""
    begun = [c for c in notebook.cells if c.metadata.get("papermill", {}).get("start_time")]
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
    record = task.folder / f"{task.workbook}.ipynb"
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


def _end_with_parent() -> None:
    """A parent that was killed cannot tell its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        _leave()


def _leave(*_signal: object) -> NoReturn:
    """End the kernel of the moment, then this process; a parent that was killed did not clean up either."""
    kernel = _Kernel.current
    if kernel is not None and kernel.has_kernel:
        with suppress(ProcessLookupError):
            os.killpg(kernel.provisioner.pid, signal.SIGKILL)  # type: ignore[union-attr]
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        shutil.rmtree(Path(os.environ["HOME"]).parent, ignore_errors=True)
    os._exit(1)
