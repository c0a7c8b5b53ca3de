"""How many records files hold, counted with Python's csv module alone, and whether an account of them adds up."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def records(raw: bytes) -> int | None:
    """Records after the header; None: the text is refused, whatever is made of it."""
    for encoding in _encodings(raw):
        try:
            text = raw.decode(encoding)
            rows = [
                row
                for row in csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
                if row
            ]
        except (UnicodeDecodeError, csv.Error):
            continue
        return len(rows) - 1 if rows else None
    return None


def _encodings(raw: bytes) -> list[str]:
    return ["utf-16"] if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "gb18030"]


def _delimiter(text: str) -> str:
    lines = (line for line in text.splitlines(keepends=True) if line.strip("\r\n"))
    bare = (
        "".join(next(io.StringIO(next(lines, ""), newline="")).split('"')[::2]) if text.strip("\r\n") else ""
    )
    return max(",;\t|", key=bare.count)


def recounted(
    accounts: Iterable[dict[str, Any]],
    files: dict[str, bytes],
    quarantine: Path | None,
    *,
    written: bool = True,
) -> list[str]:
    """What does not add up: each file's rows, the identity of each account, and the quarantine, if it was written."""
    wrong = []
    total = 0
    for account in accounts:
        total += account["quarantined"]
        parts = account["loaded"] + account["quarantined"] + sum(account["dropped"].values())
        if account["rows"] != parts:
            wrong.append(f"{account}: {parts}")
        raw = files.get(account["file"])
        if raw is not None and account["rows"] != records(raw):
            wrong.append(f"{account}: {records(raw)} records")
        if (
            not 0 <= account["unchanged"] <= account["loaded"]
            or not 0 <= account["repeated"] <= account["loaded"]
        ):
            wrong.append(f"{account}")
    if written and total != _lines(quarantine):
        wrong.append(f"{total} quarantined, {_lines(quarantine)} in {quarantine}")
    return wrong


def _lines(quarantine: Path | None) -> int:
    if quarantine is None:
        return 0
    with quarantine.open(encoding="utf-8", newline="") as file:
        return sum(1 for _row in csv.reader(file)) - 1
