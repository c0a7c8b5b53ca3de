"""What brought an amount from where it stood to where it stands, flow by flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import altair as alt

from coachbook.charts import theme
from coachbook.charts.picture import Picture
from coachbook.charts.rows import ems, named, rows
from coachbook.text import listed, told

_NOTE_EMS = 22
"""Width of a line of the note: what a phone has room for."""


@dataclass(frozen=True)
class Flow:
    """A step: deals, and their signed amount in major units; the figure, with a sign, that stands under the name.

    `colour` is one of the theme's; `tip` a sentence with all figures.
    """

    label: str
    deals: int
    amount: float
    figure: str
    colour: str
    tip: str


def waterfall(start: Flow, flows: Sequence[Flow], end: Flow, *, none: str, text: str) -> Picture:
    """Start, flows in the order given, end. What came in is filled, what went out hollow.

    Flows of no deal and no amount have no bar; they are named below, after `none`. The alternative text is `text`
    and all tips, theirs too.
    """
    moving = [flow for flow in flows if flow.deals or flow.amount]
    steps = list(_steps(start, moving, end))
    y = rows([step["row"] for step in steps])
    base = alt.Chart(alt.NamedData("flows")).encode(y=y)
    bars = base.mark_bar(height=22, strokeWidth=2).encode(
        x=alt.X("before:Q", axis=None),
        x2=alt.X2("after:Q"),
        fill=alt.Fill("colour:N", scale=None),
        stroke=alt.Stroke("colour:N", scale=None),
        fillOpacity=alt.FillOpacityValue(0.85, condition={"test": "datum.out", "value": 0}),
        tooltip=alt.Tooltip("tip:N", title=" "),
        description=alt.Description("tip:N"),
    )
    links = base.mark_rule(aria=False, color=theme.MUTED, strokeDash=[2, 2]).encode(
        x=alt.X("after:Q", axis=None), y2=alt.Y2("next:N")
    )
    zero = (
        alt.Chart(alt.NamedData("zero")).mark_rule(color=theme.MUTED).encode(x=alt.X("amount:Q", axis=None))
    )
    still = [flow.label for flow in flows if flow not in moving]
    chart = alt.layer(zero, links, bars, width="container", height=alt.Step(42))
    if still:
        chart = chart.properties(title=_note(none, still))
    tips = [flow.tip for flow in (start, *flows, end)]
    return Picture(chart, told([text, *tips]), {"flows": steps, "zero": [{"amount": 0}]})


def _steps(start: Flow, moving: Sequence[Flow], end: Flow) -> Iterator[dict[str, Any]]:
    """Every bar from where the one before ended; start and end from 0."""
    levels = list(accumulate([start.amount, *(flow.amount for flow in moving)]))
    steps = [start, *moving, end]
    before, after = [0, *levels[:-1], 0], [*levels, end.amount]
    names = [named(step.label, step.figure) for step in steps]
    for i, step in enumerate(steps):
        yield {
            "row": names[i], "next": names[min(i + 1, len(steps) - 1)], "before": before[i], "after": after[i],
            "out": 0 < i < len(steps) - 1 and step.amount < 0, "colour": step.colour, "tip": step.tip,
        }  # fmt: skip


def _note(none: str, labels: Sequence[str]) -> alt.TitleParams:
    """`none` and the labels, in lines that fit on a phone: nothing in a chart breaks lines by itself."""
    lines: list[list[str]] = [[]]
    for label in labels:
        if lines[-1] and ems(listed([*lines[-1], label])) > _NOTE_EMS:
            lines.append([])
        lines[-1].append(label)
    return alt.TitleParams(
        [none, *(listed([*line, ""]).rstrip() for line in lines[:-1]), listed(lines[-1])],
        orient="bottom", anchor="start", frame="bounds", offset=14,
        fontSize=theme.SIZE - 1, fontWeight="normal", color=theme.MUTED,
    )  # fmt: skip
