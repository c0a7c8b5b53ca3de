"""A movement taken apart: company, team, own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from coachbook.charts import theme
from coachbook.charts.picture import Picture


@dataclass(frozen=True)
class Part:
    """One part of a movement of a share (difference in [-1, 1]); the own part has an interval."""

    label: str
    value: float
    low: float | None
    high: float | None
    colour: str
    figure: str


def movement(parts: Sequence[Part], *, title: str, text: str) -> Picture:
    """One bar per part from zero, with its figure; the interval as a rule."""
    frame = pd.DataFrame([p.__dict__ for p in parts])
    reach = max([0.05, *(abs(v) for p in parts for v in (p.value, p.low, p.high) if v is not None)]) * 1.35
    scale = alt.Scale(domain=[-reach, reach])
    y = alt.Y("label:N", sort=None, title=None, axis=alt.Axis(ticks=False, domain=False, labelPadding=8))
    axis = alt.Axis(labelExpr="(datum.value > 0 ? '+' : '') + format(datum.value * 100, '.0f')", tickCount=5)
    base = alt.Chart(frame).encode(y=y)
    bars = base.mark_bar(height=16).encode(
        x=alt.X("value:Q", title=title, scale=scale, axis=axis), color=alt.Color("colour:N", scale=None)
    )
    rules = base.mark_rule(strokeWidth=2, color=theme.INK).encode(x=alt.X("low:Q", title=title), x2="high:Q")
    zero = (
        alt.Chart(pd.DataFrame({"zero": [0]}))
        .mark_rule(color=theme.MUTED)
        .encode(x=alt.X("zero:Q", title=title))
    )
    labels = base.mark_text(align="left", dx=6, baseline="bottom", dy=-7, color=theme.INK).encode(
        x=alt.X("value:Q", title=title), text="figure:N"
    )
    return Picture(
        alt.layer(zero, bars, rules, labels).properties(width="container", height=alt.Step(40)), text
    )
