"""The files that one mapping reads: of a folder, of an archive, or those that were named."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from coachbook.sources.readers import KINDS


@dataclass(frozen=True)
class Folder:
    """A folder, or of its files only the `chosen`."""

    path: Path
    chosen: tuple[Path, ...] = ()

    @cached_property
    def files(self) -> list[Path]:
        """What an import could read, in order of name."""
        if self.chosen:
            return sorted(set(self.chosen))
        found = (path for path in self.path.rglob("*") if not path.name.startswith("."))
        return sorted(path for path in found if path.suffix.casefold() in KINDS and path.is_file())

    def name(self, path: Path) -> str:
        """The path of a file inside the folder."""
        return path.relative_to(self.path).as_posix() if path.is_relative_to(self.path) else path.name

    def find(self, pattern: str, *, chosen: bool = True) -> list[Path]:
        """The files of a name or pattern, whatever the case; of all in the folder unless only the chosen count.

        A plain name that is not there comes back as it is, so that it can be complained of.
        """
        exact, only = self.path / pattern, set(self.chosen) if chosen else set()
        if os.path.isfile(exact) and (not only or exact in only):  # noqa: PTH113 - pathlib's raises
            return [exact]
        folded = pattern.casefold()
        among = sorted(only) or (Folder(self.path).files if self.chosen else self.files)
        found = [path for path in among if fnmatchcase(self.name(path).casefold(), folded)]
        return found or ([] if only or set(pattern) & set("*?[") else [exact])
