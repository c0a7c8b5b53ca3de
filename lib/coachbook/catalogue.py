"""Where notebooks and other shipped files are, and what a notebook asks for."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from coachbook.errors import NotFound, Refused, nearest
from coachbook.text import N_, Locale, _, speaking

KERNEL = "coachbook"
"""Kernel spec that our runners choose."""


def shipped(name: str) -> Path:
    """A folder that comes with coachbook, in a wheel or in a checkout: `notebooks`, `sample_data`."""
    package = Path(str(files("coachbook")))
    return package / name if (package / name).is_dir() else package.parents[1] / name


@dataclass(frozen=True)
class Parameter:
    """A parameter of a workbook."""

    name: str
    type: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class Workbook:
    """A parameterised notebook: what it asks, for whom, and where it is."""

    name: str
    title: str
    question: str
    reader: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    path: Path
    ejected: bool

    @property
    def heading(self) -> str:
        """The title in the active language."""
        return _(self.title)


@cache
def _index() -> dict[str, dict[str, object]]:
    return tomllib.loads((shipped("notebooks") / "index.toml").read_text(encoding="utf-8"))


def workbooks(ejected: Path | None = None) -> list[Workbook]:
    """All workbooks in their order; one in the folder `ejected` takes precedence."""
    return [_workbook(name, ejected) for name in _index()]


def workbook(name: str, ejected: Path | None = None) -> Workbook:
    """The workbook of that name.

    Raises
    ------
    NotFound
        Names those that exist.
    """
    if name not in _index():
        raise NotFound(
            N_("There is no notebook {name}. There is: {known}."),
            name=f"“{name}”", known=nearest(name, list(_index())),
        )  # fmt: skip
    return _workbook(name, ejected)


def translated(notebook: dict[str, Any], locale: Locale) -> dict[str, Any]:
    """A notebook, as plain data, with its Markdown cells in a language; a whole cell is one message."""
    with speaking(locale):
        cells = [
            {**cell, "source": _(source)} if cell["cell_type"] == "markdown" else cell
            for cell in notebook["cells"]
            for source in ["".join(cell["source"])]
        ]
    return {**notebook, "cells": cells}


def eject(name: str, into: Path, locale: Locale = Locale.EN) -> Path:
    """Copy a shipped notebook into the folder `into`, where it can be changed.

    An English copy is still translated for readers of other languages; a copy in another language stays so.

    Raises
    ------
    Refused
        It is there already: nothing that a person changed is written over.
    """
    source = workbook(name)
    target = into / source.path.name
    if target.exists():
        raise Refused(
            N_("{file} is there already and stays as it is. To start afresh, move it away first, for instance to {example}."),
            file=target, example=target.with_suffix(".old.ipynb").name,
        )  # fmt: skip
    try:
        into.mkdir(parents=True, exist_ok=True)
        notebook = translated(json.loads(source.path.read_text(encoding="utf-8")), locale)
        target.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise Refused(
            N_("{file} cannot be written: {problem}."), file=target, problem=error.strerror or error
        ) from None
    return target


def _workbook(name: str, ejected: Path | None) -> Workbook:
    entry = dict(_index()[name])
    own = ejected / f"{name}.ipynb" if ejected else None
    parameters = entry.pop("parameters")
    assert isinstance(parameters, dict)
    return Workbook(
        name=name,
        parameters=tuple(Parameter(key, **value) for key, value in parameters.items()),
        path=own if own and own.is_file() else shipped("notebooks") / f"{name}.ipynb",
        ejected=bool(own and own.is_file()),
        **{k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()},  # type: ignore[arg-type]
    )
