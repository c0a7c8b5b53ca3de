"""Whether the files that modules came from are as they were when they were imported."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

Stamp = tuple[int, int] | None
_CHANGED_MEANWHILE = (-1, -1)


@dataclass(frozen=True)
class Sources:
    """Files with the time of their last change and their size."""

    files: dict[str, Stamp]

    @classmethod
    def of_modules(cls, since: int) -> Sources:
        """Of all modules that are imported now; those written `since` (in nanoseconds) may have been read before."""
        found = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        stamps = {file: _stamp(file) for file in found if isinstance(file, str)}
        now = time.time_ns()
        return cls(
            {file: _CHANGED_MEANWHILE if at and since <= at[0] <= now else at for file, at in stamps.items()}
        )

    def unchanged(self) -> bool:
        """Whether none of them was changed, moved or removed since."""
        return all(_stamp(file) == stamp for file, stamp in self.files.items())


def _stamp(file: str) -> Stamp:
    try:
        found = os.stat(file)  # noqa: PTH116 - of some thousand files, in half the time
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
