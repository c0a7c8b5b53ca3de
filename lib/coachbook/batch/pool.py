"""Long-lived worker processes, renewed when one dies, ended when the batch is stopped."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
_STOPS = (signal.SIGINT, signal.SIGTERM)


class Workers:
    """Any executor that runs one kind of task, and can be had anew once it is broken."""

    def __init__(self, executor: Callable[[], Executor], window: int) -> None:
        self.window = window
        self._new = executor
        self._executor = executor()

    def submit(self, work: Callable[[T], R], item: T) -> Future[R]:
        """A future, also where the executor is broken already."""
        try:
            with _undisturbed():
                return self._executor.submit(work, item)
        except BrokenExecutor as problem:
            broken: Future[R] = Future()
            broken.set_exception(problem)
            return broken

    def renew(self) -> None:
        """Start over with fresh workers; what ran is lost."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor = self._new()

    def close(self) -> None:
        """Let go of the workers."""
        self._executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def processes(count: int, prepare: Callable[[str], None]) -> Iterator[Workers]:
    """`count` processes of this machine, spawned; `prepare` gets a private folder that is gone afterwards.

    At the end they are terminated: what they finished is on disk, and nothing else is waited for.
    """
    others = set(multiprocessing.active_children())
    with tempfile.TemporaryDirectory(prefix="cb-", ignore_cleanup_errors=True) as scratch:

        def executor() -> Executor:
            return ProcessPoolExecutor(
                count, multiprocessing.get_context("spawn"), initializer=prepare, initargs=(scratch,)
            )

        workers = Workers(executor, window=2 * count)
        try:
            yield workers
        finally:
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()
            workers.close()


@contextmanager
def interruptible() -> Iterator[Event]:
    """An event that SIGINT and SIGTERM set inside the block, so that work ends between two steps."""
    stop = Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    mine = current_thread() is main_thread()
    before: dict[signal.Signals, Any] = {s: signal.signal(s, ask) for s in _STOPS} if mine else {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A process born in here is deaf to the terminal's Ctrl-C until it says otherwise."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
