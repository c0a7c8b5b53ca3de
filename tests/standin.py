"""A notebook that imports nothing heavy, ejected in place of the shipped one: a page in half a second."""

from __future__ import annotations

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from coachbook.settings import Workspace

PARAMETERS = "\n".join(f'{name} = ""' for name in ("rep", "team", "period", "as_of", "locale"))


def eject(workspace: Workspace, *steps: str, parameters: str = PARAMETERS) -> Workspace:
    """Put a notebook with these code cells (ids `step-0`, `step-1`, …) into the workspace."""
    cells = [
        new_markdown_cell("# Limits", id="title"),
        new_code_cell(parameters, id="parameters", metadata={"tags": ["parameters"]}),
        *[new_code_cell(step, id=f"step-{number}") for number, step in enumerate(steps)],
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    workspace.notebooks.mkdir(exist_ok=True)
    path = workspace.notebooks / "retrospective.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return workspace
