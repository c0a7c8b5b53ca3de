"""One batch: plan, run, manifest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any

from coachbook import access, facts
from coachbook.batch.folder import INDEX, Folder, Row, file_name, free, held, write
from coachbook.batch.order import Order, Plan, Task, settle
from coachbook.batch.pool import Workers, interruptible, processes
from coachbook.export.about import About
from coachbook.export.index import REVIEW, Entry, index_page
from coachbook.settings import Workspace
from coachbook.text import _, speaking

_HEARTBEAT_SECONDS = 0.2
_OWNER = "owner"


@dataclass(frozen=True)
class Outcome:
    """What a batch did: rows made now, how many were kept from before, whether it was stopped."""

    folder: Path
    rows: tuple[Row, ...]
    kept: int
    seconds: float
    stopped: bool

    def count(self, status: str) -> int:
        """How many of the rows made now ended so."""
        return sum(row.status == status for row in self.rows)

    @property
    def exit_code(self) -> int:
        """0 all there, 1 some failed, 130 stopped."""
        return 130 if self.stopped else int(self.count("failed") > 0)

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "folder": str(self.folder),
            **{status: self.count(status) for status in ("ok", "failed", "skipped")},
            "kept": self.kept,
            "seconds": round(self.seconds, 3),
            "rows": [row.to_dict() for row in self.rows],
        }


def run(
    workspace: Workspace,
    order: Order,
    *,
    on_start: Callable[[int], None] | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> Outcome:
    """Make the pages of an order; finished work of the same run is kept.

    `on_start` is told how many pages will be made, `on_row` each row as its page finishes. SIGINT and
    SIGTERM end the running pages, keep the finished ones, and the outcome says `stopped`.

    Raises
    ------
    NotFound, Invalid, Refused
        A parameter or the folder cannot be used; nothing was started or written.
    """
    begun = perf_counter()
    plan = settle(workspace, order)
    target = plan.out or free(workspace.folder / "runs" / plan.name, plan.run_id)
    with held(target, plan.run_id) as folder, interruptible() as stop:
        with facts.workers() as executor:
            facts.ensure(workspace, plan.pages[0], executor)
        earlier = folder.rows()
        pages = [p for p in plan.pages if not folder.finished(earlier.get(p.scope.id), plan.files(p))]
        if on_start:
            on_start(len(pages))
        rows = []
        for row in _made(plan, folder, pages, stop):
            folder.append(row)
            rows.append(row)
            if on_row:
                on_row(row)
        _index(plan, folder)
    kept = len(plan.pages) - len(pages)
    return Outcome(folder.path, tuple(rows), kept, perf_counter() - begun, stop.is_set())


def _made(plan: Plan, folder: Folder, pages: list[facts.Page], stop: Event) -> Iterator[Row]:
    """Rows as their pages finish; those of a stopped batch that did not come last."""
    if not pages:
        return
    line = _Line(plan, folder.path, deque(pages))
    with processes(min(plan.workers, len(pages)), _prepare) as workers:
        while (line.waiting or line.running) and not stop.is_set():
            line.fill(workers)
            yield from line.finished(workers)
    for page in [*line.running.values(), *line.waiting]:
        yield Row(page.scope.id, page.name, "skipped")


@dataclass
class _Line:
    """Pages that wait and pages that run. One during which a worker died is tried once more, alone."""

    plan: Plan
    folder: Path
    waiting: deque[facts.Page]
    running: dict[Future[Row], facts.Page] = field(default_factory=dict)
    suspects: set[facts.Page] = field(default_factory=set)

    def fill(self, workers: Workers) -> None:
        """Start what may run now: a bounded window, so that a slice is cut shortly before it is read."""
        while self.waiting and len(self.running) < (
            1 if self.waiting[0] in self.suspects else workers.window
        ):
            page = self.waiting.popleft()
            self.running[self._started(workers, page)] = page

    def finished(self, workers: Workers) -> Iterator[Row]:
        """Rows of pages that are done; waits for one, but not for long."""
        lost = []
        for future in wait(self.running, timeout=_HEARTBEAT_SECONDS, return_when=FIRST_COMPLETED).done:
            page = self.running.pop(future)
            try:
                yield future.result()
            except BrokenExecutor:
                lost.append(page)
        if lost:
            workers.renew()
            yield from self._again([*lost, *self.running.values()])

    def _started(self, workers: Workers, page: facts.Page) -> Future[Row]:
        try:
            return workers.submit(_make, _task(self.plan, self.folder, page))
        except Exception as problem:  # noqa: BLE001 - the slice of one page must not stop the others
            future: Future[Row] = Future()
            future.set_result(_failed(page, type(problem).__name__, str(problem)))
            return future

    def _again(self, lost: list[facts.Page]) -> Iterator[Row]:
        self.running.clear()
        for page in lost:
            if page in self.suspects:
                yield _failed(page, "WorkerDied", _("The process that made this page died twice."))
            else:
                self.suspects.add(page)
                self.waiting.appendleft(page)


def _prepare(scratch: str) -> None:
    import_module("coachbook.charts")  # first: it spares nbformat, too, a grammar of 2 s (charts/lean.py)
    from coachbook.batch import work

    work.prepare(scratch)


def _make(task: Task) -> Row:
    from coachbook.batch import work

    return work.make(task)


def _task(plan: Plan, folder: Path, page: facts.Page) -> Task:
    """All that a worker needs, with a grant over this page's slice alone."""
    workspace = plan.workspace
    parameters = plan.parameters(page)
    grant = access.Grant(
        user=_OWNER, reader=plan.reader, scope=page.scope, workbook=plan.workbook.name,
        period=parameters["period"], as_of=parameters["as_of"], locale=plan.locale.value, host="batch",
        slice=str(facts.cut(workspace, page, plan.reader).absolute()),
    )  # fmt: skip
    return Task(
        plan.about(page), plan.notebook, parameters, access.sign(grant, workspace.secret),
        folder / file_name(page.scope), plan.workbook.name, plan.formats, plan.locale, workspace.folder,
    )  # fmt: skip


def _failed(page: facts.Page, ename: str, evalue: str) -> Row:
    return Row(page.scope.id, page.name, "failed", error={"cell": None, "ename": ename, "evalue": evalue})


def _index(plan: Plan, folder: Folder) -> None:
    """The index of all that lies in the folder, pages of earlier calls included."""
    planned = {page.scope.id: plan.about(page) for page in plan.pages}
    entries = [entry for row in folder.rows().values() if (entry := _entry(folder, row, planned))]
    with speaking(plan.locale):
        write(folder.path / INDEX, index_page(entries))


def _entry(folder: Folder, row: Row, planned: dict[str, About]) -> Entry | None:
    """One line of the index, read back from what lies there; None for an earlier page that left nothing."""
    notebook = folder.notebook(row) or {}
    about = planned.get(row.rep) or About.of(notebook)
    files = {Path(name).suffix: name for name in row.files}
    if about is None:
        return None
    return Entry(
        about, row.status, files.get(".html", ""), files.get(".ipynb", ""), _review(notebook), row.error
    )


def _review(notebook: dict[str, Any]) -> Any:
    """The last review that a notebook emitted, None if it emitted none."""
    outputs = [o for cell in notebook.get("cells", ()) for o in cell.get("outputs", ())]
    found = [o["data"][REVIEW] for o in outputs if REVIEW in o.get("data", {})]
    return found[-1] if found else None
