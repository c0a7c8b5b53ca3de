"""How large is a won deal?"""

from __future__ import annotations

from coachbook.metrics.metric import CLOSED_IN_PERIOD, Metric
from coachbook.stats import sides
from coachbook.text import N_

METRICS = (
    Metric(
        id="average_deal_size",
        variant="mean",
        title=N_("Average deal size"),
        formula=N_("won amount / won deals"),
        unit="money",
        good="higher",
        kind="result",
        basis=CLOSED_IN_PERIOD,
        additive=False,
        estimate=sides.ratios,
        smallest_n=10,
        singled_out=True,
        counts=("won",),
    ),
    Metric(
        id="average_deal_size",
        variant="median",
        title=N_("Median deal size"),
        formula=N_("median amount of won deals"),
        unit="money",
        good="higher",
        kind="result",
        basis=CLOSED_IN_PERIOD,
        additive=False,
        estimate=sides.medians,
        smallest_n=6,
        singled_out=False,
        counts=("won",),
    ),
)
