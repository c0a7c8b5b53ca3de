"""From the paths that a user named to intakes: folders, archives and single files, each with its mapping."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from coachbook.catalogue import shipped
from coachbook.errors import NotFound, nearest
from coachbook.sources.folders import Folder
from coachbook.sources.mapping import FILE, Mapping
from coachbook.sources.plan import Intake
from coachbook.sources.readers.zips import unpacked
from coachbook.text import N_

PRESETS = Path(__file__).parent / "presets"
_NAMELESS = "files"
"""Whose exports they are where nobody says."""


def presets() -> list[str]:
    """Names of the mappings that come with coachbook, some beside their sample data."""
    return sorted(_presets())


def preset_file(name: str) -> Path:
    """The `mapping.toml` of a preset.

    Raises
    ------
    NotFound
        There is none of that name; names those nearest.
    """
    if name not in _presets():
        raise NotFound(
            N_("There is no preset {name}. There is: {known}."),
            name=f"“{name}”", known=nearest(name, presets()),
        )  # fmt: skip
    return _presets()[name]


def _presets() -> dict[str, Path]:
    found = [*PRESETS.glob(f"*/{FILE}"), *shipped("sample_data").glob(f"*/{FILE}")]
    return {path.parent.name: path for path in found}


@dataclass(frozen=True)
class _Place:
    """A folder, and by what name the user knows it; none for single files."""

    folder: Folder
    shown: Path
    name: str = ""


def intakes(paths: Sequence[Path], preset: str, as_of: date | None, opened: ExitStack) -> list[Intake]:
    """What is to be imported; archives are unpacked until `opened` is closed.

    Raises
    ------
    CoachbookError
        A path, a preset or a mapping is not there or cannot be read.
    """
    shared = preset_file(preset) if preset else None
    places = list(_places(paths, opened))
    if shared and not places and shared.parent.is_relative_to(shipped("sample_data")):
        places = [_Place(Folder(shared.parent), shared.parent, shared.parent.name)]
    if not places:
        raise NotFound(
            N_("Nothing to import was named. Name a folder with a {file} in it, or write {preset}."),
            file=FILE, preset="--preset regional_sales",
        )  # fmt: skip
    made = [_intake(place, shared, as_of) for place in places]
    if len(made) == 1:
        return made
    names = Counter(place.name for place in places)
    return [
        replace(intake, prefix=f"{place.name if names[place.name] == 1 else place.shown}/" if place.name else "")
        for intake, place in zip(made, places, strict=True)
    ]  # fmt: skip


def _places(paths: Sequence[Path], opened: ExitStack) -> Iterator[_Place]:
    single: dict[Path, list[Path]] = {}
    for path in paths:
        if path.name == FILE:
            path = path.parent
        if os.path.isdir(path):  # noqa: PTH112 - pathlib's raises on a name that is too long
            yield _Place(Folder(path), path, path.absolute().name)
        elif not os.path.isfile(path):  # noqa: PTH113
            raise NotFound(
                N_("There is no file or folder {path}. Name one with a {file} in it, or write {preset}."),
                path=path, file=FILE, preset="--preset regional_sales",
            )  # fmt: skip
        elif path.suffix.casefold() == ".zip":
            yield _Place(Folder(opened.enter_context(unpacked(path))), path, path.name)
        else:
            single.setdefault(path.parent, []).append(path)
    for folder, files in single.items():
        yield _Place(Folder(folder, tuple(files)), folder)


def _intake(place: _Place, shared: Path | None, as_of: date | None) -> Intake:
    own = place.folder.path / FILE
    if shared is None and not own.is_file():
        raise NotFound(
            N_("There is no {file} in {folder}. Write one (see docs/mapping.md), or import with {preset}."),
            file=FILE, folder=place.shown, preset=f"--preset {nearest(place.name, presets(), most=1)[0]}",
        )  # fmt: skip
    mapping = Mapping.read(shared or own)
    return Intake(place.folder, mapping, mapping.source or _NAMELESS, as_of or mapping.as_of)
