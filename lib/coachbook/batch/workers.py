"""What a batch asks of whoever does the work, wherever that is."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
from types import FrameType
from typing import Any, Protocol

from coachbook.batch.order import Made, Task

_STOPS = (signal.SIGINT, signal.SIGTERM)


class Lost(Exception):
    """The process that worked on a page died."""


class Gone(Exception):
    """Whoever hands out the work cannot be reached any more; says so in words."""


class Workers(Protocol):
    """Processes that make pages, here or on a cluster."""

    @property
    def executor(self) -> Executor:
        """For the facts of a large company."""

    @property
    def window(self) -> int:
        """How many pages may be handed over at a time."""

    def submit(self, task: Task) -> Future[Made]:
        """Hand a page over; its future raises `Lost` or `Gone` where the page cannot be blamed."""

    def renew(self) -> None:
        """Be ready again after a loss; what ran is lost."""


def make(task: Task) -> Made:
    """`work.make`, loaded in the process that works."""
    from coachbook.batch import work

    return work.make(task)


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
