"""Both languages whole, in the field's words."""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from coachbook.catalogue import translated
from coachbook.text import Locale
from tests.house.messages import LOCALES, catalogues, extracted, translations, write

CATALOGUES = [pytest.param(po, id=po.parents[1].name) for po in catalogues()]
CHINESE = LOCALES / "zh_CN/LC_MESSAGES/coachbook.po"
GLOSSARY = tomllib.loads((LOCALES / "glossary.toml").read_text(encoding="utf-8"))


@cache
def _messages() -> dict[str, set[str]]:
    return extracted()


def _fields(text: str) -> set[str]:
    return {name for _text, name, _spec, _conversion in string.Formatter().parse(text) if name is not None}


def test_every_language_but_english_has_a_catalogue() -> None:
    assert {po.parents[1].name for po in catalogues()} == {each.value for each in Locale} - {"en"}


def test_the_extraction_reads_code_templates_notebooks_and_their_index() -> None:
    places = {place for found in _messages().values() for place in found}
    assert "notebooks/index.toml" in places
    for ending in (".py", ".j2", ".ipynb"):
        assert any(place.endswith(ending) for place in places), ending


@pytest.mark.parametrize("po", CATALOGUES)
def test_every_message_is_translated_and_nothing_obsolete_is_kept(po: Path) -> None:
    said = translations(po)
    assert sorted(set(_messages()) - {message for message, text in said.items() if text.strip()}) == []
    assert sorted(set(said) - set(_messages())) == []


@pytest.mark.parametrize("po", CATALOGUES)
def test_a_translation_takes_the_same_values(po: Path) -> None:
    wrong = {m: t for m, t in translations(po).items() if "{" in m + t and _fields(m) != _fields(t)}
    assert wrong == {}


@pytest.mark.parametrize("po", CATALOGUES)
def test_a_catalogue_is_written_as_the_tool_writes_it(po: Path, tmp_path: Path) -> None:
    copy = tmp_path / po.parents[1].name / "LC_MESSAGES" / po.name
    copy.parent.mkdir(parents=True)
    copy.write_bytes(po.read_bytes())
    assert write(copy, translations(po)) == []
    assert copy.read_text(encoding="utf-8") == po.read_text(encoding="utf-8")


def _pairs() -> Iterator[tuple[str, str]]:
    yield from translations(CHINESE).items()


def test_no_word_of_another_trade() -> None:
    wrong = [(word, m, t) for m, t in _pairs() for word in GLOSSARY["never"] if word in t]
    assert wrong == []


def _speaks_of(term: str, message: str) -> bool:
    """Whether the term stands in the message, in the singular or plural; `{rep}`, `--rep`, `mapping.toml` are no words."""
    prose = re.sub(r"\{\w+\}|--[\w-]+|[`“][^`”]*[`”]|\b\w+[:=]\S+|\b\w+\.\w+", " ", message)
    return re.search(rf"(?<![\w-]){re.escape(term)}s?(?![\w-])", prose, re.IGNORECASE) is not None


@pytest.mark.parametrize(
    "term", [pytest.param(t, id=t["en"]) for t in GLOSSARY["term"] if not t.get("loose")]
)
def test_a_term_is_said_in_the_glossarys_word(term: dict[str, list[str]]) -> None:
    english = str(term["en"])
    spoken = [(m, t) for m, t in _pairs() if _speaks_of(english, m)]
    longer = [str(t["en"]) for t in GLOSSARY["term"] if english in t["en"] and english != t["en"]]
    spoken = [(m, t) for m, t in spoken if not any(_speaks_of(other, m) for other in longer)]
    assert [(m, t) for m, t in spoken if not any(word in t for word in [*term["zh"], english])] == []
    assert [(m, t) for m, t in spoken if any(word in t for word in term.get("never", []))] == []


def test_chinese_is_punctuated_in_full_width_and_without_exclamation() -> None:
    half = re.compile(r"[\u4e00-\u9fff”）][,;:?!()]|[\u4e00-\u9fff”）]\.(?:\s|$)|[,;?!(][\u4e00-\u9fff]|！")
    assert [(m, t) for m, t in _pairs() if half.search(t)] == []


def test_a_markdown_cell_is_one_message() -> None:
    notebook = {
        "cells": [
            {"cell_type": "markdown", "source": ["Exit codes", " nobody translates"]},
            {"cell_type": "code", "source": ["x = 1"]},
        ]
    }
    assert translated(notebook, Locale.ZH_CN)["cells"][1] == notebook["cells"][1]
    assert translated(notebook, Locale.ZH_CN)["cells"][0]["source"] == "Exit codes nobody translates"
