"""Which encoding a text file is in: UTF-8, UTF-16 with its mark, or GB18030."""

from __future__ import annotations

import codecs
from pathlib import Path

from coachbook.errors import CoachbookError, Invalid
from coachbook.text import N_

UTF_8 = "utf-8-sig"
_CHUNK = 2**20


def encoding_of(path: Path) -> str:
    """The encoding as Python names it.

    What is not UTF-8 is GB18030 if it can be read so; a file that is UTF-8 but for some damage is refused:
    as GB18030 it would be gibberish.

    Raises
    ------
    Invalid
        It is none of them; names the first line and byte that are not UTF-8.
    """
    with path.open("rb") as binary:
        start = binary.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if _reads(path, "utf-8"):
        return UTF_8
    if not start.startswith(codecs.BOM_UTF8) and not _nearly_utf8(path) and _reads(path, "gb18030"):
        return "gb18030"
    raise _unknown(path)


def _reads(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as binary:
            while chunk := binary.read(_CHUNK):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _nearly_utf8(path: Path) -> bool:
    """Whether more of the text's foreign characters are right as UTF-8 than wrong, or only its end is cut."""
    right = wrong = 0
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with path.open("rb") as binary:
        while chunk := binary.read(_CHUNK):
            text = decoder.decode(chunk)
            damaged = text.count("\ufffd")
            foreign = len(text) - len(text.encode("ascii", "ignore"))
            right, wrong = right + foreign - damaged, wrong + damaged
    return right > wrong or wrong == 0


def _unknown(path: Path) -> CoachbookError:
    line, before = 1, 0
    with path.open("rb") as binary:
        decoder = codecs.getincrementaldecoder("utf-8")()
        while chunk := binary.read(_CHUNK):
            kept = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                at = error.start - kept
                return _not_utf8(path, line + _newlines(chunk[: max(at, 0)]), before + at + 1)
            line, before = line + _newlines(chunk), before + len(chunk)
        return _not_utf8(path, line, before - len(decoder.getstate()[0]) + 1)


def _newlines(raw: bytes) -> int:
    return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n")


def _not_utf8(path: Path, line: int, byte: int) -> CoachbookError:
    return Invalid(
        N_("{file} is not UTF-8: line {line}, byte {byte}. Save it as “CSV UTF-8”."),
        file=path, line=line, byte=byte,
    )  # fmt: skip
