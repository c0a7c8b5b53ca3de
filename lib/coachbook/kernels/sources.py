"""Whether the files that modules came from are as they were when they were imported."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sources:
    """Files with the time of their last change and their size."""

    files: dict[str, tuple[int, int] | None]

    @classmethod
    def of_modules(cls) -> Sources:
        """Of all modules that are imported now."""
        found = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        return cls({file: _stamp(file) for file in found if isinstance(file, str)})

    def unchanged(self) -> bool:
        """Whether none of them was changed, moved or removed since."""
        return all(_stamp(file) == stamp for file, stamp in self.files.items())


def _stamp(file: str) -> tuple[int, int] | None:
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
