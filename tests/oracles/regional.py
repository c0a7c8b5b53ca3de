"""The regional sample's figures, by hand: plain pandas on the raw CSVs. Nothing of coachbook is imported.

METRICS.md and CONTRACT.md are the only source of the definitions. Money is in cents, shares in 0..1, times in
days; unknown is NaN. A span is a pair of days, both inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

AS_OF = "2021-11-10"
K = 5
"""A pool speaks only if at least so many other people stand behind it."""

ADD_UP = ("won_amount", "deals_won", "open_pipeline")
MONEY = ("won_amount", "average_deal_size", "value_per_customer", "open_pipeline")
SHARES = ("win_rate_count", "win_rate_value")

Deals = pd.DataFrame
Figure = tuple[str, str]
"""A metric id and its variant."""
Days = tuple[pd.Timestamp, pd.Timestamp]


def won(deals: Deals) -> Deals:
    return deals[deals["Status"] == "Won"]


def lost(deals: Deals) -> Deals:
    return deals[deals["Status"] == "Lost"]


def over(above: float, below: float) -> float:
    return above / below if below else float("nan")


FIGURES: dict[Figure, Callable[[Deals], float]] = {
    ("won_amount", "signed"): lambda d: won(d)["cents"].sum(),
    ("deals_won", "closed"): lambda d: len(won(d)),
    ("win_rate_count", "closed, narrow"): lambda d: over(len(won(d)), len(won(d)) + len(lost(d))),
    ("win_rate_value", "closed, narrow"): lambda d: over(
        won(d)["cents"].sum(), won(d)["cents"].sum() + lost(d)["cents"].sum()
    ),
    ("average_deal_size", "mean"): lambda d: won(d)["cents"].mean(),
    ("average_deal_size", "median"): lambda d: won(d)["cents"].median(),
    ("value_per_customer", "signed"): lambda d: over(won(d)["cents"].sum(), won(d)["AccountSeq"].nunique()),
    ("cycle_days", "won, median"): lambda d: won(d)["days"].median(),
    ("cycle_days_lost", "lost, median"): lambda d: lost(d)["days"].median(),
    ("open_pipeline", "at as-of"): lambda d: d["cents"].sum(),
}
"""Each figure of the deals decided in a span; of open pipeline, of the deals open at the as-of day."""

BEHIND: dict[str, Callable[[Deals], Deals]] = {
    "won_amount": won,
    "deals_won": won,
    "win_rate_count": lambda d: d,
    "win_rate_value": lambda d: d,
    "average_deal_size": won,
    "value_per_customer": won,
    "cycle_days": won,
    "cycle_days_lost": lost,
    "open_pipeline": lambda d: d,
}
"""The deals that a figure stands on."""


@dataclass(frozen=True)
class Split:
    """Movement = company + team + own; `team` is NaN where the team's others are too few."""

    company: float
    team: float
    own: float


def spans_of(period: str, as_of: str = AS_OF) -> dict[str, Days]:
    """`now`, `previous` and `year_ago` of a period; one still running is compared with as many days."""
    last_known = pd.Timestamp(as_of)
    whole = {"now": _days(period), "previous": _days(period, 1), "year_ago": _year_ago(period)}
    first, last = whole["now"]
    if last <= last_known:
        return whole
    elapsed = last_known - first
    return {name: (start, min(start + elapsed, end)) for name, (start, end) in whole.items()}


def _days(period: str, back: int = 0) -> Days:
    """First and last day of `2021-10`, `2021-Q3`, `2021-W40` or `2021`, or of a period some steps earlier."""
    if "W" in period:
        year, week = period.split("-W")
        monday = pd.Timestamp.fromisocalendar(int(year), int(week), 1) - pd.Timedelta(weeks=back)
        return monday, monday + pd.Timedelta(days=6)
    one = pd.Period(period.replace("-Q", "Q")) - back
    return one.start_time.normalize(), one.end_time.normalize()


def _year_ago(period: str) -> Days:
    """The same month, quarter, week or year, a year earlier."""
    if "W" in period:
        year, week = map(int, period.split("-W"))
        last_week = pd.Timestamp(year - 1, 12, 28).week
        return _days(f"{year - 1}-W{min(week, last_week):02}")
    return _days(period, 1 if len(period) == 4 else 4 if "Q" in period else 12)


class Regional:
    """All owners and deals of a folder of the sample's CSVs, as known on the day `as_of`."""

    def __init__(self, folder: Path, as_of: str = AS_OF) -> None:
        owners = pd.read_csv(folder / "Owners.csv")
        self.team = owners.set_index("SystemUserSeq")["Manager"]
        self.name = owners.set_index("SystemUserSeq")["Owner"]
        deals = pd.read_csv(folder / "Opportunities.csv")
        created, closed = (pd.to_datetime(deals[c]) for c in ("Opportunity Created On", "CloseDate"))
        deals["closed"] = closed
        deals["days"] = (closed - created).dt.days
        deals["cents"] = deals["Value"] * 100
        known = deals[created <= pd.Timestamp(as_of)].copy()
        known.loc[known["closed"] > pd.Timestamp(as_of), "Status"] = "Open"
        self.open = known[known["Status"] == "Open"]
        self.decided = known[known["Status"] != "Open"]
        self._closed_in: dict[Days, Deals] = {}

    def closed_in(self, span: Days) -> Deals:
        """Deals won or lost with a close date in the span."""
        if span not in self._closed_in:
            self._closed_in[span] = self.decided[self.decided["closed"].between(*span)]
        return self._closed_in[span]

    def seen(self, metric: str, span: Days) -> Deals:
        """The deals that a metric looks at."""
        return self.open if metric == "open_pipeline" else self.closed_in(span)

    def own(self, figure: Figure, owner: int, span: Days) -> float:
        """The owner's figure."""
        deals = self.seen(figure[0], span)
        return FIGURES[figure](deals[deals["SystemUserSeq"] == owner])

    def n(self, figure: Figure, owner: int, span: Days) -> int:
        """What the owner's figure is counted in: deals, of value per customer the customers."""
        deals = BEHIND[figure[0]](self.seen(figure[0], span))
        mine = deals[deals["SystemUserSeq"] == owner]
        return mine["AccountSeq"].nunique() if figure[0] == "value_per_customer" else len(mine)

    def others(self, figure: Figure, owner: int, span: Days) -> float:
        """The figure of all others, pooled over their deals."""
        deals = self.seen(figure[0], span)
        return FIGURES[figure](deals[deals["SystemUserSeq"] != owner])

    def peers(self, figure: Figure, owner: int, span: Days) -> float:
        """What the page sets beside the owner: all others, amounts and counts per head."""
        pooled = self.others(figure, owner, span)
        return pooled / (len(self.team) - 1) if figure[0] in ADD_UP else pooled

    def split(self, figure: Figure, owner: int, now: Days, then: Days) -> Split:
        """METRICS.md, "Company, team, own"."""
        mates = [o for o in self.team.index if o != owner and self.team[o] == self.team[owner]]
        rest = [o for o in self.team.index if o != owner]
        r1, r0 = (self.pooled(figure, [owner], span) for span in (now, then))
        c1, c0 = (self.pooled(figure, rest, span) for span in (now, then))
        t1, t0 = (self.pooled(figure, mates, span) for span in (now, then))
        has_team = min(self._people(figure, mates, span) for span in (now, then)) >= K
        if not has_team:
            t1, t0 = c1, c0
        if figure[0] in ADD_UP:
            company = r0 * (over(c1, c0) - 1)
            team = r0 * (over(t1, t0) - over(c1, c0))
            own = r1 - r0 * over(t1, t0)
        else:
            company = c1 - c0
            team = (t1 - t0) - company
            own = (r1 - r0) - (t1 - t0)
        return Split(company, team if has_team else float("nan"), own)

    def company(self, figure: Figure, span: Days) -> float:
        """The whole company, everybody in it."""
        return FIGURES[figure](self.seen(figure[0], span))

    def fallen(self, figure: Figure, now: Days, then: Days) -> tuple[int, int]:
        """How many owners' figure fell, among those who have it in both spans."""
        pairs = [(self.own(figure, o, now), self.own(figure, o, then)) for o in self.team.index]
        both = [(a, b) for a, b in pairs if pd.notna(a) and pd.notna(b)]
        return sum(a < b for a, b in both), len(both)

    def pooled(self, figure: Figure, owners: list[int], span: Days) -> float:
        """The figure of some owners together."""
        deals = self.seen(figure[0], span)
        return FIGURES[figure](deals[deals["SystemUserSeq"].isin(owners)])

    def _people(self, figure: Figure, owners: list[int], span: Days) -> int:
        """How many of the owners have deals that the figure stands on."""
        deals = BEHIND[figure[0]](self.seen(figure[0], span))
        return deals.loc[deals["SystemUserSeq"].isin(owners), "SystemUserSeq"].nunique()
