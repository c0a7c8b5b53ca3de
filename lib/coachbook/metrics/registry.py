"""All metrics in the order in which a page shows them."""

from __future__ import annotations

from importlib.resources import files

from coachbook.metrics import (
    average_deal_size,
    cycle_days,
    cycle_days_lost,
    deals_won,
    open_pipeline,
    value_per_customer,
    win_rate_count,
    win_rate_value,
    won_amount,
)
from coachbook.metrics.metric import Metric
from coachbook.text import _

METRICS: tuple[Metric, ...] = (
    *won_amount.METRICS,
    *deals_won.METRICS,
    *win_rate_count.METRICS,
    *win_rate_value.METRICS,
    *average_deal_size.METRICS,
    *value_per_customer.METRICS,
    *cycle_days.METRICS,
    *cycle_days_lost.METRICS,
    *open_pipeline.METRICS,
)
MAIN: dict[str, Metric] = {m.id: m for m in reversed(METRICS)}
"""The main variant of each metric id."""

VERSION = "+".join(f"{m.id}.{m.version}" for m in METRICS)


def sql(metric_id: str) -> str:
    """The metric's query: one row per deal with `span, deal_id, rep_id, x, y`."""
    return (files("coachbook.metrics") / f"{metric_id}.sql").read_text(encoding="utf-8")


def dictionary() -> list[dict[str, str]]:
    """The metric dictionary in the active language: what `coachbook metrics` prints."""
    better = {"higher": _("higher is better"), "lower": _("lower is better"), None: _("neither")}
    return [
        {
            "id": m.id,
            "variant": m.variant,
            "title": _(m.title),
            "formula": _(m.formula),
            "basis": _(m.basis),
            "unit": m.unit,
            "good": better[m.good],
            "kind": m.kind,
            "additive": _("adds up") if m.additive else _("does not add up"),
            "smallest_n": str(m.smallest_n),
            "source": m.source,
            "version": str(m.version),
        }
        for m in METRICS
    ]
