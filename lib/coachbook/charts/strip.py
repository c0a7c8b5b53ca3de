"""Shares side by side, each with its interval: a naked rank is never shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import altair as alt

from coachbook.charts import theme
from coachbook.charts.picture import Picture
from coachbook.charts.rows import distinct

_NAME = 165
"""Room for a name, in pixels: half of what a phone has."""


@dataclass(frozen=True)
class Bar:
    """One row: a share in [0, 1] with its interval; all None, and nothing is drawn, where there are too few to say."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    own: bool
    tip: str


def strip(bars: Sequence[Bar], *, title: str, text: str) -> Picture:
    """One line per row in the order given, interval as a rule, figure as a point, the own in colour."""
    y = alt.Y(
        "row:N",
        title=None,
        sort=alt.SortField("order"),
        axis=alt.Axis(ticks=False, domain=False, labelPadding=8, labelLimit=_NAME),
    )
    rows = distinct([b.label for b in bars])
    ordered = [
        asdict(b) | {"row": row, "order": i} for i, (b, row) in enumerate(zip(bars, rows, strict=True))
    ]
    x = alt.X(
        "value:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%", tickCount=5)
    )
    colour = alt.ColorValue("#9aa3ad", condition={"test": "datum.own", "value": theme.ACCENT})
    base = alt.Chart(alt.NamedData("bars")).encode(y=y, color=colour, tooltip=alt.Tooltip("tip:N", title=" "))
    rules = base.mark_rule(strokeWidth=3, opacity=0.55).encode(
        x=alt.X("low:Q", title=title), x2=alt.X2("high:Q")
    )
    dots = base.mark_point(size=90, opacity=1).encode(x=x)
    chart = alt.layer(rules, dots).properties(width="container", height=alt.Step(26))
    return Picture(chart, text, {"bars": ordered})
