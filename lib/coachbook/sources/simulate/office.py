"""What the head office keeps: roster, quotas, products, exchange rates, costs of selling."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from coachbook.sources.simulate.columns import keys, money, numbered, picked
from coachbook.sources.simulate.people import NEVER, People
from coachbook.sources.simulate.words import HOSTILE, people_names, team_names, words
from coachbook.sources.simulate.world import EPOCH, Clock, Ints, World, months_before

_RATES, _COSTS = 2, 3
_RAMP = ((0, 0.25), (60, 0.6), (125, 1.0))
"""Working days on the job, and the share of a full quota that is then expected."""
_NOTICE = timedelta(14)
_OVERSIGHT = 500_000
"""Number from which on managers' names are made."""
_MONTHLY_WORTH = 12_400
"""What an ordinary rep wins for each new deal a month, in US dollars."""


class Office:
    """The company as its head office sees it."""

    def __init__(self, world: World, clock: Clock, people: People) -> None:
        self.world, self.clock, self.people = world, clock, people
        self.words = words(world.locale)
        self.rep_ids = numbered("R", people.number + 1, max(3, len(str(world.reps))))
        self.team_ids = numbered("T", np.arange(world.teams) + 1, 2)
        self.manager_ids = numbered("M", np.arange(world.teams) + 1, 2)
        self.teams = team_names(self.words, world.teams)

    def seller(self, index: Ints) -> pa.Array:
        """Ids of sellers; null where the index is negative."""
        return self.rep_ids.take(pa.array(index, mask=index < 0))

    @cached_property
    def hostile(self) -> int:
        """The seller with the hostile name: the first who is there throughout."""
        plain = (
            (self.people.start < 0)
            & (self.people.end == NEVER)
            & (self.people.away == NEVER)
            & ~self.people.coached
        )
        return int(np.argmax(plain))

    @cached_property
    def names(self) -> list[str]:
        """The sellers' names."""
        made: list[str] = people_names(self.people.number, self.words.latin).to_pylist()
        made[self.hostile] = f"{made[self.hostile].split()[0]} {HOSTILE}"
        return made

    # The roster

    def reps(self) -> pa.Table:
        """A row for each person and day from which on something is different."""
        rows = [*self._offices(), *(row for n in range(len(self.people)) for row in self._career(n))]
        columns = dict(zip(keys("reps"), map(list, zip(*rows, strict=True)), strict=True))
        days = {
            name: pa.array(columns.pop(name), pa.date32()) for name in ("effective_on", "start_on", "end_on")
        }
        return pa.table(columns | days).select(keys("reps"))

    def _offices(self) -> Iterator[tuple[Any, ...]]:
        since = self.world.start - timedelta(1500)
        names = people_names(_OVERSIGHT + np.arange(self.world.teams + 2), self.words.latin).to_pylist()
        head, operations = self.words.offices
        plain = (since, None, "active", None)
        yield "DIR", since, names[-1], "HQ", head, None, "director", *plain
        yield "OPS", since, names[-2], "OPS", operations, "DIR", "operations", *plain
        for team, manager in enumerate(self.manager_ids.to_pylist()):
            yield (
                manager,
                since,
                names[team],
                self.team_ids[team].as_py(),
                self.teams[team],
                "DIR",
                "manager",
                *plain,
            )

    def _career(self, n: int) -> Iterator[tuple[Any, ...]]:
        """One seller's rows, as long as they are there."""
        start, turns = self.start_on(n), self._turns(n)
        state: dict[str, Any] = {}
        for day in sorted(turns):
            if day > min(state.get("end") or self.world.end, self.world.end):
                break
            state |= turns[day]
            team = state["team"]
            yield (
                self.rep_ids[n].as_py(), day, self.names[n], self.team_ids[team].as_py(), self.teams[team],
                self.manager_ids[team].as_py(), "rep", start, state["end"], state["presence"], state["ramp"],
            )  # fmt: skip

    def _turns(self, n: int) -> dict[date, dict[str, Any]]:
        """What changes for a seller, and when."""
        people, start = self.people, self.start_on(n)
        turns: dict[date, dict[str, Any]] = {
            start: {"presence": "active", "ramp": 1.0, "end": None, "team": int(people.team[n])}
        }
        for days, ramp in _RAMP if people.start[n] > 0 else ():
            turns.setdefault(self._date(people.start[n] + days), {})["ramp"] = ramp
        for when, change in (
            (people.away[n], {"presence": "leave"}), (people.back[n], {"presence": "active"}),
            (people.moved[n], {"team": int(people.next_team[n])}),
        ):  # fmt: skip
            if when < self.clock.last:
                turns.setdefault(self._date(when), {}).update(change)
        if people.end[n] < NEVER:
            end = self._date(people.end[n])
            turns.setdefault(max(start, end - _NOTICE), {})["end"] = end
        return turns

    def start_on(self, n: int) -> date:
        """A seller's first day; a career before the calendar's first day counts back from there."""
        when = float(self.people.start[n])
        return self._date(when) if when >= 0 else self._date(0) + timedelta(int(when * 7 / 5))

    def _date(self, when: float) -> date:
        return EPOCH + timedelta(int(self.clock.day(np.array([when]))[0]))

    # Quotas

    def quotas(self) -> pa.Table:
        """Per quarter: each seller's, each team's own (below the sum of its people's), the company's."""
        parts = [self._quarter(year, quarter) for year, quarter in self._quarters()]
        return pa.concat_tables(parts)

    def _quarter(self, year: int, quarter: int) -> pa.Table:
        begin = date(year, quarter * 3 - 2, 1)
        low = self.clock.on(begin)
        high = self.clock.on(date(year + quarter // 4, quarter % 4 * 3 + 1, 1))
        own = self._expected(float(low), float(high))
        there = np.flatnonzero(own > 0)
        team = np.bincount(self.people.team_at(float(low))[there], own[there], self.world.teams)
        team = _round(team * 0.92, 10_000)
        company = _round(np.array([team.sum() * 0.97]), 10_000)
        n = len(there) + self.world.teams + 1
        holders = [self.seller(there), self.team_ids, pa.array([None], pa.string())]
        return pa.table({
            "holder": picked(("rep", "team", "org"), np.repeat(np.arange(3), (len(there), self.world.teams, 1))),
            "holder_id": pa.concat_arrays(holders), "period": pa.repeat(f"{year}-Q{quarter}", n),
            "basis": pa.repeat("signed", n), "amount": money(np.concatenate([own[there], team, company]) * 100),
            "currency": pa.repeat(self.world.currencies[0], n),
        })  # fmt: skip

    def _expected(self, low: float, high: float) -> Ints:
        """What the head office expects of each seller between two days: by segments, ramp and time there."""
        people = self.people
        days = np.arange(low, high, 5)[:, None]
        tenure = days - people.start
        ramp = np.where(people.start < 0, 1, np.where(tenure < 60, 0.25, np.where(tenure < 125, 0.6, 1)))
        there = (people.start <= days) & (days < people.end) & ((days < people.away) | (days >= people.back))
        mix = np.diff(people.mix, axis=1, prepend=0)
        worth = mix @ np.array([0.45, 1.15, 2.9]) * _MONTHLY_WORTH * self.world.deals_per_month * 3
        yuan = 7 if self.world.currencies[0] == "CNY" else 1
        return _round(worth * yuan * (there * ramp).mean(axis=0), 5_000)

    def _quarters(self) -> Iterator[tuple[int, int]]:
        month = self.world.start.year * 12 + self.world.start.month - 1
        for index in range(month // 3, (self.world.end.year * 12 + self.world.end.month - 1) // 3 + 1):
            yield index // 4, index % 4 + 1

    # Products, rates, costs

    def products(self) -> pa.Table:
        """What is sold."""
        names, categories = zip(*self.words.products, strict=True)
        return pa.table(
            {"product_id": numbered("P", np.arange(len(names)) + 1, 2), "name": names, "category": categories}
        )

    def fx_rates(self) -> pa.Table:
        """Monthly rates between the two currencies, both ways, from long before the files begin."""
        months = self.months(before=36)
        yuan = 7.1 * np.exp(np.cumsum(self.world.random(_RATES).normal(0, 0.006, len(months))))
        yuan = np.round(yuan, 4)
        ways = [("USD", "CNY", f"{rate:.4f}", day) for day, rate in zip(months, yuan, strict=True)]
        ways += [("CNY", "USD", f"{1 / rate:.8f}", day) for day, rate in zip(months, yuan, strict=True)]
        currency, into, rates, days = zip(*ways, strict=True)
        return pa.table(
            {"currency": currency, "into": into, "from_on": pa.array(days, pa.date32()), "rate": rates}
        )

    def months(self, *, before: int = 0) -> list[date]:
        """First days of the months of the files, and of so many before."""
        count = self.world.months + before
        return [months_before(self.world.end, n) for n in range(count, 0, -1)]

    def costs(self, people: People, *, company: bool) -> dict[str, Any]:
        """Monthly costs: each seller's, and, once for the company, marketing; `cost_id` is left to the caller."""
        rng = self.world.random(_COSTS, int(people.number[0]))
        days = np.array([(day - EPOCH).days for day in self.months()])
        when = self.clock.at(days).astype(np.float64)
        month, who = np.nonzero((people.start <= when[:, None]) & (when[:, None] < people.end))
        yuan = 7 if self.world.currencies[0] == "CNY" else 1
        pay = _round(np.exp(people.price[who] * 0.2) * rng.uniform(4800, 6400, len(who)) * yuan, 10)
        extra = len(days) if company else 0
        campaigns = _round(rng.uniform(400, 800, extra) * self.world.reps * yuan, 100)
        return {
            "kind": picked(("sales", "marketing"), np.repeat([0, 1], (len(who), extra))),
            "incurred_on": np.concatenate([days[month] + 24, days[:extra] + 14]),
            "rep": np.concatenate([people.number[who], np.full(extra, -1)]),
            "amount": np.concatenate([pay, campaigns]) * 100,
        }  # fmt: skip


def _round(values: Any, step: int) -> Ints:
    return np.asarray(np.round(values / step) * step, np.int64)
