"""A figure over the last periods, with its interval, beside everybody's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

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
    frame = _frame(points)
    x = alt.X("period:O", title=None, axis=alt.Axis(labelAngle=0, labelOverlap="greedy", labelSeparation=14))
    scale = alt.Scale(domain=[0, 1])
    base = alt.Chart(frame).encode(x=x)
    band = base.mark_area(opacity=0.18, color=theme.ACCENT).encode(
        y=alt.Y("low:Q", title=title, scale=scale, axis=alt.Axis(format=".0%")), y2="high:Q"
    )
    long = pd.concat(
        [
            frame.assign(who=own, figure=frame["value"])[["period", "who", "figure", "tip"]],
            frame.assign(who=everybody, figure=frame["everybody"])[["period", "who", "figure", "tip"]],
        ]
    )
    colour = alt.Color("who:N", scale=alt.Scale(domain=[own, everybody], range=[theme.ACCENT, theme.MUTED]))
    lines = (
        alt.Chart(long)
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
    return Picture(alt.layer(band, lines).properties(width="container", height=240), text)


def amount_trend(points: Sequence[TrendPoint], *, title: str, text: str) -> Picture:
    """Bars of an amount per period; the last one, the period looked at, stands out."""
    frame = _frame(points)
    frame["last"] = frame["period"] == frame["period"].iloc[-1] if len(frame) else []
    chinese = "datum.value === 0 ? '0' : format(datum.value / 10000, ',.4~r') + '万'"
    english = "replace(format(datum.value, '~s'), 'G', 'B')"
    axis = alt.Axis(labelExpr=chinese if active() is Locale.ZH_CN else english)
    bars = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X(
                "period:O", title=None, axis=alt.Axis(labelAngle=0, labelOverlap="greedy", labelSeparation=14)
            ),
            y=alt.Y("value:Q", title=title, axis=axis),
            color=alt.condition("datum.last", alt.value(theme.ACCENT), alt.value("#b9c7d9")),
            tooltip=alt.Tooltip("tip:N", title=" "),
        )
    )
    return Picture(bars.properties(width="container", height=180), text)


def _frame(points: Sequence[TrendPoint]) -> pd.DataFrame:
    columns = ["period", "value", "low", "high", "everybody", "tip"]
    return pd.DataFrame([[getattr(p, c) for c in columns] for p in points], columns=columns)
