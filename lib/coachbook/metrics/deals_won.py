"""How many deals were won?"""

from __future__ import annotations

from coachbook.metrics.metric import CLOSED_IN_PERIOD, Metric
from coachbook.stats import sides
from coachbook.text import N_

METRICS = (
    Metric(
        id="deals_won",
        variant="closed",
        title=N_("Deals won"),
        formula=N_("number of won deals"),
        unit="deals",
        good="higher",
        kind="result",
        basis=CLOSED_IN_PERIOD,
        additive=True,
        estimate=sides.totals,
        smallest_n=5,
        singled_out=False,
        counts=("won",),
    ),
)
