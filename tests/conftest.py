"""What tests share: workspaces with data in them, the installed command line, and no silent skips."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from coachbook.catalogue import shipped
from coachbook.settings import Settings, Workspace

DATA = Path(__file__).parent / "data"
COMMAND = Path(sys.executable).with_name("coachbook")
OUTCOME = Generator[None, Any, Any]


def _no_skip(report: Any) -> Any:
    """Under CI a skip is a failure: a part that is missing must not pass for one that works."""
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> OUTCOME:
    return _no_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> OUTCOME:
    return _no_skip((yield))


@pytest.fixture(scope="session", autouse=True)
def _plain_environment() -> Iterator[None]:
    """Tests neither see nor set the developer's own language and grants."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("COACHBOOK_") or n in ("LANGUAGE", "LC_ALL")]:
            patch.delenv(name)
        patch.setenv("LANG", "C.UTF-8")
        yield


def imported(folder: Path, source: Path, settings: Settings | None = None) -> Workspace:
    """A new workspace with one source imported."""
    from coachbook import sources

    workspace = Workspace.init(folder, settings=settings)
    sources.import_paths(workspace, [source])
    return workspace


@pytest.fixture(scope="session")
def regional(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The regional sample, imported once. Only for reading: facts and slices may be added, no more."""
    folder = tmp_path_factory.mktemp("regional") / "workspace"
    return imported(folder, shipped("sample_data") / "regional_sales")


@pytest.fixture(scope="session")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The small hand-written company of `tests/data/firm`. Only for reading."""
    return imported(tmp_path_factory.mktemp("firm") / "workspace", DATA / "firm")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with the made-up company imported whole."""
    from coachbook import sources

    workspace = Workspace.init(tmp_path_factory.mktemp("demo") / "workspace")
    accounting = sources.import_paths(workspace, [shipped("sample_data") / "demo"])
    assert accounting.quarantined == 0
    assert all(a.rows == a.loaded + sum(a.dropped.values()) for a in accounting.files)
    return workspace


@pytest.fixture
def own(tmp_path: Path) -> Callable[[Workspace], Workspace]:
    """`own(regional)` is a copy of a workspace that the test may change."""
    return lambda workspace: Workspace(
        Path(shutil.copytree(workspace.folder, tmp_path / "workspace", copy_function=_copied))
    )


def _copied(source: str, target: str) -> str:
    """Snapshots never change: a link is copy enough."""
    if source.endswith(".duckdb"):
        os.link(source, target)
        return target
    return shutil.copy2(source, target)


RunCli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run_cli(tmp_path_factory: pytest.TempPathFactory) -> RunCli:
    """`run_cli("run", "retrospective", cwd=…, env={…})` runs the installed command as a user does."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def run(
        *args: str | Path, cwd: Path = elsewhere, env: dict[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(COMMAND), *map(str, args)],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            text=True,
            encoding="utf-8",
            capture_output=True,
            timeout=timeout,
        )

    return run


@pytest.fixture(scope="session")
def october(regional: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The pages of two reps of each team for 2021-10, made once: a `batch.Outcome`. Only for reading."""
    from coachbook import batch

    folder = tmp_path_factory.mktemp("october") / "run"
    order = batch.Order("retrospective", reps="1,2,8,9,14,15", period="2021-10", out=folder)
    return batch.run(regional, order)


@pytest.fixture(scope="session")
def october_firm(firm: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Pages of a rep with a hostile deal and of one with a hostile name, in Chinese: a `batch.Outcome`. Only for reading."""
    from coachbook import batch

    order = batch.Order(
        "retrospective", reps="N1,S1", period="2021-10", locale="zh_CN", reader="manager",
        out=tmp_path_factory.mktemp("october-firm") / "run",
    )  # fmt: skip
    return batch.run(firm, order)
