"""How much is open?"""

from __future__ import annotations

from coachbook.metrics.metric import AT_AS_OF, Metric
from coachbook.stats import sides
from coachbook.text import N_

METRICS = (
    Metric(
        id="open_pipeline",
        variant="at as-of",
        title=N_("Open pipeline"),
        formula=N_("sum of the amounts of open deals"),
        unit="money",
        good="higher",
        kind="result",
        basis=AT_AS_OF,
        additive=True,
        estimate=sides.totals,
        smallest_n=5,
        singled_out=False,
        counts=("open",),
    ),
)
