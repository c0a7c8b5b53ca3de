"""How long does losing take?"""

from __future__ import annotations

from coachbook.metrics.metric import CLOSED_IN_PERIOD, Metric
from coachbook.stats import sides
from coachbook.text import N_

METRICS = (
    Metric(
        id="cycle_days_lost",
        variant="lost, median",
        title=N_("Time to loss"),
        formula=N_("median days from creation to close of lost deals"),
        unit="days",
        good=None,
        kind="efficiency",
        basis=CLOSED_IN_PERIOD,
        additive=False,
        estimate=sides.medians,
        smallest_n=6,
        singled_out=False,
        counts=("lost",),
    ),
)
