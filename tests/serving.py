"""A real server in a process of its own, and what tests ask of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import requests
import websocket
from tornado.web import create_signed_value

from coachbook.settings import Workspace

SERVE = """
import sys
from pathlib import Path
from coachbook.serve import serve
from coachbook.settings import Workspace
serve(Workspace(Path(sys.argv[1])), port=0, browser=False, on_ready=lambda url: print(url, flush=True))
"""


class Server:
    """`coachbook serve` on a free port; `link` is the address that it prints. `first` runs before it serves."""

    def __init__(self, workspace: Workspace, *, first: str = "", **environment: str) -> None:
        self.workspace = workspace
        self.process = subprocess.Popen(
            [sys.executable, "-c", first + SERVE, str(workspace.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self.process.stdout
        self.link = self.process.stdout.readline().strip()
        self.base = self.link.partition("/enter/")[0]

    def stop(self, how: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Exit code and everything said on the terminal after the address."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        said = "".join(self.process.communicate(timeout=20))
        return self.process.returncode, said

    @property
    def log(self) -> str:
        return (self.workspace.store / "serve.log").read_text(encoding="utf-8")

    def cookie(self, user: str = "owner", secret: str = "") -> dict[str, str]:
        """The session cookie of a user, as the server signs it."""
        name = f"coachbook-{self.base.rpartition(':')[2]}"
        return {name: create_signed_value(secret or self.workspace.secret, name, user).decode()}

    def session(self, user: str = "owner") -> requests.Session:
        """A browser's stand-in that is signed in; as nobody, with an empty name."""
        session = requests.Session()
        session.cookies.update(self.cookie(user) if user else {})
        session.get(f"{self.base}/login")
        session.headers["X-XSRFToken"] = session.cookies["_xsrf"]
        return session

    def kernels(self) -> dict[str, psutil.Process]:
        """Running kernels, forked each, by what `short` makes of their ids."""
        found = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if child.name().startswith("kernel-") and child.status() != psutil.STATUS_ZOMBIE:
                    found[child.name().removeprefix("kernel-")] = child
        return found

    def socket_status(self, kernel_id: str, cookies: dict[str, str]) -> int:
        """What the kernel's websocket answers: 101 opens it."""
        try:
            websocket.create_connection(
                f"{self.base.replace('http', 'ws')}/api/kernels/{kernel_id}/channels?session_id=1",
                cookie="; ".join(f"{k}={v}" for k, v in cookies.items()),
                timeout=10,
            ).close()
        except websocket.WebSocketBadStatusException as refused:
            return refused.status_code
        return 101


def kernel_of(page: str) -> str:
    """The id of the kernel behind a page."""
    found = re.search(r'"kernelId": "([\w-]+)"', page)
    assert found, page[:2000]
    return found[1]


def short(kernel_id: str) -> str:
    """As much of a kernel's id as the name of its process has room for."""
    return kernel_id[:8]


def put_notebook(workspace: Workspace, *cells: str) -> Path:
    """An ejected retrospective of those cells; a cell that begins with # and a space is Markdown."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    parameters = new_code_cell('rep = ""\nteam = ""\nperiod = ""\nas_of = ""\nlocale = ""')
    parameters.metadata["tags"] = ["parameters"]
    rest = [new_markdown_cell(c) if c.startswith("# ") else new_code_cell(c) for c in cells]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = workspace.notebooks / "retrospective.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=[parameters, *rest], metadata={"kernelspec": kernel}), path)
    return path
