"""Private memory of a forked kernel after the notebook ran, as `smaps_rollup` tells it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median

import nbformat
from nbformat.v4 import new_code_cell

from coachbook import catalogue
from tests.bench.batches import batched
from tests.bench.yard import Row, workspace

TARGET_MB = 60.0
_LOOK = 'print(open("/proc/self/smaps_rollup").read())'
_PRIVATE = re.compile(r"Private_(?:Clean|Dirty):\s+(\d+) kB")


def measure(folder: Path) -> Row:
    """The retrospective of every rep, with a cell behind it that looks."""
    made = workspace(folder / "workspace")
    path = catalogue.eject("retrospective", made.notebooks)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(new_code_cell(_LOOK, id="look"))
    nbformat.write(notebook, path)
    batched(made, folder / "run", period="2021-10", formats=["ipynb"])
    return Row(
        "kernel_uss", median(map(_private_mb, (folder / "run").rglob("*.ipynb"))), "MB", target=TARGET_MB
    )


def _private_mb(path: Path) -> float:
    said = json.loads(path.read_text("utf-8"))["cells"][-1]["outputs"][0]["text"]
    return sum(int(kb) for kb in _PRIVATE.findall("".join(said))) / 1000
