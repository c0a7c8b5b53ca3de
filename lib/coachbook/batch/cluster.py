"""Workers of an existing Dask scheduler. Dask lives only here.

A worker of the cluster reaches the workspace and the folder of the run under the same paths as this process.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from coachbook.batch.order import Made, Task
from coachbook.batch.workers import Gone, Workers, make
from coachbook.errors import Refused
from coachbook.text import N_, _

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 10
"""So long a scheduler may take to answer, and its first worker to be there."""
CLOSE_SECONDS = 2


class _Cluster:
    """What a Dask client offers, as a batch asks for it."""

    def __init__(self, client: Client, address: str) -> None:
        self.executor: Executor = client.get_executor(pure=False)
        self._client = client
        self._address = address

    @property
    def window(self) -> int:
        """Twice as many pages as there are threads at the moment; workers may come and go."""
        try:
            threads: dict[str, int] = self._client.nthreads()
            return 2 * max(1, sum(threads.values()))
        except (OSError, CancelledError, TimeoutError):
            raise self._gone() from None

    def submit(self, task: Task) -> Future[Made]:
        """A future that says of a lost scheduler what it means."""
        page: Future[Made] = Future()
        self.executor.submit(make, task).add_done_callback(lambda done: self._pass_on(done, page))
        return page

    def renew(self) -> None:
        """Dask itself hands on what a worker that died had."""

    def _pass_on(self, done: Future[Made], page: Future[Made]) -> None:
        if done.cancelled():
            page.set_exception(self._gone())
        elif problem := done.exception():
            page.set_exception(problem)
        else:
            page.set_result(done.result())

    def _gone(self) -> Gone:
        return Gone(
            _(
                "The scheduler at {address} cannot be reached any more. What is finished is kept: run the same command again once it is back.",
                address=self._address,
            )
        )


@contextmanager
def cluster(address: str) -> Iterator[Workers]:
    """The workers of the scheduler at an address like `tcp://host:8786`.

    Raises
    ------
    Refused
        There is no scheduler, or no worker, or no Dask to reach them with.
    """
    try:
        from distributed import Client
    except ImportError:
        raise Refused(
            N_("Dask is not installed here, so {address} cannot be used. Install it with: {command}"),
            address=address, command='pip install "coachbook[cluster]"',
        ) from None  # fmt: skip
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)  # what matters of it, we say
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as problem:
        raise Refused(
            N_("There is no Dask scheduler at {address}: {problem}. It is named like {example}, and started with: {command}"),
            address=address, problem=problem, example="tcp://192.0.2.7:8786", command="dask scheduler",
        ) from None  # fmt: skip
    try:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise Refused(
                N_("The scheduler at {address} has no worker. Start one with: {command}"),
                address=address, command=f"dask worker {address} --nthreads 1",
            ) from None  # fmt: skip
        yield _Cluster(client, address)
    finally:
        with suppress(Exception):
            client.close(timeout=CLOSE_SECONDS)
