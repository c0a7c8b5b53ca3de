"""Coverage by hand: the pipeline of each evening counted deal by deal. Never imports coachbook.

Working days are Monday to Friday; amounts are all in the reporting currency.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta

import numpy as np

from tests.oracles.velocity import Company, Scope, credited

Days = tuple[date, date]
"""First day, and the day after the last."""


def same_point(now: Days, as_of: date, then: Days) -> date:
    """The first day after which an earlier period has as many working days left."""
    left = np.busday_count(as_of + timedelta(days=1), now[1])
    day = then[1]
    while np.busday_count(day, then[1]) <= left:
        day -= timedelta(days=1)
    return day


def pipeline(
    company: Company, day: date, closing: Days, as_of: date
) -> dict[Scope, dict[str, tuple[float, float]]]:
    """By scope and deal: worth on the evening of the day, and what it was won with, as known later."""
    found: dict[Scope, dict[str, tuple[float, float]]] = defaultdict(dict)
    for deal in company.deals:
        state, later = deal.evening(day), deal.evening(as_of)
        if not state or state["status"] != "open" or not closing[0] <= state["close_on"] < closing[1]:
            continue
        assert later
        is_won = later["status"] == "won" and closing[0] <= later["close_on"] < closing[1]
        for scope in company.scopes(state["owner"], day):
            found[scope][deal.id] = state["amount"] or 0, (later["amount"] or 0) if is_won else 0
    return dict(found)


def won(company: Company, closing: Days, as_of: date) -> dict[Scope, int]:
    """Of deals that stand won, by who has the credit."""
    found: dict[Scope, int] = defaultdict(int)
    for deal in company.deals:
        now = deal.evening(as_of)
        if now and now["status"] == "won" and closing[0] <= now["close_on"] < closing[1]:
            counts_on = max(min(now["close_on"], as_of), deal.created)
            for scope in company.scopes(credited(deal, as_of), counts_on):
                found[scope] += now["amount"] or 0
    return dict(found)
