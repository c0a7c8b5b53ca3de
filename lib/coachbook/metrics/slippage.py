"""How much of what was to close in a period was put off, and what became of the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from duckdb import DuckDBPyConnection

from coachbook.metrics.bridge import Amount
from coachbook.model.findings import LEVEL, Interval
from coachbook.model.periods import Span
from coachbook.stats.intervals import wilson
from coachbook.warehouse.database import CONVERTED

Outcome = Literal["won", "lost", "deleted", "slipped", "overdue", "due"]
OUTCOMES: tuple[Outcome, ...] = ("won", "lost", "deleted", "slipped", "overdue", "due")
"""Decided; gone; open with a close date after the period, or none any more; open with one that has passed; open with one
that has not, while the period still runs."""
SMALLEST_N = 5
_Scope = tuple[str, str]


@dataclass(frozen=True)
class Slippage:
    """Deals that, when the period began, were open with a close date in it, by what became of them.

    Parameters
    ----------
    outcomes
        All of `OUTCOMES`. Amounts in minor units of the reporting currency, as they were when the period began, at
        its first day's rate; deals without an amount or a rate count 0.
    squares, negative
        Sum of the squares of these amounts, in minor units squared; how many deals have one below 0.
    pushes, push_days
        How often close dates of these deals were moved to a later day while they were open, and by how many days in all.
    """

    outcomes: Mapping[Outcome, Amount]
    squares: float = 0.0
    negative: int = 0
    pushes: int = 0
    push_days: int = 0

    @property
    def due(self) -> Amount:
        """All of them."""
        return Amount(
            sum(a.count for a in self.outcomes.values()), sum(a.minor for a in self.outcomes.values())
        )

    @property
    def share(self) -> float | None:
        """Share of these deals that slipped, in [0, 1], by count; lower is better. None: there were none."""
        return self.outcomes["slipped"].count / self.due.count if self.due.count else None

    @property
    def share_of_value(self) -> float | None:
        """The same by amount; None: they amount to nothing, or some amounts are below 0."""
        if self.negative or self.due.minor <= 0:
            return None
        return self.outcomes["slipped"].minor / self.due.minor

    @property
    def effective_n(self) -> float:
        """So many deals of one size tell as much by amount as these (Kish, Survey Sampling, 1965, 11.7)."""
        return self.due.minor**2 / self.squares if self.squares else 0.0

    @property
    def interval(self) -> Interval | None:
        """Wilson's, of `share`; None with fewer than `SMALLEST_N` deals."""
        return _interval(self.share, self.due.count)

    @property
    def interval_of_value(self) -> Interval | None:
        """The same of `share_of_value`, by `effective_n`."""
        return _interval(self.share_of_value, self.effective_n)


def _interval(share: float | None, n: float) -> Interval | None:
    if share is None or n < SMALLEST_N:
        return None
    low, high = wilson(np.array(share), np.array(float(n)), LEVEL)
    return Interval(float(low), float(high))


def slippage(connection: DuckDBPyConnection, span: Span, as_of: date) -> Mapping[_Scope, Slippage]:
    """By kind (rep, team, org) and id; scopes without such a deal are not in it.

    Deals count for whoever owned them when the period began, and for the team he or she was in then, whoever has them
    later. `connection`: what was known at the end of `as_of` (`Snapshot.known`); while the period still runs, deals
    whose close date has not come are `due`.
    """
    until = min(span.after, as_of + timedelta(days=1))
    connection.execute(CONVERTED)
    sql = (files("coachbook.metrics") / "slippage.sql").read_text(encoding="utf-8")
    values = {"first": span.first, "after": span.after, "until": until}
    counted: dict[_Scope, dict[str, Amount]] = defaultdict(dict)
    summed: dict[_Scope, list[Any]] = defaultdict(lambda: [0.0, 0, 0, 0])
    for kind, id_, outcome, deals, minor, *sums in connection.execute(sql, values).fetchall():
        counted[kind, id_][outcome] = Amount(deals, minor)
        summed[kind, id_] = [a + b for a, b in zip(summed[kind, id_], sums, strict=True)]
    none = Amount()
    return {
        scope: Slippage({outcome: found.get(outcome, none) for outcome in OUTCOMES}, *summed[scope])
        for scope, found in counted.items()
    }
