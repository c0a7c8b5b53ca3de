"""How much was won?"""

from __future__ import annotations

from coachbook.metrics.metric import CLOSED_IN_PERIOD, Metric
from coachbook.stats import sides
from coachbook.text import N_

METRICS = (
    Metric(
        id="won_amount",
        variant="signed",
        title=N_("Won amount"),
        formula=N_("sum of the credited amounts of won deals"),
        unit="money",
        good="higher",
        kind="result",
        basis=CLOSED_IN_PERIOD,
        additive=True,
        estimate=sides.totals,
        smallest_n=5,
        singled_out=False,
        counts=("won",),
        credited=True,
    ),
)
