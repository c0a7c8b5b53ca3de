"""Texts in code, templates, notebooks and their index, and what the catalogues make of them: `make messages`."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[2]
LOCALES = ROOT / "lib/coachbook/locales"
_KEYWORDS = {"_": None, "N_": None}
_HEADER = 'msgid ""\nmsgstr ""\n"Language: {locale}\\n"\n"MIME-Version: 1.0\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n"Content-Transfer-Encoding: 8bit\\n"\n\n'


def extracted() -> dict[str, set[str]]:
    """Every message id, and the files it stands in."""
    messages: dict[str, set[str]] = {}
    for path, message in _everywhere():
        messages.setdefault(message, set()).add(str(path.relative_to(ROOT)))
    return messages


def catalogues() -> list[Path]:
    """The `.po` files."""
    return sorted(LOCALES.glob("*/LC_MESSAGES/coachbook.po"))


def translations(po: Path) -> dict[str, str]:
    """What a catalogue says, without its header."""
    with po.open("rb") as file:
        return {str(m.id): str(m.string) for m in read_po(file, abort_invalid=True) if m.id}


def write(po: Path, translated: Mapping[str, str]) -> list[str]:
    """Write a catalogue with exactly the messages that are extracted; gives those without a translation."""
    catalogue = Catalog()
    for message in extracted():
        catalogue.add(message, translated.get(message, ""))
        catalogue[message].flags.discard("python-format")  # "95% interval" is none
    with po.open("wb") as file:
        file.write(_HEADER.format(locale=po.parents[1].name).encode())
        write_po(file, catalogue, width=0, sort_output=True, omit_header=True, no_location=True)
    return [message for message in extracted() if not translated.get(message)]


def _everywhere() -> Iterator[tuple[Path, str]]:
    yield from _called("python", [*(ROOT / "lib").rglob("*.py"), *(ROOT / "widgets").rglob("*.py")])
    yield from _called("jinja2", (ROOT / "lib").rglob("*.j2"))
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        yield from ((path, "".join(c["source"])) for c in cells if c["cell_type"] == "markdown")
    index = ROOT / "notebooks/index.toml"
    for entry in tomllib.loads(index.read_text(encoding="utf-8")).values():
        yield from ((index, text) for text in _texts(entry))


def _called(method: str, paths: Any) -> Iterator[tuple[Path, str]]:
    for path in sorted(paths):
        with path.open("rb") as file:
            for _line, message, _comments, _context in extract(method, file, _KEYWORDS):
                if message:
                    yield path, str(message)


def _texts(entry: Mapping[str, Any]) -> Iterator[str]:
    """What a reader sees of a workbook's entry in the index."""
    yield from (entry[key] for key in ("title", "question", "reader"))
    yield from (parameter["meaning"] for parameter in entry["parameters"].values())


if __name__ == "__main__":
    for each in catalogues():
        for message in write(each, translations(each)):
            sys.stdout.write(f"{each.relative_to(ROOT)}: not translated: {message}\n")
