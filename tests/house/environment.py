"""`environment.yml` for people who live in conda, made from `pyproject.toml`: `make environment`."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
_HEAD = """\
# Made from pyproject.toml by `make environment`; a test compares the two.
name: coachbook
channels:
  - conda-forge
dependencies:
  - python{python}
  - make
  - pip
  - pip:
      - --constraint constraints.txt
"""


def environment() -> str:
    """The whole file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], "--editable ."]
    return _HEAD.format(python=project["requires-python"]) + "".join(f"      - {line}\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(environment())
