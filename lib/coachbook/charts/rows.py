"""Rows of a picture, top to bottom, each with a figure under its name; and how they are read out."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import east_asian_width

import altair as alt

from coachbook.charts import theme
from coachbook.text import Locale, active, listed

_NAME = 170
"""Room for a name, in pixels: an amount with its deals in it; a phone keeps half for what the picture shows."""
_HEADING = 340
"""Room for a heading, in pixels."""


def distinct(labels: Sequence[str]) -> list[str]:
    """Rows of one name stay apart: an invisible mark is added to repeated ones."""
    seen: dict[str, int] = {}
    rows = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        rows.append(label + "\u200b" * (seen[label] - 1))
    return rows


def named(name: str, figure: str) -> str:
    """The key of a row: what stands at it, in two lines."""
    return f"{name}\n{figure}"


def rows(keys: Sequence[str], *, grid: bool = False) -> alt.Y:
    """The axis of rows in the order given, made by `named`."""
    return alt.Y(
        "row:N",
        title=None,
        scale=alt.Scale(domain=list(keys)),
        axis=alt.Axis(
            ticks=False, domain=False, grid=grid, labelPadding=8, labelLimit=_NAME, labelOverlap=False,
            labelExpr="split(datum.label, '\\n')",
        ),
    )  # fmt: skip


def heading(lines: list[str]) -> alt.TitleParams:
    """What a picture shows, above it."""
    return alt.TitleParams(
        lines, anchor="start", frame="bounds", fontSize=theme.SIZE, fontWeight="normal", color=theme.MUTED, limit=_HEADING
    )  # fmt: skip


def ems(text: str) -> float:
    """About how wide a text is, in ems: charts break no lines and turn no labels by themselves."""
    return sum(1.0 if east_asian_width(sign) in "WF" else 0.55 for sign in text)


def sentence(items: list[str]) -> str:
    """Items as one sentence of an alternative text."""
    return listed(items) + ("。" if active() is Locale.ZH_CN else ".")
