"""Made-up companies of any size, kept between runs in build/bench."""

from __future__ import annotations

import resource
import shutil
from hashlib import sha256
from pathlib import Path

import duckdb

import coachbook
from coachbook.settings import Workspace
from coachbook.warehouse import Snapshot, Snapshots
from tests.bench.yard import quoted, say, seconds

KEPT = Path(__file__).parents[2] / "build/bench"
MONTHS = 18
AREA = 180
"""Reps to an area: about 200 people with their managers, and with those who have left."""


def company(reps: int) -> Path:
    """The files of a company of so many reps; about 200 deals and 2,000 events each."""
    folder = KEPT / f"company-{reps}-in-areas"
    if not folder.is_dir():
        aside = KEPT / "company-aside"
        shutil.rmtree(aside, ignore_errors=True)
        KEPT.mkdir(parents=True, exist_ok=True)
        command = quoted(
            "coachbook", "simulate", aside, "--reps", str(reps), "--teams", str(max(reps // 10, 1)),
            "--months", str(MONTHS), "--seed", "1", "--format", "parquet",
        )  # fmt: skip
        seconds(command, KEPT)
        _in_areas(aside / "reps.parquet", max(reps // AREA, 1))
        aside.rename(folder)
    return folder


def _in_areas(roster: Path, areas: int) -> None:
    """Put somebody who leads an area between the director and the managers, whose teams are from all over the list."""
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE roster AS FROM '{roster}'")
        area = f"'A' || row_number() OVER (ORDER BY rep_id) % {areas}"
        connection.execute(
            f"""
            COPY (
                SELECT * REPLACE (CASE role WHEN 'manager' THEN {area} ELSE manager END AS manager) FROM roster
                UNION ALL
                SELECT d.* REPLACE ('A' || n AS rep_id, 'Area ' || n AS name, 'manager' AS role, d.rep_id AS manager)
                FROM roster AS d, range({areas}) AS t(n) WHERE d.role = 'director'
            ) TO '{roster}'
            """
        )


def imported(reps: int, into: Path) -> tuple[Workspace, float]:
    """A workspace with the company in it, and how many seconds `coachbook import` took."""
    workspace = Workspace.init(into)
    took = seconds(quoted("coachbook", "import", company(reps)), workspace.folder)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    say(f"  {reps} reps: {took:.1f} s; the largest process so far took {peak:.2f} GB")
    return workspace, took


def published(reps: int) -> Workspace:
    """A workspace with the company in it, kept until the code that imports changes."""
    folder = KEPT / f"workspace-{reps}-{_code()}"
    if not folder.is_dir():
        for left in KEPT.glob("workspace-*"):
            shutil.rmtree(left)
        imported(reps, KEPT / "workspace-aside")
        (KEPT / "workspace-aside").rename(folder)
    return Workspace(folder)


def _code() -> str:
    rooms = [Path(coachbook.__file__).parent / room for room in ("model", "sources", "warehouse")]
    files = sorted(path for room in rooms for path in room.rglob("*") if path.suffix in (".py", ".sql"))
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


def snapshot(workspace: Workspace) -> Snapshot:
    """What was imported."""
    return Snapshots(workspace.store).current()
