"""What a metric is: its definition as printed, and how it is estimated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coachbook.stats.sides import Estimator
from coachbook.text import N_

CLOSED_IN_PERIOD = N_("deals with a close date in the period")
AT_AS_OF = N_("deals open at the as-of day (the data hold no history)")
Unit = Literal["money", "deals", "share", "days"]


@dataclass(frozen=True)
class Metric:
    """One registered definition, in one variant. The first variant of an id is its main one.

    `good` says which direction is better (None: neither). `smallest_n` is the fewest observations on which
    an interval stands; below it the page says "not enough data". `singled_out`: a page may name it;
    volumes are not, they follow from territory and portfolio as much as from the person.
    `counts` are the deals behind the figure, by status. `pools`: the figure of many people together is the
    same quantity as that of one; only then is one judged beside the other. `credited`: it counts parts in
    shared deals, not the owner's deals whole.
    """

    id: str
    variant: str
    title: str
    formula: str
    unit: Unit
    good: Literal["higher", "lower"] | None
    kind: Literal["result", "process", "efficiency"]
    basis: str
    additive: bool
    estimate: Estimator
    smallest_n: int
    singled_out: bool
    counts: tuple[str, ...]
    pools: bool = True
    credited: bool = False
    source: str = "METRICS"
    version: int = 1
