"""The system's Chromium, as tests and pictures start it."""

from __future__ import annotations

import shutil
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome")
EXECUTABLE = next((path for name in _NAMES if (path := shutil.which(name))), "")
OPTIONS: dict[str, Any] = {
    "executable_path": EXECUTABLE,
    "args": [
        "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", "--no-first-run",
    ],
}  # fmt: skip
"""For `playwright.chromium.launch`."""
