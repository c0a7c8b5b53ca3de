"""Where decisions are kept: one file each time some are added, whole or not there at all, and never touched again."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

from coachbook.cleanup.decisions import Decision, Decisions
from coachbook.errors import Refused
from coachbook.text import N_

_FILES = "decisions-*.jsonl"


def kept(folder: Path) -> Decisions:
    """All decisions of a workspace (`Workspace.cleanup`).

    Raises
    ------
    Refused
        A file was altered so that it cannot be read; names the line.
    """
    return Decisions(tuple(d for path in sorted(folder.glob(_FILES), key=_number) for d in _read(path)))


def keep(folder: Path, decisions: Sequence[Decision]) -> Path:
    """Add decisions: all of them are on disk when it returns, or none.

    Raises
    ------
    Refused
        The folder cannot be written.
    """
    text = "".join(f"{json.dumps(d.to_dict(), ensure_ascii=False)}\n" for d in decisions)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        last = max(map(_number, folder.glob(_FILES)), default=0)
        names = (f"decisions-{number:06}.jsonl" for number in count(last + 1))
        return put(folder, names, text.encode())
    except OSError as error:
        raise Refused(
            N_("{file} cannot be written: {problem}."), file=folder, problem=error.strerror or error
        ) from None


def put(folder: Path, names: Iterable[str], content: bytes) -> Path:
    """Write a file under the first name that is free: whole or not at all, for its owner alone, over nothing.

    Raises
    ------
    FileExistsError
        None is free.
    OSError
        The folder cannot be written.
    """
    aside = folder / f".aside-{secrets.token_hex(8)}"
    try:
        aside.touch(mode=0o600, exist_ok=False)
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        for name in names:
            try:
                (folder / name).hardlink_to(aside)
            except FileExistsError:
                continue
            _sync(folder)
            return folder / name
    finally:
        aside.unlink(missing_ok=True)
    raise FileExistsError(17, os.strerror(17))


def _number(path: Path) -> int:
    digits = path.stem.removeprefix("decisions-")
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def _read(path: Path) -> list[Decision]:
    found = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise Refused(
            N_("{file} cannot be read: {problem}."), file=path, problem=error.strerror or error
        ) from None
    for number, line in enumerate(lines, 1):
        try:
            found.append(Decision.from_dict(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Refused(
                N_("{file} was altered: line {line} is no decision. Put it back from a copy; decisions are changed by adding later ones."),
                file=path, line=number,
            ) from None  # fmt: skip
    return found


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
