"""A movement taken apart: company, team, own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import altair as alt

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
    """One bar per part from zero, its figure beside the name; the interval as a whisker."""
    labelled = [asdict(p) | {"label": f"{p.label}  {p.figure}"} for p in parts]
    reach = max([0.05, *(abs(v) for p in parts for v in (p.value, p.low, p.high) if v is not None)]) * 1.1
    scale = alt.Scale(domain=[-reach, reach])
    y = alt.Y("label:N", sort=None, title=None, axis=alt.Axis(ticks=False, domain=False, labelPadding=8))
    axis = alt.Axis(
        labelExpr="(datum.value > 0 ? '+' : '') + format(datum.value * 100, '.0f')",
        tickCount=4,
        labelOverlap="greedy",
        labelSeparation=10,
    )
    base = alt.Chart(alt.NamedData("parts")).encode(y=y)
    bars = base.mark_bar(height=16).encode(
        x=alt.X("value:Q", title=title, scale=scale, axis=axis), color=alt.Color("colour:N", scale=None)
    )
    whiskers = base.encode(x=alt.X("low:Q", title=title), x2=alt.X2("high:Q")).mark_rule(
        strokeWidth=2, color=theme.INK
    )
    ends = [
        base.mark_tick(thickness=2, size=12, color=theme.INK).encode(x=alt.X(f"{e}:Q", title=title))
        for e in ("low", "high")
    ]
    zero = (
        alt.Chart(alt.NamedData("zero")).mark_rule(color=theme.MUTED).encode(x=alt.X("zero:Q", title=title))
    )
    chart = alt.layer(zero, bars, whiskers, *ends).properties(width="container", height=alt.Step(34))
    return Picture(chart, text, {"parts": labelled, "zero": [{"zero": 0}]})
