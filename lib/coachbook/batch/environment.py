"""What a kernel of a batch gets of the environment: what it needs to run at all, and nothing that it could tell."""

from __future__ import annotations

import os
import site

_KEPT = (
    "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE",
)  # fmt: skip


def environment() -> dict[str, str]:
    """Of this process, without what is secret or personal; home and grant come beside it."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PYTHONUSERBASE": site.getuserbase(), "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1"}
