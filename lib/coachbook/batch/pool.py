"""Workers of this machine: long-lived processes, renewed when one dies, ended when the batch is stopped."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import BaseContext

from coachbook import catalogue, facts, kernels
from coachbook.batch.environment import environment
from coachbook.batch.order import Made, Task
from coachbook.batch.workers import Lost, Workers, make

_THREADS = "OPENBLAS_NUM_THREADS"


class _Pool:
    """`count` processes; anew once one of them has died."""

    def __init__(self, count: int, scratch: str, executor: Executor) -> None:
        self.window = 2 * count
        self.executor = executor
        self._count = count
        self._prepared = (scratch, kernels.lend(kernels.kind(catalogue.KERNEL, environment())))
        self._pool = self._new()

    def submit(self, task: Task) -> Future[Made]:
        """A future that says of a broken pool what it means for the page."""
        page: Future[Made] = Future()
        try:
            with _undisturbed():
                self._pool.submit(make, task).add_done_callback(lambda done: _pass_on(done, page))
        except BrokenExecutor:
            page.set_exception(Lost())
        return page

    def renew(self) -> None:
        """Start over with fresh workers; what ran is lost."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._new()

    def close(self) -> None:
        """Let go of the workers."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._count, _context(), initializer=_prepare, initargs=self._prepared)


@contextmanager
def processes(count: int) -> Iterator[Workers]:
    """`count` processes of this machine; at the end they are terminated: what they finished is on disk."""
    others = set(multiprocessing.active_children())
    with (
        tempfile.TemporaryDirectory(dir=kernels.folder(), ignore_cleanup_errors=True) as scratch,
        facts.workers() as executor,
    ):
        pool = _Pool(count, scratch, executor)
        try:
            yield pool
        finally:
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()
            pool.close()


def _pass_on(done: Future[Made], page: Future[Made]) -> None:
    if done.cancelled() or isinstance(done.exception(), BrokenExecutor):
        page.set_exception(Lost())
    elif problem := done.exception():
        page.set_exception(problem)
    else:
        page.set_result(done.result())


def _context() -> BaseContext:
    """Workers are forked from a process that has loaded once what they all need, and that holds nothing of ours."""
    # Its socket lies where it is cleared away whatever happens; the place that multiprocessing makes outlives a kill.
    multiprocessing.current_process()._config.setdefault("tempdir", str(kernels.folder()))  # type: ignore[attr-defined]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["coachbook.batch.preload"])
    return context


def _prepare(scratch: str, parent: kernels.Address) -> None:
    from coachbook.batch import work

    work.prepare(scratch, parent)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A process born in here is deaf to the terminal's Ctrl-C until it says otherwise, and starts no threads: it forks."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    threads = os.environ.get(_THREADS)
    os.environ[_THREADS] = "1"
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        del os.environ[_THREADS]
        if threads is not None:
            os.environ[_THREADS] = threads
