"""How much does a buying customer bring?"""

from __future__ import annotations

from coachbook.metrics.metric import CLOSED_IN_PERIOD, Metric
from coachbook.stats import sides
from coachbook.text import N_

METRICS = (
    Metric(
        id="value_per_customer",
        variant="signed",
        title=N_("Average value per customer"),
        formula=N_("won amount / distinct customers who bought"),
        unit="money",
        good="higher",
        kind="result",
        basis=CLOSED_IN_PERIOD,
        additive=False,
        estimate=sides.ratios,
        smallest_n=10,
        singled_out=False,
        counts=("won",),
        pools=False,
    ),
)
