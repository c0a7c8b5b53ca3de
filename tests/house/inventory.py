"""The inventory in ARCHITECTURE.md, made from what each file says of itself first: `make inventory`."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = ROOT / "ARCHITECTURE.md"
_MARKED = re.compile(r"(<!-- inventory -->\n).*(<!-- /inventory -->)", re.DOTALL)


def inventory() -> str:
    """One row a module, room by room."""
    rooms = [ROOT / "lib/coachbook", ROOT / "widgets/coachbook_widgets"]
    modules = sorted(path for room in rooms for path in room.rglob("*.py"))
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    rows = [(path, _docstring(path)) for path in modules] + [(path, _heading(path)) for path in notebooks]
    lines = [f"| `{path.relative_to(ROOT)}` | {what} |\n" for path, what in rows]
    return "| file | what it holds |\n| --- | --- |\n" + "".join(lines)


def with_inventory(text: str) -> str:
    """ARCHITECTURE.md with the inventory as the tree has it now."""
    return _MARKED.sub(lambda found: found[1] + inventory() + found[2], text)


def _docstring(path: Path) -> str:
    return (
        (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
        .splitlines()[0]
        .replace("|", r"\|")
    )


def _heading(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "".join(cells[0]["source"]).splitlines()[0].removeprefix("# ")


if __name__ == "__main__":
    FILE.write_text(with_inventory(FILE.read_text(encoding="utf-8")), encoding="utf-8")
