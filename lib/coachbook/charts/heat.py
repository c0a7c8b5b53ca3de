"""People by stages: where each stands, as colour and as figure, and where nobody can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from coachbook.charts import theme
from coachbook.charts.picture import Picture
from coachbook.charts.rows import distinct, ems, heading, sentence
from coachbook.text import told

_NAME = 108
"""Room for a name, in pixels: six stages fit beside it on a phone. The whole name is in the tooltip."""


@dataclass(frozen=True)
class Cell:
    """How far from what is compared with, above 0 better; None: cannot be told.

    `figure` is that as a short text with its sign, or what stands there instead; `tip` says what lies behind it.
    """

    value: float | None
    figure: str
    tip: str


@dataclass(frozen=True)
class HeatRow:
    """One person or team, with a cell for each stage."""

    name: str
    cells: tuple[Cell, ...]


def heat(rows: Sequence[HeatRow], stages: Sequence[str], *, title: str, unknown: str, text: str) -> Picture:
    """A row of fixed height each, in the order given; cells that cannot be told are struck out.

    `title` says what the figures are; `unknown` follows it where cells are struck out, and explains that. The
    alternative text is `text`, then row by row the stages with their figures and tips.
    """
    keys = distinct([row.name for row in rows])
    cells = [
        {"row": key, "stage": stage, "value": cell.value, "figure": cell.figure, "tip": cell.tip}
        for key, row in zip(keys, rows, strict=True)
        for stage, cell in zip(stages, row.cells, strict=True)
    ]
    reach = max([0.01, *(abs(c.value) for row in rows for c in row.cells if c.value is not None)])
    base = (
        alt.Chart(alt.NamedData("cells"))
        .transform_calculate(
            strength="abs(datum.value)",
            told="datum.row + ' · ' + datum.stage + ' ' + datum.figure + ' · ' + datum.tip",
        )
        .encode(x=_columns(stages), y=_lines(keys), tooltip=alt.Tooltip("told:N", title=" "))
    )
    squares = base.mark_rect(aria=False).encode(
        fill=alt.FillValue(theme.BETTER, condition={"test": "datum.value < 0", "value": theme.WORSE}),
        opacity=alt.Opacity("strength:Q", scale=alt.Scale(domain=[0, reach], range=[0, 0.65]), legend=None),
    )
    struck = (
        base.transform_filter("datum.value === null")
        .mark_rule(aria=False, color=theme.RULE)
        .encode(
            x=alt.X("stage:N", bandPosition=0), x2=alt.X2("stage:N", bandPosition=1),
            y=alt.Y("row:N", bandPosition=1), y2=alt.Y2("row:N", bandPosition=0),
        )
    )  # fmt: skip
    figures = base.mark_text(aria=False, fontSize=theme.SIZE - 1).encode(
        text=alt.Text("figure:N"),
        color=alt.ColorValue(theme.INK, condition={"test": "datum.value === null", "value": theme.MUTED}),
    )
    struck_out = any(cell.value is None for row in rows for cell in row.cells)
    chart = alt.layer(
        struck,
        squares,
        figures,
        width="container",
        height=alt.Step(26),
        title=heading([title, unknown] if struck_out else [title]),
    )
    return Picture(chart, told([text, *(_line(row, stages) for row in rows)]), {"cells": cells})


def _line(row: HeatRow, stages: Sequence[str]) -> str:
    cells = zip(stages, row.cells, strict=True)
    return sentence([row.name, *(f"{stage} {cell.figure} · {cell.tip}" for stage, cell in cells)])


def _columns(stages: Sequence[str]) -> alt.X:
    """Names of stages stand above, aslant where there is no room for them side by side."""
    room = (max((ems(stage) for stage in stages), default=0) + 1) * theme.SIZE
    aslant = f"width < {len(stages) * room:.0f}"
    return alt.X(
        "stage:N",
        title=None,
        scale=alt.Scale(domain=list(stages), paddingInner=0.03),
        axis=alt.Axis(
            orient="top", ticks=False, domain=False, labelPadding=6, labelLimit=150, labelOverlap=False,
            labelAngle=alt.ExprRef(f"{aslant} ? -50 : 0"), labelAlign=alt.ExprRef(f"{aslant} ? 'left' : 'center'"),
        ),
    )  # fmt: skip


def _lines(keys: Sequence[str]) -> alt.Y:
    return alt.Y(
        "row:N",
        title=None,
        scale=alt.Scale(domain=list(keys), paddingInner=0.08),
        axis=alt.Axis(ticks=False, domain=False, labelPadding=8, labelLimit=_NAME, labelOverlap=False),
    )
