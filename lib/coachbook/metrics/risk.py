"""Which open deals are at risk: by flags that past deals which wore them bear out, and by no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from typing import Literal, get_args

import numpy as np
from duckdb import DuckDBPyConnection

from coachbook.metrics.changes import NO_TOUCHES
from coachbook.model.findings import LEVEL, Interval
from coachbook.stats.power import newcombe

Flag = Literal["overdue", "pushed", "quiet", "slow"]
FLAGS: tuple[Flag, ...] = get_args(Flag)
"""Close date in the past; moved to a later day at least `PUSHES` times; nothing done or changed for `QUIET_DAYS`; longer in
its stage than `SLOW` of the deals that were won."""
PUSHES, QUIET_DAYS, SLOW = 2, 30, 0.8
HORIZON_DAYS = 90
"""A deal that wore a flag is looked at again after so many days."""
LOOK_BACK_DAYS = 730
FEWEST = 20
"""Fewest deals with a flag, and without it, that may tell whether it means anything."""
_TERMS = {"horizon": HORIZON_DAYS, "pushes": PUSHES, "quiet": QUIET_DAYS, "slow": SLOW, "fewest": FEWEST}


@dataclass(frozen=True)
class Record:
    """What became of deals within `HORIZON_DAYS`: of `n` with the flag `won` were won, of those without it the others.

    `interval`: of the difference of the two shares, with less without; None: too few of either. Each deal counts once, on
    one of the month's ends at which it was open. `people`: whose they are.
    """

    flag: Flag
    n: int
    won: int
    without_n: int
    without_won: int
    interval: Interval | None
    people: int = 0
    without_people: int = 0

    @property
    def lift(self) -> float | None:
        """How many times as often deals with the flag were won; below 1 it warns. None: of those without, none was."""
        return (
            self.won * self.without_n / (self.n * self.without_won) if self.n and self.without_won else None
        )

    @property
    def holds(self) -> bool:
        """Whether deals with the flag are won less often, beyond chance: only then it is shown."""
        return self.interval is not None and self.interval.high < 0


@dataclass(frozen=True)
class AtRisk:
    """An open deal that wears flags which hold; `amount_minor` in minor units of its own `currency`."""

    deal_id: str
    rep_id: str | None
    stage: str | None
    close_on: date | None
    amount_minor: int | None
    currency: str | None
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class Risk:
    """Every flag with its record, and all open deals that wear one which holds, by id."""

    records: tuple[Record, ...]
    deals: tuple[AtRisk, ...]


def risk(
    connection: DuckDBPyConnection, as_of: date, *, touches: str = NO_TOUCHES, flags: Sequence[Flag] = FLAGS
) -> Risk:
    """Of the whole company as known at `as_of`; `connection` has the views of `Snapshot.known`.

    `touches`: a query or view with `deal_id, day`, what was done about deals. `flags`: those that the data can tell.
    """
    sql = (files("coachbook.metrics") / "risk.sql").read_text(encoding="utf-8").format(touches=touches)
    terms = {**_TERMS, "as_of": as_of, "first": as_of - timedelta(days=LOOK_BACK_DAYS), "last": as_of}
    connection.execute(f"CREATE OR REPLACE TEMP TABLE flagged AS {sql}", terms)
    records = tuple(record for record in _records(connection) if record.flag in flags)
    holding = [record.flag for record in records if record.holds]
    return Risk(records, tuple(_at_risk(connection, holding)))


def _records(connection: DuckDBPyConnection) -> Iterator[Record]:
    """By flag."""
    counts = ", ".join(
        f"count(*) FILTER ({flag}), count(*) FILTER ({flag} AND won), count(*) FILTER (NOT {flag}), count(*) FILTER (NOT {flag} AND won), "
        f"count(DISTINCT rep_id) FILTER ({flag}), count(DISTINCT rep_id) FILTER (NOT {flag})"
        for flag in FLAGS
    )
    found = connection.execute(f"SELECT {counts} FROM flagged WHERE won IS NOT NULL").fetchall()[0]
    for flag, (n, won, without_n, without_won, *people) in zip(
        FLAGS, zip(*[iter(found)] * 6, strict=True), strict=True
    ):
        interval = None
        if min(n, without_n) >= FEWEST:
            x1, n1, x2, n2 = np.array([won, n, without_won, without_n], dtype=np.float64)
            low, high = newcombe(x1, n1, x2, n2, LEVEL)
            interval = Interval(float(low), float(high))
        yield Record(flag, n, won, without_n, without_won, interval, *people)


def _at_risk(connection: DuckDBPyConnection, flags: list[Flag]) -> Iterable[AtRisk]:
    if not flags:
        return
    rows = connection.execute(
        f"""
        SELECT deal_id, rep_id, stage, close_on, amount_minor, currency, [{", ".join(flags)}] FROM flagged
        WHERE day = (SELECT max(day) FROM flagged) AND won IS NULL AND ({" OR ".join(flags)}) ORDER BY deal_id
        """
    ).fetchall()
    for deal_id, rep_id, stage, close_on, amount_minor, currency, worn in rows:
        held = tuple(flag for flag, is_worn in zip(flags, worn, strict=True) if is_worn)
        yield AtRisk(deal_id, rep_id, stage, close_on, amount_minor, currency, held)
