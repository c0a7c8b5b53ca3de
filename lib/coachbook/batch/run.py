"""One batch: plan, run, manifest."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any

from coachbook import facts
from coachbook.batch.cluster import cluster
from coachbook.batch.folder import INDEX, Folder, Row, free, held, write
from coachbook.batch.order import Made, Order, Plan, settle
from coachbook.batch.pool import processes
from coachbook.batch.workers import Gone, Lost, Workers, interruptible
from coachbook.export.about import About
from coachbook.export.index import Entry, Told, index_page, told
from coachbook.settings import Workspace
from coachbook.text import _, speaking

_HEARTBEAT_SECONDS = 0.2
_TRIES = 2
"""Of a page whose process died; a page that failed by itself is not tried again."""


@dataclass(frozen=True)
class Failure:
    """Pages that failed alike: at the same cell (None: outside of any) with the same kind of error."""

    cell: str | None
    ename: str
    count: int


@dataclass(frozen=True)
class Outcome:
    """What a batch did: rows made now, how many were kept from before, and what stopped it early, if anything did.

    `stopped`: asked to by SIGINT or SIGTERM. `broken`: what it cannot go on without, in words; "" if nothing.
    """

    folder: Path
    rows: tuple[Row, ...]
    kept: int
    seconds: float
    stopped: bool
    broken: str = ""

    def count(self, status: str) -> int:
        """How many of the rows made now ended so."""
        return sum(row.status == status for row in self.rows)

    @property
    def failures(self) -> list[Failure]:
        """What failed, in groups, the most frequent first."""
        errors = [row.error for row in self.rows if row.status == "failed" and row.error]
        alike = Counter((error["cell"], error["ename"] or "") for error in errors)
        return [Failure(cell, ename, count) for (cell, ename), count in alike.most_common()]

    @property
    def exit_code(self) -> int:
        """0 all there, 1 some failed or were not tried, 130 stopped."""
        return 130 if self.stopped else int(bool(self.count("failed") or self.broken))

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "folder": str(self.folder),
            **{status: self.count(status) for status in ("ok", "failed", "skipped")},
            "kept": self.kept,
            "seconds": round(self.seconds, 3),
            "broken": self.broken or None,
            "failures": [vars(failure) for failure in self.failures],
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
        A parameter, the folder or the cluster cannot be used; nothing was started or written.
    """
    begun = perf_counter()
    plan = settle(workspace, order)
    target = plan.out or free(workspace.folder / "runs" / plan.name, plan.run_id)
    with interruptible() as stop, held(target, plan.run_id, plan.part) as folder, _workers(plan) as workers:
        facts.ensure(workspace, plan.pages[0], workers.executor)
        batch = _Batch(plan, folder, workers, stop)
        if on_start:
            on_start(len(batch.waiting))
        kept = len(plan.mine) - len(batch.waiting)
        rows = []
        for row in batch.made():
            rows.append(row)
            if on_row:
                on_row(row)
    return Outcome(folder.path, tuple(rows), kept, perf_counter() - begun, stop.is_set(), batch.broken)


def _workers(plan: Plan) -> AbstractContextManager[Workers]:
    return cluster(plan.cluster) if plan.cluster else processes(min(plan.workers, len(plan.mine)) or 1)


@dataclass
class _Batch:
    """Pages that wait and pages that run. One during which a process died is tried once more, alone."""

    plan: Plan
    folder: Folder
    workers: Workers
    stop: Event
    broken: str = ""
    waiting: deque[facts.Page] = field(init=False)
    running: dict[Future[Made], facts.Page] = field(default_factory=dict)
    tries: Counter[facts.Page] = field(default_factory=Counter)
    told: dict[str, Told | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plan, earlier = self.plan, self.folder.rows()
        self.waiting = deque(
            page
            for page in plan.mine
            if not self.folder.finished(earlier.get(page.scope.id), plan.files(page))
        )

    def made(self) -> Iterator[Row]:
        """Rows as their pages finish, each on disk before it comes; those that were not tried last."""
        try:
            while (self.waiting or self.running) and not self.stop.is_set():
                self._fill()
                for made in self._finished():
                    self.told[made.row.rep] = made.told
                    self.folder.append(made.row)
                    yield made.row
        except (Gone, OSError) as problem:
            self.broken = str(problem)
        for page in [*self.running.values(), *self.waiting]:
            row = Row(page.scope.id, page.name, "skipped")
            if not self.broken:
                self.folder.append(row)
            yield row
        self._index()

    def _fill(self) -> None:
        """Start what may run now: a bounded window, and alone what a process has died over."""
        while self.waiting and len(self.running) < (
            1 if self.tries[self.waiting[0]] else self.workers.window
        ):
            page = self.waiting.popleft()
            self.running[self.workers.submit(self.plan.task(page, self.folder.path))] = page

    def _finished(self) -> Iterator[Made]:
        """What is done; waits for one, but not for long."""
        lost = []
        for future in wait(self.running, timeout=_HEARTBEAT_SECONDS, return_when=FIRST_COMPLETED).done:
            page = self.running.pop(future)
            try:
                made = future.result()
            except Lost:
                lost.append(page)
                continue
            except Gone:
                self.running[future] = page
                raise
            except Exception as problem:  # noqa: BLE001 - a worker that cannot even try must not stop the others
                made = _failed(page, type(problem).__name__, str(problem))
            self.tries[page] += 1
            if made.again and self.tries[page] < _TRIES:
                self.waiting.appendleft(page)
            else:
                yield made
        if lost:
            self.workers.renew()
            yield from self._again([*lost, *self.running.values()])

    def _again(self, lost: list[facts.Page]) -> Iterator[Made]:
        """Which of those that ran when a process died was to blame shows when each is tried alone."""
        self.running.clear()
        for page in lost:
            self.tries[page] += 1
            if self.tries[page] < _TRIES:
                self.waiting.appendleft(page)
            else:
                yield _failed(page, "WorkerDied", _("The process that made this page died twice."))

    def _index(self) -> None:
        """The index of all that lies in the folder, pages of earlier calls and of other parts included."""
        planned = {page.scope.id: self.plan.about(page) for page in self.plan.pages}
        try:
            with self.folder.settled(), speaking(self.plan.locale):
                entries = [e for row in self.folder.rows().values() if (e := self._entry(row, planned))]
                if entries:
                    write(self.folder.path / INDEX, index_page(entries))
        except OSError as problem:
            self.broken = self.broken or str(problem)

    def _entry(self, row: Row, planned: dict[str, About]) -> Entry | None:
        """One line of the index; what was not made now is read back, None where it left nothing."""
        found = None if row.rep in self.told else self.folder.notebook(row)
        about = planned.get(row.rep) or About.of(found or {})
        files = {Path(name).suffix: name for name in row.files}
        if about is None:
            return None
        tells = self.told[row.rep] if row.rep in self.told else told(found or {})
        return Entry(about, row.status, files.get(".html", ""), files.get(".ipynb", ""), tells, row.error)


def _failed(page: facts.Page, ename: str, evalue: str) -> Made:
    """A page that no worker could tell about."""
    error: dict[str, str | None] = {"cell": None, "ename": ename, "evalue": evalue}
    return Made(Row(page.scope.id, page.name, "failed", error=error))
