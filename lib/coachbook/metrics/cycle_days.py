"""How long does winning take?"""

from __future__ import annotations

from coachbook.metrics.metric import CLOSED_IN_PERIOD, Metric
from coachbook.stats import sides
from coachbook.text import N_

METRICS = (
    Metric(
        id="cycle_days",
        variant="won, median",
        title=N_("Sales cycle"),
        formula=N_("median days from creation to close of won deals"),
        unit="days",
        good="lower",
        kind="efficiency",
        basis=CLOSED_IN_PERIOD,
        additive=False,
        estimate=sides.medians,
        smallest_n=6,
        singled_out=True,
        counts=("won",),
    ),
)
