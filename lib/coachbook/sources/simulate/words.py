"""The words of a made-up company: names of people, customers, products and teams. Any likeness is chance."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from coachbook.sources.simulate.world import Ints
from coachbook.text import Locale

HOSTILE = "</script><script>alert(1)</script>"
"""What a page must show as it is: one seller and one deal are called like this."""


@dataclass(frozen=True)
class Words:
    """What a company calls things."""

    stages: Sequence[str]
    segments: Sequence[str]
    kinds: Sequence[str]
    """New business, renewal."""
    teams: Sequence[str]
    territories: Sequence[str]
    abroad: str
    industries: Sequence[str]
    products: Sequence[tuple[str, str]]
    """Name and category."""
    origins: Sequence[str]
    loss_reasons: Sequence[str]
    next_steps: Sequence[str]
    titles: Sequence[str]
    parts: Sequence[str]
    outcomes: Sequence[str]
    offices: Sequence[str]
    """Director, operations."""
    latin: float
    """Share of Latin names among its people."""


def words(locale: Locale) -> Words:
    """The company's words in a language."""
    return Words(**_lists()[locale.value])


@cache
def _lists() -> dict[str, Any]:
    return tomllib.loads((files("coachbook.sources.simulate") / "words.toml").read_text(encoding="utf-8"))


def team_names(spoken: Words, teams: int) -> list[str]:
    """A name for each team; from the list, then numbered."""
    known = spoken.teams
    return [
        known[k % len(known)] + (f" {k // len(known) + 1}" if k >= len(known) else "") for k in range(teams)
    ]


def people_names(numbers: Ints, latin: float) -> pa.Array:
    """A name for each number, in Latin or Chinese script; small numbers never share one."""
    names = _lists()["names"]
    western = _joined(_product(numbers * 2417 % 5623, names["given"], names["family"]), " ")
    eastern = _joined(_product(numbers * 1009 % 1759, names["surnames"], names["given_zh"]), "")
    share = (numbers * 2_654_435_761 % (1 << 32)) >> 16
    return pc.if_else(pa.array(share < latin * (1 << 16)), western, eastern)


def company_names(numbers: Ints, chinese: Any) -> pa.Array:
    """A name for each number; no two of the first 800,000 share one."""
    place = numbers * 368_787 % 813_107
    names = _lists()["names"]
    roots = [root + end for root in names["roots"] for end in names["ends"]]
    western = _joined(_product(place, roots, names["trades"], names["forms"]), " ")
    stems = [a + b for a in names["first"] for b in names["second"]]
    eastern = _joined(_product(place, names["places"], stems, names["branches"], names["firms"]), "")
    return pc.if_else(pa.array(chinese), eastern, western)


def _product(numbers: Ints, *lists: Sequence[str]) -> list[pa.Array]:
    """The number in mixed radix: one entry of each list."""
    parts = []
    for each in lists:
        parts.append(pa.array(each).take(pa.array(numbers % len(each))))
        numbers = numbers // len(each)
    return parts


def _joined(parts: list[pa.Array], between: str) -> pa.Array:
    return pc.binary_join_element_wise(*parts, between)
