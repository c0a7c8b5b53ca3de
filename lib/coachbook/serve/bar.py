"""The frame around every page: title bar, choosers, languages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from coachbook.catalogue import shipped
from coachbook.serve import assets
from coachbook.text import Locale, _, active

Query = dict[str, str]


@dataclass(frozen=True)
class Select:
    """One list to choose from: groups of (value, text); a group without a name stands alone."""

    name: str
    label: str
    chosen: str
    groups: list[tuple[str, list[tuple[str, str]]]]


@dataclass(frozen=True)
class Day:
    """A day to choose; empty: none is chosen."""

    name: str
    label: str
    chosen: str


@dataclass(frozen=True)
class Chooser:
    """The form in the title bar: what it opens, lists and days to choose from, and what stays as it is."""

    heading: str
    action: str
    selects: list[Select]
    kept: list[tuple[str, str]]
    days: tuple[Day, ...] = ()


def address(path: str, query: Query) -> str:
    """A path of ours with those parameters that have a value."""
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def html(
    template: str, *, brand: str, path: str, query: Query, chooser: Chooser | None = None, **values: Any
) -> str:
    """A template of ours filled in; `path` and `query` say where the languages lead."""
    languages = [
        {
            "name": locale.endonym,
            "lang": locale.html,
            "current": locale is active(),
            "href": address(path, {**query, "locale": locale.value}),
        }
        for locale in Locale
    ]
    return (
        _templates()
        .get_template(template)
        .render(
            brand=brand, chooser=chooser, languages=languages, lang=active().html, assets=assets.address(),
            home=address("/", {"locale": active().value}), **values,
        )
    )  # fmt: skip


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(shipped("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["_"] = _
    return environment
