"""Seconds from `git clone` to the first finished page of `make demo`, with packages in uv's cache."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from time import perf_counter, sleep

from tests.bench.yard import Row, quoted, say

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 900
_MANIFEST = "build/demo/runs/*/manifest.jsonl"


def measure(folder: Path) -> Row:
    """The clone holds what is committed."""
    clone = folder / "clone"
    command = f"git clone --quiet {quoted(ROOT, clone)} && make --silent -C {quoted(clone)} demo SERVE=0"
    say(f"  $ {command}")
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    begun = perf_counter()
    process = subprocess.Popen(
        ["bash", "-c", command],
        env=kept,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _until_a_page(process, clone, begun)
        return Row("clone_to_first_page", perf_counter() - begun, "s")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


def _until_a_page(process: subprocess.Popen[bytes], clone: Path, begun: float) -> None:
    while not any('"ok"' in manifest.read_text(encoding="utf-8") for manifest in clone.glob(_MANIFEST)):
        if process.poll() is not None:
            raise RuntimeError(process.communicate()[1].decode())
        if perf_counter() - begun > PATIENCE_SECONDS:
            raise TimeoutError("no page in time")
        sleep(0.05)
