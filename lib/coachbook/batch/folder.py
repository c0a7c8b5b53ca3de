"""The folder of a run: one run at a time, one row per page as it finishes, nothing of others touched."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TextIO
from urllib.parse import quote

from coachbook.access import Scope
from coachbook.errors import Refused
from coachbook.text import N_

MANIFEST = "manifest.jsonl"
INDEX = "index.html"
RUN = "run.json"
_UNSAFE = frozenset('/\\:*?"<>|%')
_LONGEST_BYTES = 200

Status = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class Row:
    """One row of the manifest. `error` holds `cell` (its id, None outside of any), `ename`, `evalue`.

    `files` are relative to the folder; `hash` is of the executed notebook's content.
    """

    rep: str
    name: str
    status: Status
    kernel: Literal["launched", "forked"] | None = None
    seconds: float = 0.0
    cells_seconds: float = 0.0
    error: dict[str, str | None] | None = None
    files: tuple[str, ...] = ()
    hash: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        return {**asdict(self), "files": list(self.files)}


def file_name(scope: Scope) -> str:
    """The folder of one page: its id where that is a safe file name, percent-encoded where not."""
    name = scope.id if scope.kind == "rep" else f"team-{scope.id}"
    if not _safe(name):
        name = quote(name, safe="", errors="replace").replace(".", "%2E")
    if len(name.encode()) > _LONGEST_BYTES:
        name = f"{name[:60]}%{sha256(name.encode()).hexdigest()}"
    return name


def _safe(name: str) -> bool:
    plain = name.isprintable() and not _UNSAFE & set(name)
    return plain and name == name.strip(" .") and name not in {MANIFEST, INDEX, RUN}


def content_hash(notebook: dict[str, Any]) -> str:
    """Of an executed notebook without papermill's times and paths."""
    cells = [{**cell, "metadata": _lasting(cell.get("metadata", {}))} for cell in notebook["cells"]]
    content = {**notebook, "metadata": _lasting(notebook["metadata"]), "cells": cells}
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _lasting(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key != "papermill"}


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    aside = path.with_name(f".{path.name}.part")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


class Folder:
    """An opened run folder, held against a second batch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Row) -> None:
        """Add one row to the manifest; it is on disk when this returns. What a crash left of another ends before it."""
        line = json.dumps(row.to_dict(), ensure_ascii=False).encode() + b"\n"
        with (self.path / MANIFEST).open("a+b") as manifest:
            fcntl.flock(manifest, fcntl.LOCK_EX)  # other parts of the run write here, too
            end = manifest.seek(0, os.SEEK_END)
            manifest.seek(max(0, end - 1))
            manifest.write(line if manifest.read(1) in (b"", b"\n") else b"\n" + line)

    @contextmanager
    def settled(self) -> Iterator[None]:
        """While it lasts nobody adds a row: of parts that end together, the last to make something of all rows has all."""
        if not (self.path / MANIFEST).exists():
            yield
            return
        with (self.path / MANIFEST).open("r+b") as manifest:  # to write: on NFS nobody else may hold it alone
            fcntl.flock(manifest, fcntl.LOCK_EX)
            yield

    def rows(self) -> dict[str, Row]:
        """The last row of each page; a line torn by a crash is passed over."""
        return {row.rep: row for row in _rows(self.path / MANIFEST)}

    def finished(self, row: Row | None, files: Iterable[str]) -> bool:
        """Whether a page is done: an ok row, its files there, the notebook as it was written."""
        if row is None or row.status != "ok" or not set(files) <= set(row.files):
            return False
        if not all((self.path / name).is_file() for name in row.files):
            return False
        notebook = self.notebook(row)
        return notebook is not None and content_hash(notebook) == row.hash

    def notebook(self, row: Row) -> dict[str, Any] | None:
        """A row's executed notebook as plain data."""
        for name in row.files:
            if name.endswith(".ipynb"):
                try:
                    plain = json.loads((self.path / name).read_text(encoding="utf-8"))
                except (OSError, ValueError):
                    return None
                return plain if {"cells", "metadata"} <= set(plain) else None
        return None


def _rows(manifest: Path) -> Iterator[Row]:
    if not manifest.exists():
        return
    for line in manifest.read_bytes().splitlines():
        try:
            plain = json.loads(line)
            yield Row(**{**plain, "files": tuple(plain["files"])})
        except (ValueError, TypeError, KeyError):
            continue


@contextmanager
def held(path: Path, run_id: str, part: str = "") -> Iterator[Folder]:
    """Make or re-open a run folder and hold it against a second batch; parts of one run may hold it together.

    Raises
    ------
    Refused
        A batch is running there, something else is in it, or it cannot be written. Nothing was changed.
    """
    made: list[Path] = []
    try:
        _make(path, made)
        _expect_run(path)
        run = (path / RUN).open("a+", encoding="utf-8")
    except (OSError, ValueError) as error:
        _unmake(made)
        raise _not_writable(path, error) from None
    with run, _part(path, part):
        _hold(run, path, fcntl.LOCK_SH if part else fcntl.LOCK_EX)
        _same_run(run, path, run_id)
        if not part:
            _mend(path)
        try:
            yield Folder(path)
        finally:
            if {found.name for found in path.iterdir()} == {RUN}:
                (path / RUN).unlink()
                _unmake(made)


@contextmanager
def _part(path: Path, part: str) -> Iterator[None]:
    """Hold one part of a run against a second batch of the same part."""
    if not part:
        yield
        return
    file = path / f".{part}.lock"
    with file.open("a", encoding="utf-8") as lock:
        _hold(lock, path, fcntl.LOCK_EX)
        yield
    file.unlink(missing_ok=True)


def free(path: Path, run_id: str) -> Path:
    """The folder itself, or one beside it where it holds something else than this run."""
    run = path / RUN
    taken = not _is_of(run.read_text(encoding="utf-8"), run_id) if run.is_file() else _occupied(path)
    return path.with_name(f"{path.name}-{run_id[:8]}") if taken else path


def _stamp(run_id: str) -> str:
    return json.dumps({"run": run_id}) + "\n"


def _is_of(found: str, run_id: str) -> bool:
    """Whether all stamps are of that run; two parts that begin at the same moment each set one."""
    return set(found.splitlines(keepends=True)) == {_stamp(run_id)}


def _occupied(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())


def _make(path: Path, made: list[Path]) -> None:
    """Make a folder and those above it, noting each in `made`."""
    if not path.is_dir():
        if path.parent != path:
            _make(path.parent, made)
        path.mkdir(exist_ok=True)
        made.append(path)


def _unmake(made: list[Path]) -> None:
    for folder in reversed(made):
        folder.rmdir()


def _expect_run(path: Path) -> None:
    if _occupied(path) and not (path / RUN).is_file():
        raise Refused(
            N_("{folder} holds other things, which stay as they are. Name a new or an empty folder, for instance {example}."),
            folder=path, example=f"{path.name}-new",
        )  # fmt: skip


def _hold(lock: TextIO, path: Path, how: int) -> None:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused(
            N_("Another batch is writing to {folder}. Wait until it is done, or name another folder, for instance {example}."),
            folder=path, example=f"{path.name}-new",
        ) from None  # fmt: skip


def _same_run(run: TextIO, path: Path, run_id: str) -> None:
    run.seek(0)
    if not run.read():
        run.write(_stamp(run_id))
        run.flush()
    run.seek(0)
    if not _is_of(run.read(), run_id):
        raise Refused(
            N_("{folder} holds a run of other data, settings or parameters, which stays as it is. Name another folder, for instance {example}."),
            folder=path, example=f"{path.name}-new",
        )  # fmt: skip


def _not_writable(path: Path, error: Exception) -> Refused:
    problem = error.strerror if isinstance(error, OSError) and error.strerror else error
    return Refused(
        N_("The folder {folder} cannot be written: {problem}. Name one that can, for instance {example}."),
        folder=path, problem=problem, example="runs",
    )  # fmt: skip


def _mend(path: Path) -> None:
    """Clear away what a crash left half written."""
    for aside in path.rglob(".*.part"):
        aside.unlink()
