"""A figure over the last periods, with its interval, beside everybody's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import altair as alt

from coachbook.charts import theme
from coachbook.charts.picture import Picture
from coachbook.text import Locale, active


@dataclass(frozen=True)
class TrendPoint:
    """One period. Shares in [0, 1] or money in major units; None where nothing is known."""

    period: str
    value: float | None
    low: float | None
    high: float | None
    everybody: float | None
    tip: str


def rate_trend(points: Sequence[TrendPoint], *, own: str, everybody: str, title: str, text: str) -> Picture:
    """Lines of own and everybody's share, the own with a band for its interval."""
    x = alt.X("period:O", title=None, axis=alt.Axis(labelAngle=0, labelOverlap="greedy", labelSeparation=14))
    scale = alt.Scale(domain=[0, 1])
    base = alt.Chart(alt.NamedData("points")).encode(x=x)
    band = base.mark_area(opacity=0.18, color=theme.ACCENT).encode(
        y=alt.Y("low:Q", title=title, scale=scale, axis=alt.Axis(format=".0%")), y2=alt.Y2("high:Q")
    )
    long = [
        {"period": p.period, "who": who, "figure": figure, "tip": p.tip}
        for who, figures in ((own, [p.value for p in points]), (everybody, [p.everybody for p in points]))
        for p, figure in zip(points, figures, strict=True)
    ]
    colour = alt.Color("who:N", scale=alt.Scale(domain=[own, everybody], range=[theme.ACCENT, theme.MUTED]))
    lines = (
        alt.Chart(alt.NamedData("lines"))
        .mark_line(point=True)
        .encode(
            x=x,
            y=alt.Y("figure:Q", title=title, scale=scale),
            color=colour,
            strokeDash=alt.StrokeDash(
                "who:N", scale=alt.Scale(domain=[own, everybody], range=[[1, 0], [5, 4]])
            ),
            tooltip=alt.Tooltip("tip:N", title=" "),
        )
    )
    chart = alt.layer(band, lines).properties(width="container", height=240)
    return Picture(chart, text, {"points": [asdict(p) for p in points], "lines": long})


def amount_trend(points: Sequence[TrendPoint], *, title: str, text: str) -> Picture:
    """Bars of an amount per period; the last one, the period looked at, stands out."""
    marked = [{**asdict(p), "last": p is points[-1]} for p in points]
    chinese = "datum.value === 0 ? '0' : format(datum.value / 10000, ',.4~r') + '万'"
    english = "replace(format(datum.value, '~s'), 'G', 'B')"
    axis = alt.Axis(labelExpr=chinese if active() is Locale.ZH_CN else english)
    bars = (
        alt.Chart(alt.NamedData("points"))
        .mark_bar()
        .encode(
            x=alt.X(
                "period:O", title=None, axis=alt.Axis(labelAngle=0, labelOverlap="greedy", labelSeparation=14)
            ),
            y=alt.Y("value:Q", title=title, axis=axis),
            color=alt.ColorValue("#b9c7d9", condition={"test": "datum.last", "value": theme.ACCENT}),
            tooltip=alt.Tooltip("tip:N", title=" "),
        )
    )
    return Picture(bars.properties(width="container", height=180), text, {"points": marked})
