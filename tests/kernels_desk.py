"""Kernels to try out: specs of the test's own, a kernel with its client, and processes that own kernels."""

from __future__ import annotations

import ast
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from coachbook import kernels

LAUNCHER = ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}")
STARTUP = """
import os as _os, time as _time
_gate = _os.environ.get("GATE")
if _gate:
    with open(_os.path.join(_gate, str(_os.getpid())), "w"):
        pass
    for _ in range(1000):
        if _os.path.exists(_os.path.join(_gate, "open")):
            break
        _time.sleep(0.02)
"""
"""A kernel whose environment names a gate says there that it is coming up, and waits until the gate is open."""
NOTING = """
import os, sys
from pathlib import Path
print("an import that prints")
before = {}
def _note():
    before["modules"] = set(sys.modules)
    before["threads"] = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    before["files"] = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
os.register_at_fork(before=_note)
"""
"""What its process was like just before it was forked, in `noting.before`."""


class Desk:
    """A folder with kernel specs and modules that every process finds that is started meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("modules", "kernels", "gates"):
            (folder / name).mkdir()
        startup = folder / "ipython" / "profile_default" / "startup"
        startup.mkdir(parents=True)
        (startup / "00-gate.py").write_text(STARTUP)

    def module(self, name: str, text: str) -> Path:
        """A module to be imported by its name."""
        path = self.folder / "modules" / f"{name}.py"
        path.write_text(text)
        return path

    def spec(self, name: str, *imports: str, argv: Sequence[str] = LAUNCHER) -> str:
        """A kernel that is forked once these are imported."""
        provisioner = {"provisioner_name": "warm-fork", "config": {"imports": imports}}
        spec = {"argv": argv, "display_name": name, "language": "python", "metadata": {"kernel_provisioner": provisioner}}  # fmt: skip
        path = self.folder / "kernels" / name / "kernel.json"
        path.parent.mkdir()
        path.write_text(json.dumps(spec))
        return name

    def gate(self) -> Path:
        """For the variable `GATE` of kernels that shall wait while they come up."""
        return Path(tempfile.mkdtemp(dir=self.folder / "gates"))


@contextmanager
def opened() -> Iterator[Desk]:
    """A desk in a short folder, in force for this process and those it starts."""
    desk = Desk(Path(tempfile.mkdtemp(prefix="desk", dir="/tmp")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(desk.folder))
        patch.setenv("PYTHONPATH", str(desk.folder / "modules"))
        patch.setenv("IPYTHONDIR", str(desk.folder / "ipython"))
        try:
            yield desk
        finally:
            shutil.rmtree(desk.folder, ignore_errors=True)


@dataclass
class Kernel:
    """A kernel that runs, and a client of it."""

    manager: KernelManager
    client: BlockingKernelClient

    @property
    def process(self) -> psutil.Process:
        """The kernel's."""
        return psutil.Process(self.manager.provisioner.pid)  # type: ignore[union-attr]

    @property
    def parent(self) -> int:
        """The process id of the kernel's parent."""
        found = self.process.ppid()
        assert "coachbook.kernels.parent" in psutil.Process(found).cmdline()
        return int(found)

    def run(self, code: str) -> str:
        """What that prints."""
        printed = []

        def hear(message: dict[str, Any]) -> None:
            if message["header"]["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = self.client.execute_interactive(code, timeout=30, output_hook=hear)["content"]
        assert reply["status"] == "ok", reply
        return "".join(printed)

    def ask(self, expression: str, first: str = "") -> Any:
        """The value of an expression, after some code."""
        reply = self.client.execute_interactive(
            first, timeout=30, user_expressions={"it": f"repr(({expression}))"}, output_hook=lambda _: None
        )["content"]
        assert reply["status"] == "ok", reply
        it = reply["user_expressions"]["it"]
        assert it["status"] == "ok", it
        return ast.literal_eval(ast.literal_eval(it["data"]["text/plain"]))

    def begin(self, code: str, begun: Path) -> None:
        """Start a cell that does not end; returns once it has said in a file that it runs."""
        begun.unlink(missing_ok=True)
        self.client.execute(f"open({str(begun)!r}, 'w').close()\n{code}", stop_on_error=False)
        wait_for(begun.exists)

    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.manager.provisioner.process.poll()  # type: ignore[union-attr,no-any-return]

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        wait_for(lambda: self.code() is not None)
        return self.code() or 0


@contextmanager
def kernel(name: str, how: str = "forked", log: logging.Logger | None = None, **options: Any) -> Iterator[Kernel]:  # fmt: skip
    """A kernel that has come up, and how; killed at the end."""
    manager = KernelManager(kernel_name=name, **({"log": log} if log else {}))
    manager.start_kernel(**options)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=30)
        assert kernels.how(manager) == how
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


OWNER = """
import asyncio, json, os, sys, time
from jupyter_client.manager import AsyncKernelManager
from coachbook import kernels

def started(name="small", count=1, **options):
    async def start():
        managers = [AsyncKernelManager(kernel_name=name) for _ in range(count)]
        await asyncio.gather(*(manager.start_kernel(**options) for manager in managers))
        assert {kernels.how(manager) for manager in managers} == {"forked"}
        return managers
    return asyncio.run(start())

def say(**what):
    print(json.dumps(what), flush=True)
"""


@contextmanager
def owner(script: str, *args: str, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:  # fmt: skip
    """A process of its own that starts kernels with `started` and tells of them with `say`; killed at the end."""
    command = [sys.executable, "-c", OWNER + script, *args]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next thing an owner says."""
    assert process.stdout is not None
    said: dict[str, Any] = json.loads(process.stdout.readline())
    return said


def wait_for(holds: Callable[[], object]) -> None:
    """Until it holds."""
    from tests.processes import until

    assert until(holds), "it never came to hold"


def is_gone(pid: int) -> bool:
    """Whether that process has ended."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def wait_gone(*pids: int) -> None:
    """Until all of them have ended."""
    wait_for(lambda: all(map(is_gone, pids)))


def strike(pid: int, number: int) -> None:
    """Send a signal that ends a process; returns when it is gone."""
    os.kill(pid, number)
    wait_gone(pid)


def waiting(gate: Path) -> int:
    """The process id of the first that waits at a gate, once it does."""
    wait_for(lambda: list(gate.iterdir()))
    return int(next(gate.iterdir()).name)
