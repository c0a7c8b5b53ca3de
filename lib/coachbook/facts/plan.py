"""Which spans of days the facts of a period look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from duckdb import DuckDBPyConnection

from coachbook.metrics import judging
from coachbook.model.findings import With
from coachbook.model.periods import Period, Span

TREND = {"month": 12, "quarter": 8, "week": 13, "year": 3}
"""How many earlier periods a trend shows."""
EARLIER: tuple[With, ...] = ("previous", "year_ago")


@dataclass(frozen=True)
class Plan:
    """The spans that are looked at, and the earlier ones that the data do not reach."""

    compared: dict[str, Span]
    missing: dict[With, str]
    trend: list[Period]
    partial: bool

    @classmethod
    def make(cls, connection: DuckDBPyConnection, period: Period, as_of: date) -> Plan:
        """A period still running is compared with as many days of the earlier ones."""
        first = connection.execute("SELECT min(created_on) FROM known").fetchone()
        start = first[0] if first and first[0] else as_of
        now = period.until(as_of)
        partial = now != period.span
        compared = {"now": now}
        missing: dict[With, str] = {}
        earlier: dict[With, Period] = {"previous": period.previous, "year_ago": period.year_ago}
        for against, then in earlier.items():
            if then.span.after <= start:
                missing[against] = judging.BEFORE_DATA
            else:
                cut = then.span.first + timedelta(days=now.length_days)
                compared[against] = Span(
                    then.span.first, min(cut, then.span.after) if partial else then.span.after
                )
        trend = [p for p in period.back(TREND[period.kind]) if p.span.after > start]
        return cls(compared, missing, trend, partial)

    @property
    def spans(self) -> list[tuple[str, date, date]]:
        """Name, first day and day after of all of them."""
        compared = [(name, span.first, span.after) for name, span in self.compared.items()]
        return compared + [(p.id, p.span.first, p.span.after) for p in self.trend]
