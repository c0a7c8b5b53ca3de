"""How long deals stay in a stage: the share still there, day by day, own and everybody's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import altair as alt

from coachbook.charts import theme
from coachbook.charts.picture import Picture
from coachbook.charts.rows import heading as above
from coachbook.charts.rows import sentence
from coachbook.text import told

_TAIL = 0.05
"""The last few may stay for years: once so few are there, a curve no longer stretches the picture."""
_LEGEND = 270
"""Room for words in the legend, in pixels: what a phone has."""


@dataclass(frozen=True)
class StayPoint:
    """From this working day on, until the next point, that share in [0, 1] is still there; `tip` says so.

    `low` and `high` None: no interval is drawn.
    """

    day: float
    staying: float
    low: float | None
    high: float | None
    tip: str


@dataclass(frozen=True)
class Stay:
    """The curve of one side, by day, as far as its data go; no points where it cannot be told.

    `who` stands in the legend; `tip` sums the curve up in a sentence.
    """

    who: str
    points: tuple[StayPoint, ...]
    tip: str


@dataclass(frozen=True)
class Expected:
    """By this working day half should have left; `label` says so, figure and all."""

    day: float
    label: str


def dwell(
    own: Stay,
    everybody: Stay,
    *,
    expected: Expected | None,
    ends: str,
    days: str,
    title: str,
    text: str,
    heading: str = "",
) -> Picture:
    """Two step curves, the own with a band for its interval; where half should have left, a rule with a diamond.

    A curve whose data end while somebody is still there ends in a ring, which `ends` explains. `days` and `title`
    name the axes, `heading` says which stays these are. The alternative text is `text`, then each curve with the points drawn, then what is expected.
    """
    sides = (own, everybody)
    until = max([expected.day if expected else 1.0, *(_stretch(side.points) for side in sides)])
    drawn = {side.who: _until(side.points, until) for side in sides}
    names, colours = [side.who for side in sides], [theme.ACCENT, theme.MUTED]
    marks = list(_marks(sides, colours, until, ends))
    if expected:
        marks.insert(0, _mark(expected.label, expected.day, 0.5, theme.INK))
    x, y = _axes(until, days, title)
    band = (
        alt.Chart(alt.NamedData("band"))
        .mark_area(interpolate="step-after", opacity=0.18, color=theme.ACCENT, clip=True)
        .encode(x=x, y=alt.Y("low:Q", title=title), y2=alt.Y2("high:Q"))
    )
    rule = (
        alt.Chart(alt.NamedData("expected"))
        .mark_rule(color=theme.INK, strokeWidth=1.5, strokeDash=[2, 3])
        .encode(x=x)
    )
    layers = [band, rule, *_curves(x, y, names, colours)]
    if marks:
        shapes = {mark["what"]: "circle" if mark["what"] == ends else "diamond" for mark in marks}
        layers.append(_marked(x, y, shapes))
    data = {
        "lines": [{"who": who, **asdict(point)} for who in names for point in drawn[who]],
        "band": [asdict(point) for point in drawn[own.who] if point.low is not None],
        "marks": marks,
        "expected": [asdict(expected)] if expected else [],
    }
    said = [part for side in sides for part in (side.tip, *(point.tip for point in drawn[side.who]))]
    said += [sentence([expected.label])] if expected else []
    chart = alt.layer(*layers, width="container", height=260)
    if heading:
        chart = chart.properties(title=above([heading]))
    return Picture(chart, told([text, *said]), data)


def _axes(until: float, days: str, title: str) -> tuple[alt.X, alt.Y]:
    scale = alt.Scale(domain=[0, until], nice=False)
    quarters = alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1])
    return (
        alt.X("day:Q", title=days, scale=scale, axis=alt.Axis(tickMinStep=1)),
        alt.Y("staying:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=quarters),
    )


def _curves(x: alt.X, y: alt.Y, names: list[str], colours: list[str]) -> list[alt.Chart]:
    """The curves, and under the mouse what each point says."""
    legend = alt.Legend(
        symbolType="stroke", symbolSize=500, direction="vertical", rowPadding=0, labelLimit=_LEGEND
    )
    base = alt.Chart(alt.NamedData("lines")).encode(x=x, y=y)
    return [
        base.mark_line(interpolate="step-after", clip=True).encode(
            color=alt.Color("who:N", scale=alt.Scale(domain=names, range=colours), legend=legend),
            strokeDash=alt.StrokeDash("who:N", scale=alt.Scale(domain=names, range=[[1, 0], [5, 4]]), legend=legend),
        ),
        base.mark_point(size=120, opacity=0, clip=True).encode(
            tooltip=alt.Tooltip("tip:N", title=" "), description=alt.Description("tip:N")
        ),
    ]  # fmt: skip


def _marks(
    sides: Sequence[Stay], colours: Sequence[str], until: float, ends: str
) -> Iterator[dict[str, Any]]:
    """A ring where a curve's data end."""
    for side, colour in zip(sides, colours, strict=True):
        for last in side.points[-1:]:
            if last.staying > 0 and last.day <= until:
                yield _mark(ends, last.day, last.staying, colour)


def _mark(what: str, day: float, staying: float, colour: str) -> dict[str, Any]:
    return {"what": what, "day": day, "staying": staying, "colour": colour}


def _marked(x: alt.X, y: alt.Y, shapes: Mapping[str, str]) -> alt.Chart:
    """Rings and the diamond, explained below: words in the picture would get in the way of the curves."""
    drawn: alt.Chart = (
        alt.Chart(alt.NamedData("marks"))
        .mark_point(filled=False, size=90, strokeWidth=2.5, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color("colour:N", scale=None),
            shape=alt.Shape(
                "what:N",
                scale=alt.Scale(domain=list(shapes), range=list(shapes.values())),
                legend=alt.Legend(
                    orient="bottom", direction="vertical", symbolStrokeColor=theme.INK, labelLimit=_LEGEND
                ),
            ),
        )
    )
    return drawn


def _stretch(points: Sequence[StayPoint]) -> float:
    """The day up to which a curve is worth looking at."""
    return next((p.day for p in points if p.staying <= _TAIL), points[-1].day if points else 0.0)


def _until(points: Sequence[StayPoint], day: float) -> list[StayPoint]:
    """The points up to a day, and the next: the line goes on to the edge of the picture."""
    inside = sum(point.day <= day for point in points)
    return list(points[: inside + 1])
