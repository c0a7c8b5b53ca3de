"""A notebook on its way to a kernel: found, translated, its parameters put in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from coachbook import catalogue
from coachbook.text import active

OURS = "application/vnd.coachbook."
REVIEW = f"{OURS}review+json"
_PLAIN = {"text/plain", "text/html", "text/markdown", "image/png", "image/jpeg", "image/svg+xml"}


class Shelf:
    """All that Voilà's contents manager is asked for: workbooks by name, and no other file."""

    def __init__(self, ejected: Path) -> None:
        self.ejected = ejected

    def get(self, path: str) -> dict[str, Any]:
        """The notebook of a workbook, own ones before shipped ones."""
        notebook = nbformat.read(catalogue.workbook(Path(path).stem, self.ejected).path, as_version=4)
        return {"type": "notebook", "path": path, "content": notebook}

    def file_exists(self, path: str) -> bool:  # noqa: ARG002
        """Pictures in Markdown are not looked for."""
        return False


def prepared(notebook: NotebookNode, parameters: dict[str, str], made: dict[str, Any]) -> NotebookNode:
    """The notebook in the active language, with parameters, and with what the template shows around it."""
    ready: NotebookNode = nbformat.from_dict(catalogue.translated(notebook, active()))
    where = next(
        (i for i, cell in enumerate(ready.cells) if "parameters" in cell.metadata.get("tags", ())), -1
    )
    ready.cells.insert(where + 1, _injected(parameters))
    ready.metadata["coachbook"] = made
    ready.metadata["kernelspec"] = {
        "name": catalogue.KERNEL,
        "display_name": catalogue.KERNEL,
        "language": "python",
    }
    return ready


def _injected(parameters: dict[str, str]) -> NotebookNode:
    cell: NotebookNode = nbformat.v4.new_code_cell(
        "\n".join(f"{name} = {value!r}" for name, value in parameters.items()),
        id="injected-parameters",
        metadata={"tags": ["injected-parameters"]},
    )
    return cell


def for_browser(output: NotebookNode) -> dict[str, Any] | None:
    """An output without what is for machines; nothing if that is all it is."""
    if REVIEW in output["data"]:
        return None
    data = {kind: value for kind, value in output["data"].items() if not kind.startswith(OURS)}
    return {**output, "data": data}


def is_plain(output: dict[str, Any]) -> bool:
    """Whether a browser shows the output as it is; a widget, or a kind that we do not know, takes Voilà's front end."""
    return set(output["data"]) <= _PLAIN
