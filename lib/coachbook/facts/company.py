"""What a page shows of the whole company and of everyone in it: trend, strip, bands, plain figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from coachbook.facts.observed import Sums, Tallied, Whole
from coachbook.facts.plan import EARLIER, Plan
from coachbook.metrics.metric import Metric
from coachbook.metrics.registry import MAIN
from coachbook.model.findings import K_ANONYMOUS, LEVEL
from coachbook.stats.intervals import Floats, wilson

TREND_METRICS = ("won_amount", "win_rate_count")
STRIP_METRIC = "win_rate_count"
TALLIED = ("won_amount", "deals_won", STRIP_METRIC)
"""Metrics whose plain figures stand for the company."""
BANDS = 3


def trend(metric: Metric, tallied: Tallied, plan: Plan, size: int) -> list[list[dict[str, Any]]]:
    """For each of `size` entities, one point a period: own value with interval, and everybody's."""
    points: list[list[dict[str, Any]]] = [[] for _ in range(size)]
    for period in plan.trend:
        there = tallied.people[tallied.people["span"] == period.id]
        x, y, n = (_by_entity(there, column, size) for column in ("x", "y", "n"))
        value, low, high = _point(metric, x, y, n)
        peers = there[there["peer"]]
        others = peers["person"].nunique() - np.bincount(peers["entity"] + 1, minlength=size + 1)[1:]
        everybody = _told(tallied.whole.get(period.id, Whole()), fewest=K_ANONYMOUS)
        company = everybody.x if metric.additive else _share(everybody.x, everybody.y)
        for e, line in enumerate(points):
            line.append(
                {
                    "period": period.id,
                    "value": _known(value[e]),
                    "low": _known(low[e]),
                    "high": _known(high[e]),
                    "n": int(n[e]),
                    "everybody": _known(company) if others[e] >= K_ANONYMOUS else None,
                }
            )
    return points


def _by_entity(tallied: pd.DataFrame, column: str, size: int) -> Floats:
    summed: Floats = np.bincount(tallied["entity"] + 1, tallied[column], size + 1)[1:].astype(float)
    return summed


def _point(metric: Metric, x: Floats, y: Floats, n: Floats) -> tuple[Floats, Floats, Floats]:
    unknown = np.full(len(x), np.nan)
    if metric.additive:
        return x, unknown, unknown
    value = np.divide(x, y, out=unknown.copy(), where=y > 0)
    low, high = wilson(value, n, LEVEL)
    enough = n >= metric.smallest_n
    return value, np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def strip(tallied: Tallied, who: pd.DataFrame) -> pd.DataFrame:
    """Everyone's win rate with its interval, for those who may see people by name; in ascending order."""
    there = tallied.people[tallied.people["span"] == "now"]
    x, y, n = (_by_entity(there, column, len(who)) for column in ("x", "y", "n"))
    value, low, high = _point(MAIN[STRIP_METRIC], x, y, n)
    people = {"rep_id": who["id"], "name": who["name"], "team_id": who["team_id"]}
    shown = pd.DataFrame({**people, "value": value, "low": low, "high": high, "n": n.astype(np.int64)})
    return shown.dropna(subset=["value"]).sort_values(["value", "rep_id"], ignore_index=True)


def bands(shown: pd.DataFrame, who: pd.DataFrame) -> list[list[dict[str, Any]]]:
    """For each entity, the others of the strip in up to three bands by their figure, each of at least k people."""
    place = pd.Series(np.arange(len(shown)), index=shown["rep_id"]).reindex(who["id"]).to_numpy()
    found: list[list[dict[str, Any]]] = [[] for _ in who.index]
    weight = shown["n"].to_numpy(float)
    sums = {"x": shown["value"].to_numpy() * weight, "n": weight}
    there = ~np.isnan(place)
    for entities, out in ((np.flatnonzero(there), place[there].astype(int)), (np.flatnonzero(~there), None)):
        others = len(shown) - (out is not None)
        count = min(BANDS, others // K_ANONYMOUS)
        for band in np.array_split(np.arange(others), count) if count > 0 else []:
            summed = (_sums_without(values, out, band[0], band[-1] + 1) for values in sums.values())
            x, n = (np.broadcast_to(values, len(entities)) for values in summed)
            value = x / n
            low, high = wilson(value, n, LEVEL)
            for i, e in enumerate(entities):
                found[e].append(
                    {
                        "value": float(value[i]), "low": float(low[i]), "high": float(high[i]),
                        "n": round(n[i]), "people": len(band),
                    }
                )  # fmt: skip
    return found


def _sums_without(values: Floats, out: Any, first: int, after: int) -> Any:
    """Sum of the places first..after-1 once the place `out` (one per entity; None: nobody's) is taken out."""
    until: Floats = np.append(0.0, values.cumsum())
    if out is None:
        return until[after] - until[first]

    def upto(k: int) -> Floats:
        left: Floats = np.where(k <= out, until[k], until[min(k + 1, len(values))] - values[out])
        return left

    return upto(after) - upto(first)


def everyone(tallied: Mapping[str, Tallied], plan: Plan, size: int, *, fewest: int) -> dict[str, Any]:
    """The company's plain figures, everybody in them, and how many people moved which way.

    What fewer than `fewest` people stand behind is not told: less one's own it would be a colleague's.
    """
    rates = tallied[STRIP_METRIC]
    return {
        "without_outsiders": fewest > 1 and any(_few_outsiders(whole) for whole in rates.whole.values()),
        "figures": {
            metric: {
                span: _figure(MAIN[metric], tallied[metric].whole.get(span, Whole()), fewest)
                if span in plan.compared
                else None
                for span in ("now", *EARLIER)
            }
            for metric in TALLIED
        },
        "moved": {then: _moved(rates.people, then, size, fewest) for then in EARLIER},
    }


def _few_outsiders(whole: Whole) -> bool:
    """Whether so few others stand beside the roster that, less the roster, they could be solved for."""
    return 0 < whole.outsiders < K_ANONYMOUS


def _told(whole: Whole, *, fewest: int) -> Sums:
    """Everybody; the roster alone where it has few outsiders, unless people may be told apart."""
    return whole.peers if fewest > 1 and _few_outsiders(whole) else whole.everybody


def _figure(metric: Metric, whole: Whole, fewest: int) -> dict[str, Any]:
    sums = _told(whole, fewest=fewest)
    if 0 < sums.people < fewest:
        return {"value": None, "n": None}
    return {"value": round(sums.x) if metric.additive else _share(sums.x, sums.y), "n": sums.deals}


def _moved(people: pd.DataFrame, then: str, size: int, fewest: int) -> dict[str, int] | None:
    """How many people's win rate fell, and rose, among those with decided deals in both spans."""
    rates = []
    for span in ("now", then):
        there = people[people["span"] == span]
        x, n = (_by_entity(there, column, size) for column in ("x", "n"))
        rates.append(np.divide(x, n, out=np.full(size, np.nan), where=n > 0))
    change = (rates[0] - rates[1])[~np.isnan(rates[0] - rates[1])]
    if 0 < len(change) < fewest:
        return None
    return {"fell": int((change < 0).sum()), "rose": int((change > 0).sum()), "of": len(change)}


def _share(x: float, y: float) -> float | None:
    return x / y if y else None


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
