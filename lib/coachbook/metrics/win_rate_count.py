"""Which share of decided deals was won?"""

from __future__ import annotations

from coachbook.metrics.metric import CLOSED_IN_PERIOD, Metric
from coachbook.stats import sides
from coachbook.text import N_

METRICS = (
    Metric(
        id="win_rate_count",
        variant="closed, narrow",
        title=N_("Win rate"),
        formula=N_("won deals / (won + lost deals)"),
        unit="share",
        good="higher",
        kind="efficiency",
        basis=CLOSED_IN_PERIOD,
        additive=False,
        estimate=sides.rates,
        smallest_n=5,
        singled_out=True,
        counts=("won", "lost"),
    ),
)
