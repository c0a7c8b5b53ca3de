"""The house in order: what pre-commit runs, the import rules, and every file that is derived from another."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import grimp
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import coachbook
from tests.house.environment import environment
from tests.house.font import FONT, font
from tests.house.inventory import FILE as ARCHITECTURE
from tests.house.inventory import with_inventory

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()

EVERYBODY = {"errors", "text", "model"}
MAY_IMPORT = {
    "errors": {"text"},
    "text": set(),
    "model": {"errors", "text"},
    "stats": EVERYBODY,
    "settings": EVERYBODY,
    "catalogue": EVERYBODY,
    "access": EVERYBODY,
    "warehouse": EVERYBODY | {"access"},
    "charts": EVERYBODY,
    "metrics": EVERYBODY | {"stats", "warehouse"},
    "cleanup": EVERYBODY | {"settings", "metrics", "warehouse"},
    "sources": EVERYBODY | {"settings", "catalogue", "cleanup", "warehouse"},
    "facts": EVERYBODY | {"settings", "catalogue", "access", "cleanup", "stats", "metrics", "warehouse"},
    "export": EVERYBODY | {"settings", "catalogue", "charts"},
    "workbooks": EVERYBODY
    | {
        "settings",
        "catalogue",
        "access",
        "cleanup",
        "stats",
        "metrics",
        "warehouse",
        "charts",
        "facts",
        "export",
    },
    "kernels": set(),
    "batch": EVERYBODY
    | {"settings", "catalogue", "access", "kernels", "warehouse", "facts", "charts", "export"},
    "serve": EVERYBODY | {"settings", "catalogue", "access", "kernels", "warehouse", "facts", "charts"},
    "lab": EVERYBODY | {"settings", "catalogue", "kernels"},
    "demo": EVERYBODY | {"settings", "sources", "batch", "serve"},
}
"""Room by room, what ARCHITECTURE.md says in words; the contracts of import-linter hold the tiers."""


def _run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("hook", [pytest.param(hook, id=hook["id"]) for hook in HOOKS])
def test_what_pre_commit_runs_finds_nothing(hook: dict[str, object]) -> None:
    tool, *options = str(hook["entry"]).removeprefix(".venv/bin/").split()
    notebooks = [str(path) for path in (ROOT / "notebooks").glob("*.ipynb")]
    places = [] if hook.get("pass_filenames") is False else notebooks if tool == "nbstripout" else ["."]
    found = _run(BIN / tool, *options, *places)
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_room_imports_only_what_it_may() -> None:
    graph = grimp.build_graph("coachbook", cache_dir=None)
    seen = {(_room(a), _room(b)) for a in graph.modules for b in graph.find_modules_directly_imported_by(a)}
    wrong = {(a, b) for a, b in seen if a in MAY_IMPORT and b and a != b and b not in MAY_IMPORT[a]}
    assert wrong == set()
    assert {room for room, _to in seen if room} <= {*MAY_IMPORT, "cli"}


def _room(module: str) -> str:
    """`coachbook.batch.run` is in the room `batch`; the package itself is in none."""
    return module.split(".")[1] if "." in module else ""


BREACHES = [
    ("lib/coachbook/serve/planted.py", "import papermill"),
    ("lib/coachbook/cli/planted.py", "import voila"),
    ("lib/coachbook/batch/planted.py", "import typer"),
    ("lib/coachbook/serve/planted.py", "import distributed"),
    ("lib/coachbook/kernels/planted.py", "import coachbook.errors"),
    ("lib/coachbook/facts/planted.py", "import coachbook.sources"),
    ("lib/coachbook/metrics/planted.py", "import coachbook.cli"),
    ("lib/coachbook/planted.py", "import coachbook.text"),
    ("tests/oracles/planted.py", "import coachbook.text"),
    ("widgets/coachbook_widgets/planted.py", "import coachbook.settings"),
]


def _lint_imports(copy: Path) -> subprocess.CompletedProcess[str]:
    first = "import sys; sys.path[:0] = ['lib', 'widgets', '.']; from importlinter.cli import lint_imports_command"
    return _run(sys.executable, "-c", f"{first}; lint_imports_command(['--no-cache'])", cwd=copy)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code without data, in order, to plant breaches in."""
    copy = tmp_path_factory.mktemp("house")
    for name in ("lib", "widgets", "tests"):
        shutil.copytree(
            ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "data", "*.csv")
        )
    shutil.copy(ROOT / "pyproject.toml", copy)
    clean = _lint_imports(copy)
    assert clean.returncode == 0, clean.stdout + clean.stderr
    return copy


@pytest.mark.parametrize(("file", "line"), BREACHES)
def test_a_planted_breach_is_caught(copied: Path, file: str, line: str) -> None:
    planted = copied / file
    planted.write_text(line + "\n", encoding="utf-8")
    found = _lint_imports(copied)
    planted.unlink()
    assert found.returncode == 1, found.stdout + found.stderr
    assert "planted" in found.stdout


def test_the_inventory_is_the_tree() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    assert text == with_inventory(text), "run: make inventory"


def test_environment_yml_is_made_from_pyproject() -> None:
    assert (ROOT / "environment.yml").read_text(encoding="utf-8") == environment(), "run: make environment"


def test_the_font_of_charts_is_made_from_its_description(tmp_path: Path) -> None:
    font().save(tmp_path / "em.ttf")
    assert FONT.read_bytes() == (tmp_path / "em.ttf").read_bytes(), "run: make font"


def test_the_changelog_tells_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == coachbook.__version__
    assert f"\n## {project['version']}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_constraints_are_plain_pins_in_order() -> None:
    assert all(re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.]+", line) for line in CONSTRAINTS)
    assert sorted(CONSTRAINTS) == CONSTRAINTS
    assert not any(line.startswith("coachbook==") for line in CONSTRAINTS)


def test_constraints_pin_all_that_is_needed_and_what_is_installed_is_as_pinned() -> None:
    pinned = dict(line.split("==") for line in CONSTRAINTS)
    needed = _closure(Requirement("coachbook[test]"), set())
    loose = {name for name in needed if pinned.get(name) != distribution(name).version}
    assert loose == set()
    assert {"uv", "hatchling", "editables"} <= set(pinned)


def _closure(requirement: Requirement, seen: set[tuple[str, str]]) -> set[str]:
    """Names of what a requirement brings in, on this platform."""
    name = canonicalize_name(requirement.name)
    fresh = {"", *requirement.extras} - {extra for seen_name, extra in seen if seen_name == name}
    seen |= {(name, extra) for extra in fresh}
    found = set() if name == "coachbook" else {name}
    for text in distribution(name).requires or []:
        further = Requirement(text)
        if any(not further.marker or further.marker.evaluate({"extra": extra}) for extra in fresh):
            found |= _closure(further, seen)
    return found


def test_no_room_is_named_after_nothing() -> None:
    names = {path.stem for place in ("lib", "widgets") for path in (ROOT / place).rglob("*.py")}
    assert names & {"utils", "util", "helpers", "common", "manager", "misc"} == set()


def test_both_packages_are_typed_and_the_documents_are_there() -> None:
    for name in (
        "lib/coachbook/py.typed",
        "widgets/coachbook_widgets/py.typed",
        "LICENSE",
        "README.md",
        ".ci/run",
    ):
        assert (ROOT / name).is_file(), name
