"""What every page needs, imported and rehearsed before a kernel is forked for it.

A rehearsal fills what fills itself on first use: locale data, patterns, chart schemas. It keeps to what holds no
thread: no table (Arrow), no data (DuckDB), no drawing.
"""

from __future__ import annotations

from datetime import date

import pandas  # noqa: F401 - great-tables asks for it, and so does whoever writes into a notebook

from coachbook.charts.movement import Part, movement
from coachbook.charts.strip import Bar, strip
from coachbook.charts.trend import TrendPoint, amount_trend, rate_trend
from coachbook.text import Locale, day, money, number, percent, points, speaking
from coachbook.workbooks import book, retrospective

__all__ = ["book", "retrospective"]


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
    ):
        assert picture.spec


_rehearse()
