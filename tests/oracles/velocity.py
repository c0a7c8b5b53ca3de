"""Deals by hand, one at a time and one day at a time; and a made-up company of them. Never imports coachbook.

A deal is a list of transactions in UTC. Its state at the end of a day is whatever the last transaction by then left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

Scope = tuple[str, str]
Transaction = tuple[datetime, dict[str, Any]]
ORG: Scope = ("org", "")
DAY = timedelta(days=1)
BEGIN = date(2026, 1, 5)
AS_OF = date(2026, 6, 30)


@dataclass
class Deal:
    """Transactions in order; the first has every field: stage, status, close_on, amount, owner."""

    id: str
    steps: list[Transaction]

    @property
    def created(self) -> date:
        return self.steps[0][0].date()

    def at(self, moment: datetime) -> dict[str, Any] | None:
        state: dict[str, Any] | None = None
        for when, values in self.steps:
            if when <= moment:
                state = {**(state or {}), **values}
        return state

    def evening(self, day: date) -> dict[str, Any] | None:
        return self.at(datetime.combine(day, time.max))

    def decided(self, as_of: date) -> datetime:
        """When it got the status in which it stands at that day's end."""
        standing = self.evening(as_of)
        assert standing
        moment = self.steps[0][0]
        before = None
        for when, _values in self.steps:
            if when.date() <= as_of:
                state = self.at(when)
                assert state
                if state["status"] != before:
                    moment = when
                before = state["status"]
        return moment


@dataclass
class Company:
    """Deals; who was in which team from which day on."""

    deals: list[Deal]
    roster: list[tuple[str, date, str | None]]
    others: dict[str, Any] = field(default_factory=dict)

    def team(self, rep: str | None, day: date) -> str | None:
        begun = [(since, team) for name, since, team in self.roster if name == rep and since <= day]
        return max(begun, key=lambda stretch: stretch[0])[1] if begun else None

    def scopes(self, rep: str | None, day: date) -> Iterator[Scope]:
        """Whose it is on a day; before the first day on the roster it is nobody's."""
        yield ORG
        if any(name == rep and since <= day for name, since, _team in self.roster):
            yield "rep", str(rep)
            if team := self.team(rep, day):
                yield "team", team


def days(first: date, after: date) -> Iterator[date]:
    while first < after:
        yield first
        first += DAY


def velocity(company: Company, first: date, after: date, as_of: date) -> dict[Scope, dict[str, float]]:
    """By scope the sums behind it; `after` at most the day after `as_of`."""
    sums: dict[Scope, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for deal in company.deals:
        for day in days(first, after):
            state = deal.evening(day)
            if state and state["status"] == "open":
                for scope in company.scopes(state["owner"], day):
                    sums[scope]["open_days"] += 1
        now = deal.evening(as_of)
        if not now or now["status"] not in ("won", "lost") or not first <= now["close_on"] < after:
            continue
        owner = credited(deal, as_of)
        counts_on = max(min(now["close_on"], as_of), deal.created)
        for scope in company.scopes(owner, counts_on):
            sums[scope]["decided"] += 1
            if now["status"] == "won":
                sums[scope]["won"] += 1
                sums[scope]["minor"] += now["amount"] or 0
                if now["close_on"] >= deal.created:  # else the days are wrong
                    sums[scope]["cycled"] += 1
                    sums[scope]["cycle_days"] += (now["close_on"] - deal.created).days
    return {scope: dict(found) for scope, found in sums.items()}


def per_day(found: dict[str, float], length: int) -> float:
    """Open deals × win rate × average size / cycle."""
    open_deals, rate = found["open_days"] / length, found["won"] / found["decided"]
    return open_deals * rate * (found["minor"] / found["won"]) / (found["cycle_days"] / found["cycled"])


def credited(deal: Deal, as_of: date) -> str | None:
    """By the close date that it was decided with, whatever was made of it later."""
    then = deal.at(deal.decided(as_of))
    assert then
    state = deal.at(min(datetime.combine(then["close_on"], time.max), deal.decided(as_of)))
    return state["owner"] if state else then["owner"]


def made_up(seed: int, deals: int = 140) -> Company:
    """People join late, change teams, or are on no roster; deals change hands, dates and amounts, and come back."""
    rng = Random(seed)
    roster = [
        ("a", date.min, "X"), ("b", date.min, "X"), ("b", date(2026, 4, 10), "Y"), ("c", date.min, "Y"),
        ("d", date(2026, 3, 1), "Y"), ("e", date.min, None),
    ]  # fmt: skip
    return Company([_deal(rng, f"d{n:03}") for n in range(deals)], roster)


def _deal(rng: Random, name: str) -> Deal:
    moment = datetime.combine(BEGIN + rng.randrange(150) * DAY, time(9)) + timedelta(
        minutes=rng.randrange(400)
    )
    first = {
        "stage": "A", "status": "open", "amount": rng.choice([100, 250, 300, 900, None]),
        "close_on": moment.date() + rng.randrange(5, 70) * DAY, "owner": rng.choice("aabbccddez"),
    }  # fmt: skip
    steps: list[Transaction] = [(moment, first)]
    for _step in range(rng.randrange(6)):
        moment += timedelta(days=rng.choice([0, 1, 4, 9, 20]), minutes=rng.randrange(1, 300))
        if moment.date() > AS_OF:
            break
        steps.append((moment, _change(rng, moment)))
    return Deal(name, steps)


def _change(rng: Random, moment: datetime) -> dict[str, Any]:
    kind = rng.choice(["stage", "stage", "owner", "close_on", "amount", "won", "won", "lost", "open"])
    if kind in ("won", "lost"):
        return {"status": kind, "close_on": moment.date() - rng.choice([0, 0, 0, 2]) * DAY}
    if kind == "open":
        return {"status": "open", "close_on": moment.date() + 30 * DAY}
    values: dict[str, list[Any]] = {
        "stage": ["A", "B", "C"], "owner": list("abcdez"), "amount": [50, 400, None],
        "close_on": [moment.date() + n * DAY for n in (3, 25, 60)],
    }  # fmt: skip
    return {kind: rng.choice(values[kind])}
