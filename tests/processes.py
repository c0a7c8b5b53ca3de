"""What a command starts, found by a mark in the environment, whoever its parent is and whatever it is called."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import psutil


class Marked:
    """An environment with a mark and a short temporary folder of its own.

    The mark stands in PATH, which every process needs: a forked kernel shows its parent's environment, and that
    was scrubbed of all else.
    """

    def __init__(self, temporary: Path) -> None:
        self.temporary = temporary
        self._mark = f"/nonexistent/{uuid4().hex}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{os.environ['PATH']}{os.pathsep}{self._mark}",
            "TMPDIR": str(self.temporary),
        }

    def processes(self) -> list[psutil.Process]:
        """Those that live."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError, psutil.Error):
                if self._mark.encode() in path.read_bytes():
                    process = psutil.Process(int(path.parent.name))
                    if process.status() != psutil.STATUS_ZOMBIE:
                        found.append(process)
        return found

    def kernels(self) -> list[psutil.Process]:
        """Kernels that were forked: in a session of their own, children of a warm parent."""
        return [p for p in self.processes() if os.getsid(p.pid) == p.pid and not _is_parent(p)]

    def parents(self) -> list[psutil.Process]:
        """Warm parents."""
        return [p for p in self.processes() if _is_parent(p)]

    def gone(self, seconds: float = 10) -> bool:
        """Whether nothing of it lives any more, and nothing of it lies in the temporary folder."""
        return until(lambda: not self.left, seconds)

    @property
    def left(self) -> list[str]:
        """What there still is, for a message."""
        found = [
            str(Path(folder, name))
            for folder, folders, files in os.walk(self.temporary)
            # Files at the top are probes: tempfile tries whether it can write.
            for name in (folders if folder == str(self.temporary) else [*folders, *files])
        ]
        return [*map(str, self.processes()), *found]


@contextmanager
def marked() -> Iterator[Marked]:
    """A mark to start commands with; whatever is left of them at the end is killed."""
    mark = Marked(Path(tempfile.mkdtemp(prefix="t", dir="/tmp")))
    try:
        yield mark
    finally:
        for left in mark.processes():
            with suppress(psutil.Error):
                left.kill()
        shutil.rmtree(mark.temporary, ignore_errors=True)


def until(holds: Callable[[], object], seconds: float = 20) -> bool:
    """Whether it holds before the time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return False


def _is_parent(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return (
            "coachbook.kernels.parent" in process.cmdline()
            and os.getsid(process.pid) == process.pid
            and _leads(process)
        )
    return False


def _leads(process: psutil.Process) -> bool:
    """A forked kernel shows its parent's command line, too; it is told from it by its own parent."""
    return not _shows_parent(process.parent())


def _shows_parent(process: psutil.Process | None) -> bool:
    with suppress(psutil.Error):
        return process is not None and "coachbook.kernels.parent" in process.cmdline()
    return False
