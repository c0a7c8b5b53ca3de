"""The owner's side: warm parents that this process has started, or that another lends to it."""

from __future__ import annotations

import atexit
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from threading import Lock, RLock
from typing import Any

from coachbook.kernels import wire

WARM_UP_SECONDS = 60.0
"""A parent that has not answered by then, busy with imports or with others that come up, is given up."""
_BACKLOG = 4096
LONGEST_PATH_BYTES = 60
"""Of the folder of sockets: the path of a Unix socket has about 100 bytes."""
_FORMING = {
    "PATH", "LD_LIBRARY_PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "PYTHONPATH", "PYTHONHOME", "PYTHONHASHSEED",
    "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX", "PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONDEVMODE", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE",
}  # fmt: skip
_SINGLE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Unavailable(Exception):
    """No kernel can be forked, and why."""


class _Stale(Exception):
    """The parent's modules have changed since it imported them."""


@dataclass(frozen=True)
class Kind:
    """What one parent is warm for: an interpreter, what it imports, and the environment that forms both."""

    interpreter: str
    imports: tuple[str, ...]
    forming: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, interpreter: str, imports: Sequence[str], environment: Mapping[str, str]) -> Kind:
        """For kernels with that environment; what only the kernel itself reads makes no difference."""
        forming = {name: value for name, value in environment.items() if name in _FORMING}
        return cls(interpreter, tuple(imports), tuple(sorted({**forming, **_SINGLE}.items())))

    @property
    def key(self) -> str:
        """Short, and another for everything that differs."""
        return sha256(repr(self).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Address:
    """A parent that another process may use: what it is warm for, and where it listens."""

    key: str
    path: str


class Forked:
    """A kernel's process as `subprocess.Popen` would show it, though it is the parent's child."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, handle: int, connection: socket.socket, failed: tuple[str, ...]) -> None:
        self.pid = pid
        self.failed = failed
        """Modules that the parent should have imported, and could not."""
        self.returncode: int | None = None
        self._handle = handle
        self._connection = connection
        self._reaping = Lock()

    def poll(self) -> int | None:
        """The exit code once it has ended; None before."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended."""
        code = self._ended(None if timeout is None else timeout * 1000)
        if code is None:
            raise subprocess.TimeoutExpired(f"kernel {self.pid}", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel alone."""
        if self.returncode is None:
            signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def _ended(self, milliseconds: float | None) -> int | None:
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._handle, select.POLLIN)
            if poll.poll(milliseconds):
                with self._reaping:
                    self._reap()
        return self.returncode

    def _reap(self) -> None:
        if self.returncode is None:
            self.returncode = self._told()
            os.close(self._handle)
            self._connection.close()

    def _told(self) -> int:
        """What the parent says of it. A parent that was killed took its kernels along; their own children are left."""
        self._connection.settimeout(1)
        with suppress(OSError, EOFError):
            message, _files = wire.receive(self._connection)
            return int(message["exit"])
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        return -signal.SIGKILL


@dataclass
class _Warm:
    """A parent: one that this process has started, or one that is lent to it."""

    path: str
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, kind: Kind) -> _Warm:
        """Start one; who asks meanwhile waits in the socket's backlog until it is warm."""
        path = folder() / f"parent-{token_hex(4)}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            path.chmod(0o600)
            listener.listen(_BACKLOG)
            number = listener.fileno()
            command = [
                kind.interpreter,
                "-m",
                "coachbook.kernels.parent",
                str(number),
                str(path),
                *kind.imports,
            ]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, bufsize=0,
                env=dict(kind.forming), cwd="/", start_new_session=True, pass_fds=[number],
            )  # fmt: skip
        return cls(str(path), process)

    def fork(self, request: dict[str, Any], streams: Sequence[int]) -> Forked:
        """Ask for one."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(WARM_UP_SECONDS)
            connection.connect(self.path)
            wire.send(connection, request, streams)
            answer, files = wire.receive(connection, 1)
        except BaseException:
            connection.close()
            raise
        if "pid" in answer:
            return Forked(answer["pid"], files[0], connection, tuple(answer["failed"]))
        connection.close()
        if "exit" in answer:
            raise Unavailable(f"a forked kernel ended with {answer['exit']} before it came up")
        raise _Stale("its modules have changed")

    @property
    def gone(self) -> bool:
        """Whether it has ended; of a lent one nobody here can tell."""
        return self.process is not None and self.process.poll() is not None

    def retire(self) -> None:
        """Say that nothing more is asked of it: it ends with the last of its kernels."""
        if self.process is not None and self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.write(b".")

    def let_go(self) -> None:
        """In a fork of the owner, which must not keep alive what ends with the owner."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()


_parents: dict[str, _Warm] = {}
_retired: list[_Warm] = []
_guard = RLock()


def fork(kind: Kind, request: dict[str, Any], streams: Sequence[int]) -> Forked:
    """A kernel, forked from the parent of that kind; the parent is started if there is none, or no living one.

    Raises
    ------
    Unavailable
        Says why; a kernel has to be launched then.
    """
    problem: Exception | None = None
    for _attempt in range(2):
        parent = _parent(kind)
        try:
            return parent.fork(request, streams)
        except (OSError, EOFError, ValueError, _Stale) as error:
            problem = error
            _retire(kind, parent)
    raise Unavailable(f"{type(problem).__name__}: {problem}")


def lend(kind: Kind) -> Address:
    """Start the parent of a kind if there is none, without waiting for it, to be used here and by processes of this one's."""
    return Address(kind.key, _parent(kind).path)


def borrow(address: Address) -> None:
    """Use another process's parent; it ends with that process."""
    with _guard:
        _parents[address.key] = _Warm(address.path)


def folder() -> Path:
    """What this process and its kernels put down while they run: sockets above all. Gone with this process, however it ends."""
    with _guard:
        return _folder()


@cache
def _folder() -> Path:
    for place in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - a private folder in it: names of sockets must be short
        if len(os.fsencode(place)) < LONGEST_PATH_BYTES:
            made = Path(tempfile.mkdtemp(prefix="warm-", dir=place))
            atexit.register(_remove, made)
            return made
    raise Unavailable("no folder has a path short enough for sockets")


def _remove(made: Path) -> None:
    shutil.rmtree(made, ignore_errors=True)


def _parent(kind: Kind) -> _Warm:
    with _guard:
        _retired[:] = [parent for parent in _retired if not parent.gone]
        found = _parents.get(kind.key)
        if found is None or found.gone:
            found = _parents[kind.key] = _Warm.start(kind)
        return found


def _retire(kind: Kind, parent: _Warm) -> None:
    """Ask it no more; while it lives its kernels do, so it is kept."""
    with _guard:
        if _parents.get(kind.key) is parent:
            del _parents[kind.key]
            _retired.append(parent)
            parent.retire()


def _forked() -> None:
    """In a fork of the owner: its parents and its folder stay its own."""
    global _guard
    _guard = RLock()
    for parent in (*_parents.values(), *_retired):
        parent.let_go()
    _parents.clear()
    _retired.clear()
    _folder.cache_clear()
    atexit.unregister(_remove)


SUPPORTED = sys.platform == "linux" and hasattr(os, "pidfd_open")
"""Whether kernels can be forked on this system at all."""

if SUPPORTED:
    os.register_at_fork(after_in_child=_forked)
