"""The life of one deal: where it was when, and what was done to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from typing import Any, Literal

import altair as alt

from coachbook.charts import theme
from coachbook.charts.picture import Picture
from coachbook.charts.rows import heading as above
from coachbook.charts.rows import named, rows, sentence
from coachbook.text import told

Shape = Literal["later", "earlier", "up", "down", "dot", "cross"]
_DRAWN: Mapping[Shape, tuple[str, str]] = {
    "later": ("triangle-right", theme.WORSE),
    "earlier": ("triangle-left", theme.INK),
    "up": ("triangle-up", theme.BETTER),
    "down": ("triangle-down", theme.WORSE),
    "dot": ("circle", theme.INK),
    "cross": ("M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z", theme.WORSE),
}
_LONG_DAYS = 200
"""A life of more days than that has only months on its axis."""


@dataclass(frozen=True)
class Lane:
    """A line across the picture: a stage, or a kind of thing that happens; `figure` stands under its name."""

    name: str
    figure: str


@dataclass(frozen=True)
class Visit:
    """From a day to a day in the lane of a stage; not `known`: it is not recorded where the deal was. `tip` says it."""

    lane: str
    first: date
    last: date
    known: bool
    tip: str


@dataclass(frozen=True)
class Mark:
    """Something that happened on a day, in a lane of its kind; `tip` says it in a sentence."""

    lane: str
    day: date
    shape: Shape
    tip: str


def journey(
    visits: Sequence[Visit], marks: Sequence[Mark], lanes: Sequence[Lane], *, text: str, heading: str = ""
) -> Picture:
    """Lanes top to bottom in the order given: stages as steps in order of time, below them what happened; `heading` above.

    Where the stage is not recorded the line is dotted. The alternative text is `text`, the lanes with their figures,
    and all tips in order of time.
    """
    keys = {lane.name: named(lane.name, lane.figure) for lane in lanes}
    days = [day for visit in visits for day in (visit.first, visit.last)] + [mark.day for mark in marks]
    time = _time(long=bool(days) and (max(days) - min(days)).days > _LONG_DAYS)
    y = rows(list(keys.values()), grid=True)
    tip = {"tooltip": alt.Tooltip("tip:N", title=" "), "description": alt.Description("tip:N")}
    stays = alt.Chart(alt.NamedData("visits")).encode(x=alt.X("first:T", **time), y=y)
    lines = stays.mark_rule(strokeWidth=6, color=theme.ACCENT).encode(
        x2=alt.X2("last:T"),
        strokeDash=alt.StrokeDashValue([1, 0], condition={"test": "!datum.known", "value": [2, 4]}),
        **tip,
    )
    steps = stays.mark_rule(aria=False, strokeWidth=1.5, color=theme.ACCENT).encode(
        x=alt.X("last:T", **time), y2=alt.Y2("next:N")
    )
    starts = stays.mark_point(size=70, opacity=1, color=theme.ACCENT).encode(**tip)
    happened = (
        alt.Chart(alt.NamedData("marks"))
        .mark_point(size=100, opacity=0.8)
        .encode(
            x=alt.X("day:T", **time),
            y=y,
            shape=alt.Shape("shape:N", scale=None),
            color=alt.Color("colour:N", scale=None),
            **tip,
        )
    )
    chart = alt.layer(steps, lines, starts, happened, width="container", height=alt.Step(42))
    if heading:
        chart = chart.properties(title=above([heading]))
    story = sorted([*((v.first, v.tip) for v in visits), *((m.day, m.tip) for m in marks)], key=itemgetter(0))
    names = sentence([f"{lane.name} {lane.figure}" for lane in lanes])
    return Picture(chart, told([text, names, *(tip for _day, tip in story)]), {
        "visits": _stays(visits, keys), "marks": [_happened(mark, keys) for mark in marks],
    })  # fmt: skip


def _stays(visits: Sequence[Visit], keys: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each with the row of the next, to which it steps; the last steps nowhere."""
    return [
        {
            "row": keys[visit.lane], "next": keys[then.lane], "first": visit.first.isoformat(),
            "last": visit.last.isoformat(), "known": visit.known, "tip": visit.tip,
        }
        for visit, then in zip(visits, [*visits[1:], *visits[-1:]], strict=True)
    ]  # fmt: skip


def _happened(mark: Mark, keys: Mapping[str, str]) -> dict[str, Any]:
    shape, colour = _DRAWN[mark.shape]
    day = mark.day.isoformat()
    return {"row": keys[mark.lane], "day": day, "shape": shape, "colour": colour, "tip": mark.tip}


def _time(*, long: bool) -> dict[str, Any]:
    """Days are the same days wherever the page is read: a date is midnight in Greenwich, and is written as that."""
    axis = alt.Axis(
        format="%Y-%m" if long else "%Y-%m-%d", tickCount=alt.ExprRef("width / 90"), labelOverlap="greedy",
        labelSeparation=12, labelBound=34,
    )  # fmt: skip
    return {"title": None, "scale": alt.Scale(type="utc", padding=8), "axis": axis}
