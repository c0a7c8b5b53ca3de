"""What every page needs, imported and rehearsed before a kernel is forked for it.

A rehearsal fills what fills itself on first use: locale data, patterns, chart schemas. It keeps to what holds no
thread: no table (Arrow), no data (DuckDB), no drawing.
"""

from __future__ import annotations

from datetime import date

import pandas  # noqa: F401 - great-tables asks for it, and so does whoever writes into a notebook

from coachbook.charts.dwell import Expected, Stay, StayPoint, dwell
from coachbook.charts.funnel import StageBar, funnel
from coachbook.charts.heat import Cell, HeatRow, heat
from coachbook.charts.journey import Lane, Mark, Visit, journey
from coachbook.charts.movement import Part, movement
from coachbook.charts.picture import Picture
from coachbook.charts.strip import Bar, strip
from coachbook.charts.trend import TrendPoint, amount_trend, rate_trend
from coachbook.charts.waterfall import Flow, waterfall
from coachbook.facts import funnel_document
from coachbook.text import Locale, day, money, number, percent, points, speaking
from coachbook.workbooks import book, funnel_review, retrospective

__all__ = ["book", "funnel_review", "retrospective"]


def _rehearse() -> None:
    for locale in Locale:
        with speaking(locale):
            texts = [
                day(date(2000, 2, 29)),
                money(123456, "USD"),
                number(1234.5, 1),
                percent(0.5),
                points(-0.25),
            ]
    text = " ".join(texts)
    trend = [TrendPoint("2000-02", 0.5, 0.4, 0.6, None, text)]
    for picture in (
        rate_trend(trend, own=text, everybody="", title=text, text=text),
        amount_trend(trend, title=text, text=text),
        movement([Part(text, 0.5, 0.4, 0.6, "#000000", text)], title=text, text=text),
        strip([Bar(text, 0.5, 0.4, 0.6, own=True, tip=text)], title=text, text=text),
        *_of_funnels(text),
    ):
        assert picture.spec
    assert funnel_document.pages()
    assert funnel_document.companies()


def _of_funnels(text: str) -> list[Picture]:
    day_ = date(2000, 2, 29)
    flow = Flow(text, 1, 1.0, text, "#000000", text)
    stay = Stay(text, (StayPoint(1, 0.5, 0.4, 0.6, text),), text)
    told = StageBar(text, 0.5, 0.4, 0.6, 0.5, text, text)
    return [
        funnel([told, StageBar("-", None, None, None, None, text, text)], title=text, expected=text, unknown=text, text=text),
        heat([HeatRow(text, (Cell(0.1, text, text), Cell(None, text, text)))], [text, "-"], title=text, unknown=text, text=text),
        dwell(stay, Stay("-", (), text), expected=Expected(1, text), ends=text, days=text, title=text, text=text),
        waterfall(flow, [flow, Flow("-", 0, 0, text, "#000000", text)], flow, none=text, text=text),
        journey(
            [Visit(text, day_, day_, known=True, tip=text)], [Mark("-", day_, "up", text)],
            [Lane(text, text), Lane("-", text)], text=text,
        ),
    ]  # fmt: skip


_rehearse()
