"""The same pages from a stock Voilà and from `coachbook serve`, ready to be asked for."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic, sleep
from urllib.parse import urlencode

import psutil
import requests

from coachbook.catalogue import workbook
from coachbook.settings import Workspace
from tests.bench.yard import AS_OF, environment, quoted, say, seconds
from tests.serving import Server

Pair = tuple[str, str]
OUTPUTS = 12
"""Outputs that a reader sees on a page, charts among them."""
CHARTS = 4
_OUTPUT = ("application/vnd.voila.cell-output+json", 'class="cb-output"')
"""How an output stands in a page: stock, and ours where it takes no front end."""


@dataclass(frozen=True)
class Host:
    """A running server: its address, those of pages, who is signed in, and its process."""

    base: str
    pages: list[str]
    cookies: dict[str, str]
    pid: int


@contextmanager
def stock(made: Workspace, asked: list[Pair]) -> Iterator[Host]:
    """Voilà as it comes, over notebooks whose parameters papermill has set."""
    folder = made.folder / "stock"
    folder.mkdir()
    notebook = workbook("retrospective").path
    for rep, period in asked:
        values = quoted("-p", "rep", rep, "-p", "period", period, "-p", "as_of", AS_OF)
        seconds(
            f"papermill --prepare-only {quoted(notebook)} stock/{rep}-{period}.ipynb {values}", made.folder
        )
    port = _free_port()
    command = ["voila", "stock", "--no-browser", f"--port={port}"]
    say(f"  $ {quoted(*command)}")
    process = subprocess.Popen(
        command, cwd=made.folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    base = f"http://127.0.0.1:{port}"
    try:
        _wait(base)
        yield Host(
            base, [f"{base}/voila/render/{rep}-{period}.ipynb" for rep, period in asked], {}, process.pid
        )
    finally:
        _end(process)


@contextmanager
def ours(made: Workspace, asked: list[Pair]) -> Iterator[Host]:
    """`coachbook serve`, signed in as its owner."""
    say("  $ coachbook serve --no-browser")
    server = Server(made)
    try:
        queries = [urlencode({"rep": rep, "period": period, "as_of": AS_OF}) for rep, period in asked]
        yield Host(
            server.base,
            [f"{server.base}/w/retrospective?{query}" for query in queries],
            server.cookie(),
            server.process.pid,
        )
    finally:
        server.stop()


def shown(page: str) -> int:
    """How many outputs a page holds."""
    return sum(map(page.count, _OUTPUT))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(base: str) -> None:
    end = monotonic() + 60
    while monotonic() < end:
        try:
            requests.get(base, timeout=5)
        except requests.ConnectionError:
            sleep(0.1)
        else:
            return
    raise TimeoutError(base)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and the kernels that it started."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)
    for member in family:
        if member.is_running():
            member.kill()
