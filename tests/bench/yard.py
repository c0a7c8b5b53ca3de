"""Where benchmarks run: a workspace with the sample in it, pages never asked for before, and commands as printed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import perf_counter

from coachbook import facts, sources
from coachbook.settings import Workspace

BIN = Path(sys.executable).parent
AS_OF = "2021-11-10"
PERIODS = ("2021-10", "2021-09", "2021-08")


@dataclass(frozen=True)
class Row:
    """One row of build/bench.json."""

    name: str
    value: float
    unit: str
    against: float | None = None
    target: float | None = None

    def to_dict(self) -> dict[str, object]:
        ratio = round(self.against / self.value, 2) if self.against else None
        return {
            "name": self.name, "value": round(self.value, 3), "unit": self.unit,
            "against": round(self.against, 3) if self.against else None, "ratio": ratio, "target": self.target,
        }  # fmt: skip


def workspace(folder: Path) -> Workspace:
    """The sample, imported, with the facts of `PERIODS` made."""
    made = Workspace.init(folder)
    sources.import_paths(made, [], preset="regional_sales")
    for period in PERIODS:
        facts.prepare(made, period, workbooks=["retrospective"])
    return made


def pairs(made: Workspace) -> Iterator[tuple[str, str]]:
    """(rep, period), each once; all reps of a period before the next."""
    reps = [member.rep_id for member in facts.roster(made, PERIODS[0])]
    yield from ((rep, period) for period, rep in product(PERIODS, reps))


def say(text: str) -> None:
    """A line for whoever watches."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def seconds(command: str, folder: Path) -> float:
    """How long a shell command takes in a folder; the command is printed, a failure raised."""
    say(f"  $ {command}")
    begun = perf_counter()
    subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment(), check=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, timeout=900,
    )  # fmt: skip
    return perf_counter() - begun


def environment() -> dict[str, str]:
    """A user's, with this coachbook and its tools first."""
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def quoted(*words: str | Path) -> str:
    """Words as a shell takes them."""
    return shlex.join(map(str, words))
