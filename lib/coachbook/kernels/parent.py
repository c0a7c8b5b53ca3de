"""The warm parent: imports once, then forks a kernel for each request. Run as a process of its own.

`python -m coachbook.kernels.parent LISTENER PATH MODULE…`: the descriptor of a Unix socket that listens already,
where that lies, and what to import. Its environment is scrubbed by whoever starts it, since `/proc/self/environ` of
every kernel is this process's. It stays at one thread and opens neither database nor ZeroMQ context, so that a fork
of it is a clean process. Standard input is its lifeline: a byte says that no kernel will be asked for any more, and at its end the
owner is gone, and so are, at once, this process and all its kernels.
"""

from __future__ import annotations

import gc
import os
import select
import selectors
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import monotonic, sleep, time_ns

from coachbook.kernels import child, wire
from coachbook.kernels.sources import Sources

READ_SECONDS = 0.5
"""A client that has begun to say what it wants says the rest within this time: others wait for it."""
STARTING = 2 * (os.cpu_count() or 1)
"""Kernels that may come up at the same time; those asked for beyond wait in the socket's backlog."""
_CLEAR_SECONDS = 2.0


@dataclass
class _Kernel:
    """A forked kernel: its process, and the connection of whoever asked for it."""

    pid: int
    handle: int
    owner: socket.socket
    ready: int | None
    """Where it says that it has come up; None once it has."""


class Parent:
    """What is forked, and what it answers."""

    def __init__(self, listener: socket.socket, sources: Sources, failed: list[str], lifeline: int) -> None:
        self.listener = listener
        self.doors: dict[socket.socket, Callable[[], object]] = {listener: self._called}
        """Where requests come from: the listener, and connections that have said nothing yet."""
        self.failed = failed
        self.sources = sources
        self.lifeline = lifeline
        self.kernels: dict[int, _Kernel] = {}
        self.retired = False
        self.selector = selectors.DefaultSelector()
        self._watch(lifeline, self._heard)
        self._bound()

    def serve(self) -> child.Request | None:
        """Answer requests until the owner is gone or no kernel is left of retired sources.

        Returns twice, like the fork in it: in a kernel what was asked for, in the parent None at the end.
        """
        while not (self.retired and not self.kernels):
            for key, _events in self.selector.select():
                if self.selector.get_map().get(key.fd) is not key:
                    continue  # closed by what was handled just before, and perhaps opened anew
                request = key.data()
                if request is not None:
                    return request  # type: ignore[no-any-return]
            if self.lifeline < 0:
                break
        return None

    def close(self) -> None:
        """End every kernel that is left."""
        for kernel in list(self.kernels.values()):
            _end(kernel.pid)
            self._ended(kernel)

    def _called(self) -> None:
        connection, _address = self.listener.accept()
        if _peer(connection) != os.getuid():
            connection.close()
            return
        connection.settimeout(READ_SECONDS)
        self.doors[connection] = lambda: self._asked(connection)
        self._bound()

    def _asked(self, connection: socket.socket) -> child.Request | None:
        del self.doors[connection]
        self.selector.unregister(connection)
        try:
            message, files = wire.receive(connection, child.STREAMS)
            request = child.Request(**message, streams=files)
        except Exception:  # noqa: BLE001 - whatever was sent
            connection.close()
            return None
        if self._fresh():
            return self._fork(connection, request)
        for stream in request.streams:
            os.close(stream)
        with suppress(OSError):
            wire.send(connection, {"stale": True})
        connection.close()
        return None

    def _fresh(self) -> bool:
        """Whether the code is as it was imported; if not, nothing is forked any more."""
        if not self.retired and not self.sources.unchanged():
            self._retire()
        return not self.retired

    def _retire(self) -> None:
        """Fork no more. Kernels that run go on."""
        if not self.retired:
            self.retired = True
            del self.doors[self.listener]
            self._drop(self.listener)

    def _fork(self, connection: socket.socket, request: child.Request) -> child.Request | None:
        ready, says_ready = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(ready)
            connection.close()
            self._let_go()
            request.ready = says_ready
            return request
        os.close(says_ready)
        for stream in request.streams:
            os.close(stream)
        kernel = _Kernel(pid, os.pidfd_open(pid), connection, ready)
        self.kernels[pid] = kernel
        self._watch(kernel.handle, lambda: self._ended(kernel))
        self._watch(ready, lambda: self._came_up(kernel))
        self._watch(connection, lambda: self._abandoned(kernel))
        self._bound()
        return None

    def _let_go(self) -> None:
        """In the child: close what belongs to the parent alone."""
        for file in {key.fileobj for key in self.selector.get_map().values()} | set(self.doors):
            _close(file)
        self.selector.close()
        self.kernels.clear()

    def _bound(self) -> None:
        """Take requests only while there is room for one more to come up."""
        full = sum(kernel.ready is not None for kernel in self.kernels.values()) >= STARTING
        for door, handle in self.doors.items():
            watched = door in self.selector.get_map()
            if full and watched:
                self.selector.unregister(door)
            elif not full and not watched:
                self._watch(door, handle)

    def _came_up(self, kernel: _Kernel) -> None:
        """Hand it over, with its sockets bound: a client that connects earlier tries again only after 0.1 s."""
        if kernel.ready is not None:
            if _is_up(kernel.ready):
                with suppress(OSError):  # gone already: the end of the connection is what comes next
                    wire.send(kernel.owner, {"pid": kernel.pid, "failed": self.failed}, [kernel.handle])
            self._drop(kernel.ready)
            kernel.ready = None
            self._bound()

    def _ended(self, kernel: _Kernel) -> None:
        """Reap a kernel; what it started and left behind goes with it, while its pid cannot be another's."""
        os.waitid(os.P_PID, kernel.pid, os.WEXITED | os.WNOWAIT)
        with suppress(OSError):
            os.killpg(kernel.pid, signal.SIGKILL)
        _pid, status = os.waitpid(kernel.pid, 0)
        self._came_up(kernel)
        with suppress(OSError):
            wire.send(kernel.owner, {"exit": os.waitstatus_to_exitcode(status)})
        del self.kernels[kernel.pid]
        self._drop(kernel.handle)
        self._drop(kernel.owner)

    def _abandoned(self, kernel: _Kernel) -> None:
        """Whoever asked for it is gone."""
        self.selector.unregister(kernel.owner)
        _end(kernel.pid)

    def _heard(self) -> None:
        """The owner wants no more of this parent; or it has gone."""
        if os.read(self.lifeline, 1):
            self._retire()
        else:
            self._drop(self.lifeline)
            self.lifeline = -1

    def _watch(self, file: int | socket.socket, handle: Callable[[], object]) -> None:
        self.selector.register(file, selectors.EVENT_READ, handle)

    def _drop(self, file: int | socket.socket) -> None:
        if file in self.selector.get_map():
            self.selector.unregister(file)
        _close(file)


def _is_up(ready: int) -> bool:
    """Whether it said so, rather than ended."""
    return bool(select.select([ready], [], [], 0)[0] and os.read(ready, 1))


def _close(file: object) -> None:
    if isinstance(file, socket.socket):
        file.close()
    elif isinstance(file, int):
        with suppress(OSError):
            os.close(file)


def _peer(connection: socket.socket) -> int:
    """The user id on the other side."""
    size = struct.calcsize("3i")
    return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1])


def _end(pid: int) -> None:
    """Kill a kernel and its group; before it has one, it alone."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)


def _import(names: list[str]) -> list[str]:
    """Those that cannot be imported; a kernel that needs one will say so itself."""
    failed = []
    for name in names:
        try:
            import_module(name)
        except Exception:  # noqa: BLE001 - whatever a module does
            failed.append(name)
    return failed


def main(listening: int, path: Path, names: list[str]) -> child.Request | None:
    """Warm up, then serve; in a kernel it returns what was asked for."""
    signal.signal(signal.SIGTERM, _leave)
    begun = time_ns()
    before = dict(os.environ)
    gc.disable()  # a fifth of the time
    failed = _import([*child.NEEDED, *names])
    _import(child.learned(path.parent))
    added = {name: value for name, value in os.environ.items() if before.get(name) != value}
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # what imports have printed is not every kernel's to print again
    gc.collect()
    gc.freeze()
    gc.enable()
    with socket.socket(fileno=listening) as listener:
        parent = Parent(listener, Sources.of_modules(begun), failed, lifeline=0)
        try:
            request = parent.serve()
        except _Left:
            request = None
    if request is not None:
        request.added = added
        return request
    parent.close()
    path.unlink(missing_ok=True)
    if parent.lifeline < 0:
        _clear(path.parent)
    return None


def _clear(folder: Path) -> None:
    """Remove what a killed owner left, in which processes of its own may be writing still while they end."""
    end = monotonic() + _CLEAR_SECONDS
    while folder.exists() and monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        sleep(0.02)


class _Left(BaseException):
    """The parent was asked to end."""


def _leave(*_signal: object) -> None:
    raise _Left


if __name__ == "__main__":
    del sys.path[0]  # the working directory, which a kernel has another of
    asked = main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
    if asked is not None:
        child.become(asked)
