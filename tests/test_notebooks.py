"""Every notebook in the tree: its shape, and that it runs as it stands, by nbval and by stock papermill."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from coachbook import batch, catalogue
from coachbook.settings import Workspace
from tests.conftest import DATA, imported

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
_LOOSE = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.Try, ast.comprehension)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> Any:
    return nbformat.read(request.param, as_version=4)


def _code(notebook: Any) -> list[Any]:
    return [c for c in notebook.cells if c.cell_type == "code"]


def test_every_notebook_is_listed_and_every_listed_one_is_there() -> None:
    assert [p.stem for p in NOTEBOOKS] == sorted(w.name for w in catalogue.workbooks())


def test_a_notebook_is_committed_clean(notebook: Any) -> None:
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    assert all(not c.outputs and c.execution_count is None for c in _code(notebook))
    ids = [c.id for c in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(not any(ch.isdigit() for ch in i) for i in ids), "ids are names, not counters"


def test_a_notebook_tells_its_story_by_headings(notebook: Any) -> None:
    headings = [
        line
        for c in notebook.cells
        if c.cell_type == "markdown"
        for line in c.source.splitlines()
        if line.startswith("#")
    ]
    assert [h for h in headings if h.startswith("# ")] == headings[:1]
    assert headings[0].endswith("?")
    assert headings[-1] == "## Limits"


def test_its_parameters_are_those_of_the_index(notebook: Any, request: pytest.FixtureRequest) -> None:
    tagged = [c for c in _code(notebook) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    assigned = {s.targets[0].id: ast.literal_eval(s.value) for s in ast.parse(tagged[0].source).body}  # type: ignore[attr-defined]
    name = Path(request.node.callspec.params["notebook"]).stem
    assert list(assigned) == [p.name for p in catalogue.workbook(name).parameters]
    assert set(assigned.values()) == {""}, "empty means the default"
    assert all("#" in line for line in tagged[0].source.splitlines())


def test_its_cells_are_short_and_plain(notebook: Any) -> None:
    working = [c for c in _code(notebook) if "parameters" not in c.metadata.get("tags", [])]
    trees = [ast.parse(c.source) for c in working]
    imports = [n for t in trees for n in ast.walk(t) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert len(imports) == 1
    assert len(working) >= 5
    assert all(1 <= len(c.source.splitlines()) <= 8 for c in working)
    assert not [n for t in trees for n in ast.walk(t) if isinstance(n, _LOOSE)]


def _in(workspace: Workspace, *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)], cwd=workspace.folder, text=True, capture_output=True,
        timeout=300, env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""},
    )  # fmt: skip


def test_every_notebook_passes_nbval(tmp_path: Path) -> None:
    """As a person would run it: ejected into a workspace, nothing filled in."""
    workspace = imported(tmp_path / "workspace", DATA / "firm")
    for book in catalogue.workbooks():
        catalogue.eject(book.name, workspace.notebooks)
    done = _in(workspace, "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider", "notebooks")
    assert done.returncode == 0, done.stdout[-3000:]
    cells = sum(len(_code(nbformat.read(p, as_version=4))) for p in NOTEBOOKS)
    assert f"{cells} passed" in done.stdout


@pytest.mark.parametrize("name", ["retrospective", pytest.param("funnel_review", marks=pytest.mark.verify)])
def test_stock_papermill_makes_the_same_page(name: str, firm: Workspace, tmp_path: Path) -> None:
    """`papermill NB OUT -k python3 -p …` in a workspace: the same cells, MIME types and figures as a batch for the manager."""
    book = catalogue.workbook(name)
    order = batch.Order(
        name, reps="N1", period="2021-10", as_of="2021-11-10", locale="zh_CN", reader="manager", formats=("ipynb",), out=tmp_path / "run"
    )  # fmt: skip
    assert batch.run(firm, order).count("ok") == 1
    done = _in(
        firm, "papermill", str(book.path), str(tmp_path / "out.ipynb"), "-k", "python3",
        "-p", "rep", "N1", "-p", "period", "2021-10", "-p", "as_of", "2021-11-10",
        "-p", "locale", "zh_CN",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    by_hand, by_batch = (
        nbformat.read(p, as_version=4)
        for p in (tmp_path / "out.ipynb", tmp_path / "run" / "N1" / f"{name}.ipynb")
    )
    assert [(c.id, c.outputs) for c in _code(by_hand)][2:] == [(c.id, c.outputs) for c in _code(by_batch)][2:]
    assert any("image/svg+xml" in o.data for c in _code(by_hand) for o in c.outputs)


@pytest.mark.verify
@pytest.mark.parametrize("locale", ["en", "zh_CN"])
@pytest.mark.parametrize(("company", "period", "pages"), [("firm", "2021-10", 12), ("demo", "2026-09", 24)])
@pytest.mark.parametrize("name", [w.name for w in catalogue.workbooks()])
def test_every_case_by_papermill(
    name: str, company: str, period: str, pages: int, locale: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:  # fmt: skip
    """Good, bad, new, leaving, no deal, a Chinese and a hostile name, by a real batch in both languages."""
    order = batch.Order(name, period=period, locale=locale, out=tmp_path / "run")
    outcome = batch.run(request.getfixturevalue(company), order)
    assert (outcome.count("ok"), outcome.count("failed")) == (pages, 0)
    assert {row.kernel for row in outcome.rows} == {"forked"}
    for row in outcome.rows:
        html = (tmp_path / "run" / next(f for f in row.files if f.endswith(".html"))).read_text(
            encoding="utf-8"
        )
        assert "<script" not in html.lower()
