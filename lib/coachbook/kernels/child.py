"""From a fork to an IPython kernel: what an exec would have done, done by hand."""

from __future__ import annotations

import atexit
import ctypes
import json
import locale
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LAUNCHER = "ipykernel_launcher"
"""The module that a stock kernel is started by; only kernels that name it are forked."""
NEEDED = ("ipykernel.kernelapp",)
STREAMS = 3
_PR_SET_NAME, _PR_SET_PDEATHSIG = 15, 1
_NAME_BYTES = 15


@dataclass
class Request:
    """A kernel that is asked for, and what it gets from the parent."""

    argv: list[str]
    """After `python -m ipykernel_launcher`."""
    cwd: str
    env: dict[str, str]
    streams: list[int]
    """Descriptors of its standard input, output and error."""
    added: dict[str, str] = field(default_factory=dict)
    """What imports have put into the environment; a stock kernel would have it, too."""
    ready: int = -1
    """Where the kernel says that it has come up."""


def become(request: Request) -> None:
    """Turn this process into the kernel; returns when the kernel ends."""
    _detach(_name(request.argv))
    _signals()
    for number, stream in enumerate(request.streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request.cwd)
    os.environ.clear()
    os.environ.update({**request.added, **request.env})
    time.tzset()
    with suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "")
    _reseed()
    _application(request.argv, request.ready).start()  # as deep in the stack as in a stock kernel


def _name(argv: list[str]) -> bytes:
    """As `top` shows it: the connection file's, which begins with `kernel-` and the kernel's id where a server made it."""
    file = argv[argv.index("-f") + 1] if "-f" in argv[:-1] else "kernel"
    return os.fsencode(Path(file).stem)[:_NAME_BYTES]


def _detach(name: bytes) -> None:
    """A session of its own, and an end with the parent, even if the parent is killed."""
    libc = ctypes.CDLL(None)
    parent = os.getppid()
    os.setsid()
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent or parent == 1:
        os._exit(1)
    libc.prctl(_PR_SET_NAME, name)


def _signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _reseed() -> None:
    """No two kernels draw the same numbers: numpy's global generator is the parent's else; the library's sees to itself."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _application(argv: list[str], ready: int) -> Any:
    from ipykernel.kernelapp import IPKernelApp

    launcher = Path(sys.modules["ipykernel"].__path__[0]).with_name(f"{LAUNCHER}.py")
    sys.argv = [str(launcher), *argv]
    atexit.register(_hush)
    app = IPKernelApp.instance(parent_handle=os.getppid())
    app.initialize(argv)
    os.write(ready, b"1")
    os.close(ready)
    return app


def _hush() -> None:
    """Registered first, so called last: what follows is the end of modules, and extension modules report as leaked what
    lives on because the parent froze it. To free it all would copy the parent's memory, half a second's work."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)


def learned(scratch: Path) -> list[str]:
    """What a kernel imports while it comes up, found out by a throwaway child that does.

    Most of a kernel's start is such imports; done once in the parent, they are done for all.
    """
    source, sink = os.pipe()
    pid = os.fork()
    if not pid:
        with suppress(BaseException):
            os.close(source)
            _try_out(scratch, sink)
        os._exit(0)
    os.close(sink)
    with os.fdopen(source, encoding="utf-8") as told:
        names = told.read()
    os.waitpid(pid, 0)
    known = set(sys.modules)
    return [name for name in json.loads(names or "[]") if name not in known and name != "__main__"]


def _try_out(scratch: Path, sink: int) -> None:
    os.environ["IPYTHONDIR"] = str(scratch)
    silence = os.open(os.devnull, os.O_RDWR)
    for number in range(STREAMS):
        os.dup2(silence, number)
    from ipykernel.kernelapp import IPKernelApp

    connection = scratch / f"throwaway-{os.getpid()}"
    app = IPKernelApp.instance(
        parent_handle=os.getppid(), transport="ipc", ip=str(connection), connection_file=f"{connection}.json"
    )
    app.initialize(["--HistoryManager.hist_file=:memory:"])
    shell: Any = app.shell
    shell.run_cell("from IPython.display import display; display(1)\n1", store_history=True)
    with open(sink, "w", encoding="utf-8") as out:
        json.dump(list(sys.modules), out)
    for left in scratch.glob(f"{connection.name}*"):
        left.unlink()
