"""Stages top to bottom: the share that got so far, with its interval, beside what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import altair as alt

from coachbook.charts import theme
from coachbook.charts.picture import Picture
from coachbook.charts.rows import named, rows
from coachbook.text import told


@dataclass(frozen=True)
class StageBar:
    """One stage: a share in [0, 1] with its interval; all three None where it cannot be told.

    `figure` is what stands under the name (share and number of deals); `tip` a sentence with all figures.
    """

    label: str
    value: float | None
    low: float | None
    high: float | None
    expected: float | None
    figure: str
    tip: str


def funnel(stages: Sequence[StageBar], *, title: str, expected: str, unknown: str, text: str) -> Picture:
    """A bar per stage in the order given, its interval on it, what was expected as a tick across.

    A stage that cannot be told is a dotted line that says `unknown`. The alternative text is `text` and all tips.
    """
    bars = [asdict(stage) | {"row": named(stage.label, stage.figure)} for stage in stages]
    unsaid = [
        {"row": bar["row"], "unknown": unknown, **_beside(bar["expected"])}
        for bar in bars
        if bar["value"] is None
    ]
    y = rows([bar["row"] for bar in bars])
    axis = alt.Axis(format=".0%", tickCount=4, labelFlush=True, titleAnchor="end")

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=axis)

    base = alt.Chart(alt.NamedData("stages")).encode(
        y=y, tooltip=alt.Tooltip("tip:N", title=" "), description=alt.Description("tip:N")
    )
    reached = base.mark_bar(height=26, color=theme.ACCENT, opacity=0.3).encode(x=x("value"))
    whiskers = base.mark_rule(strokeWidth=3, color=theme.ACCENT).encode(x=x("low"), x2=alt.X2("high:Q"))
    end = base.mark_tick(thickness=3, size=12, opacity=1, color=theme.ACCENT)
    ticks = base.mark_tick(thickness=3, size=36, opacity=1).encode(x=x("expected"), color=_key(expected))
    missing = alt.Chart(alt.NamedData("unknown")).encode(y=y)
    lines = missing.mark_rule(strokeDash=[2, 4], color=theme.MUTED)
    words = missing.mark_text(align=alt.ExprRef("datum.side"), dy=-10, color=theme.MUTED).encode(
        x=x("at"), text=alt.Text("unknown:N")
    )
    layers = [reached, lines, words, whiskers, end.encode(x=x("low")), end.encode(x=x("high"))]
    if any(stage.expected is not None for stage in stages):
        layers.append(ticks)
    chart = alt.layer(*layers, width="container", height=alt.Step(48))
    return Picture(chart, told([text, *(stage.tip for stage in stages)]), {"stages": bars, "unknown": unsaid})


def _key(expected: str) -> alt.ColorDatum:
    """A legend that shows the tick as it is drawn."""
    return alt.ColorDatum(
        expected,
        scale=alt.Scale(domain=[expected], range=[theme.INK]),
        legend=alt.Legend(
            symbolType="M0,-0.7L0,0.7", symbolStrokeColor=theme.INK, symbolStrokeWidth=3, symbolSize=300
        ),
    )


def _beside(expected: float | None) -> dict[str, object]:
    """Where words keep clear of the tick: the end of the line that is further from it."""
    right = expected is not None and expected < 0.5
    return {"at": 1, "side": "right"} if right else {"at": 0, "side": "left"}
