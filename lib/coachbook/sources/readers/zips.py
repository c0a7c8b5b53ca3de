"""Zip archives, opened with care: bounded in size, and no name that climbs out of the folder."""

from __future__ import annotations

import shutil
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile, ZipInfo

from coachbook.errors import Invalid
from coachbook.sources.readers.rows import unreadable
from coachbook.text import N_

MOST_BYTES = 4 * 2**30
"""Bytes that an archive may hold, unpacked."""
MOST_FILES = 1_000
MOST_RATIO = 250
"""How many times larger than packed a file may be, from `SMALL` on."""
SMALL = 10 * 2**20
_OURS = 0x800
"""Flag of a name in UTF-8; others come from Chinese or Western systems."""
DAMAGE = (BadZipFile, EOFError, LZMAError, NotImplementedError, RuntimeError, zlib.error)
"""What `zipfile` raises over an archive that is damaged, or made in a way that it does not know."""
_BESIDE = ("__MACOSX/", ".DS_Store")


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """A folder with what the archive holds, gone after the block; a single folder inside is entered.

    Raises
    ------
    CoachbookError
        The archive is damaged, too large, encrypted, holds an archive, or a name that leads elsewhere.
    """
    with TemporaryDirectory(prefix="coachbook-") as name:
        folder = Path(name)
        try:
            with ZipFile(path) as archive:
                for entry in checked(archive, path):
                    _write(archive, entry, folder / _name(entry))
        except (OSError, ValueError, *DAMAGE) as error:
            raise unreadable(path, error) from None
        inside = list(folder.iterdir())
        yield inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def checked(archive: ZipFile, path: Path) -> list[ZipInfo]:
    """The files of an archive, found harmless by what it says of them."""
    entries = [e for e in archive.infolist() if not e.is_dir() and not _name(e).startswith(_BESIDE)]
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_FILES or total > MOST_BYTES:
        raise Invalid(
            N_("{file} holds {count} files of {bytes} bytes together; at most {most} files and {limit} bytes are unpacked. Unpack it by hand."),
            file=path, count=len(entries), bytes=total, most=MOST_FILES, limit=MOST_BYTES,
        )  # fmt: skip
    for entry in entries:
        _harmless(entry, path)
    return entries


def _harmless(entry: ZipInfo, path: Path) -> None:
    name = _name(entry)
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or ":" in parts[0] or "\0" in name:
        problem = N_(
            "In {file}, the name {name} leads out of the folder. Pack plain files, for instance {example}."
        )
    elif stat.S_ISLNK(entry.external_attr >> 16):
        problem = N_("In {file}, {name} is a link. Pack plain files, for instance {example}.")
    elif name.casefold().endswith(".zip"):
        problem = N_("In {file}, {name} is an archive itself. Pack plain files, for instance {example}.")
    elif entry.flag_bits & 1:
        problem = N_("In {file}, {name} is encrypted. Pack plain files, for instance {example}.")
    elif entry.file_size > max(SMALL, MOST_RATIO * entry.compress_size):
        problem = N_(
            "In {file}, {name} would grow too much when unpacked. Pack plain files, for instance {example}."
        )
    else:
        return
    raise Invalid(problem, file=path, name=f"“{name}”", example="deals.csv")


def _name(entry: ZipInfo) -> str:
    """The name in the archive; without the mark of UTF-8 it may be Chinese."""
    name = entry.filename
    if not entry.flag_bits & _OURS:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("gb18030")
    return name.replace("\\", "/")


def _write(archive: ZipFile, entry: ZipInfo, target: Path) -> None:
    """`ZipFile` itself reads no more than the size that was checked."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as packed, target.open("xb") as file:
        shutil.copyfileobj(packed, file)
