"""What happens to deals: every one from its creation to its end, many at a time."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from coachbook.sources.simulate.people import NEVER, People
from coachbook.sources.simulate.world import WEEK, Clock, Flags, Floats, Ints, World

STAGE, STATUS, AMOUNT, CLOSE, OWNER = range(5)
"""Fields, in the order of `model.tables.FIELDS`."""
OPEN, WON, LOST, DELETED = range(4)
NEGOTIATION, CLOSED = 3, 4
NOTHING = -1
"""No amount, no date, no former value."""

_LOSING = np.array([-1.35, -1.15, -1.05, -1.25])
"""Log-odds of losing an ordinary deal in each stage."""
_EASE = np.array([0.2, 0.0, -0.4])
"""What each segment adds to the log-odds of surviving a stage."""
_RENEWING = 0.9
_DWELL = np.array([6.5, 10.0, 10.0, 8.0])
"""Median working days in each stage."""
_SLOWNESS = np.array([0.75, 1.0, 1.5])
_SIZE = np.array([8_000.0, 24_000.0, 85_000.0])
"""Median amount in each segment, in US dollars."""
_YUAN = 7.1
_LEFT = np.array([60.0, 46.0, 30.0, 14.0])
"""Days to the end that a rep expects in each stage."""
_SPELL = 0.35
"""Deviation of a rep's good and bad weeks."""


@dataclass
class Deals:
    """What a deal is from the start (known and hidden), and its state as time goes on; one entry per deal."""

    creator: Ints
    owner: Ints
    created: Floats
    segment: Ints
    renewal: Flags
    other_currency: Flags
    quality: Floats
    size: Floats
    """What is at stake, in major units of the deal's currency."""
    when: Floats = field(init=False)
    stage: Ints = field(init=False)
    status: Ints = field(init=False)
    amount: Ints = field(init=False)
    close: Ints = field(init=False)
    move: Floats = field(init=False)
    """When the stage ends, a signature is due, or a decided deal is taken up again."""
    look: Floats = field(init=False)
    """When somebody notices that the close date has passed."""
    signing: Flags = field(init=False)
    count: Ints = field(init=False)
    """Transactions so far."""

    def __post_init__(self) -> None:
        n = len(self.owner)
        self.when = self.created.copy()
        self.stage, self.status, self.count = (np.zeros(n, np.int64) for _ in range(3))
        self.amount, self.close = (np.full(n, NOTHING) for _ in range(2))
        self.move, self.look = (np.full(n, NEVER) for _ in range(2))
        self.signing = np.zeros(n, bool)

    def __len__(self) -> int:
        return len(self.owner)

    def take(self, which: Any) -> Deals:
        """Some of them."""
        some = copy(self)
        for f in fields(self):
            setattr(some, f.name, getattr(self, f.name)[which])
        return some


@dataclass(frozen=True)
class Events:
    """One entry per change of a field, in order of deal, transaction and field."""

    deal: Ints
    field: Ints
    count: Ints
    """The transaction's number in the life of the deal."""
    when: Ints
    """Seconds since 1970 (UTC)."""
    recorded: Ints
    """When it was entered, likewise."""
    old: Ints
    new: Ints
    actor: Ints
    """Index of the seller, or `NOTHING` for whoever manages the team."""

    def take(self, which: Any) -> Events:
        """Some of them."""
        return Events(*(column[which] for column in self.columns))

    @property
    def columns(self) -> tuple[Ints, ...]:
        """All of it, in the order of the declaration."""
        return tuple(getattr(self, f.name) for f in fields(self))


class Story:
    """The deals of some people as they unfold."""

    def __init__(
        self,
        world: World,
        clock: Clock,
        people: People,
        rng: np.random.Generator,
        *,
        since: float,
        until: float,
    ) -> None:
        """Deals come in from `since` to the end of the files; what happens after `until` is not told."""
        self.world, self.clock, self.people, self.rng, self.until = world, clock, people, rng, until
        self.spell = self._spells()
        self.heirs, self.mates = people.heirs(rng), people.mates(rng)
        self.deals = self._created(since, clock.last)
        self._log: list[tuple[Any, ...]] = []

    def told(self) -> Events:
        """Let everything happen until the end, and give what happened."""
        everything = np.arange(len(self.deals))
        self._open(everything)
        live = everything
        while live.size:
            live = self._round(live)
        return self._sorted()

    def _round(self, live: Ints) -> Ints:
        """The next thing in each deal's life; those to which more can happen."""
        deals = self.deals
        handed = np.where(
            (deals.status[live] == OPEN) & (self.heirs[deals.owner[live], 0] >= 0),
            np.maximum(self.people.end[deals.owner[live]], deals.when[live]), NEVER,
        )  # fmt: skip
        moves, looks = deals.move[live], deals.look[live]
        when = np.minimum(np.minimum(moves, looks), handed)
        hand, move = handed <= when, moves <= when
        going = when < self.until
        deals.when[live[going]] = when[going]
        deals.count[live[going]] += 1
        self._hand_over(live[going & hand])
        self._move(live[going & move & ~hand])
        self._look(live[going & ~move & ~hand])
        return live[going]

    # What there is at the start

    def _spells(self) -> Floats:
        """Good and bad weeks: half the team's, half one's own, each week like the last one in part."""
        rho, n = self.world.week_correlation, len(self.people)
        teams, own_team = np.unique(self.people.team, return_inverse=True)
        spell = np.empty((n, self.clock.weeks))
        team, own = self.rng.normal(size=len(teams)), self.rng.normal(size=n)
        fresh = np.sqrt(1 - rho * rho)
        for week in range(self.clock.weeks):
            team = rho * team + fresh * self.rng.normal(size=len(teams))
            own = rho * own + fresh * self.rng.normal(size=n)
            spell[:, week] = _SPELL * np.sqrt(0.5) * (team[own_team] + own)
        return spell

    def _created(self, since: float, last: int) -> Deals:
        """Deals come in by chance, at a rate that follows rep, season and spell."""
        world, people, rng = self.world, self.people, self.rng
        weeks = np.arange(int(since) // WEEK, -(-last // WEEK))
        tenure = np.maximum(weeks * WEEK - people.start[:, None], 0)
        ramp = 1 - 0.7 * np.exp(-tenure / 50)
        rate = people.activity[:, None] * self.clock.season[weeks] * np.exp(0.8 * self.spell[:, weeks]) * ramp
        counts = rng.poisson(rate * world.deals_per_month * 12 / 52)
        owner, week = (np.repeat(index, counts.ravel()) for index in np.indices(counts.shape).reshape(2, -1))
        created = (weeks[week] + rng.random(len(week))) * WEEK
        there = (created >= since) & (created < last) & people.take(owner).present(created)
        order = np.flatnonzero(there)[np.argsort(created[there])]
        return self._drawn(owner[order], created[order])

    def _drawn(self, owner: Ints, created: Floats) -> Deals:
        world, people, rng, n = self.world, self.people, self.rng, len(owner)
        segment = np.minimum((rng.random((n, 1)) > people.mix[owner]).sum(axis=1), len(_SIZE) - 1)
        renewal = rng.random(n) < world.renewals
        other = rng.random(n) < world.second_currency
        size = (
            _SIZE[segment] * people.price[owner] * np.exp(rng.normal(0, 0.65, n)) * np.where(renewal, 0.8, 1)
        )
        size *= np.where(other == (world.currencies[0] == "USD"), _YUAN, 1)
        return Deals(
            creator=owner, owner=owner.copy(), created=created, segment=segment, renewal=renewal,
            other_currency=other, quality=world.frailty * rng.normal(size=n), size=size,
        )  # fmt: skip

    def _open(self, i: Ints) -> None:
        """The creating transaction."""
        deals, rng, n = self.deals, self.rng, len(i)
        empty = rng.random(n) < self.world.empty_amounts
        deals.amount[i] = np.where(empty, NOTHING, self._priced(deals.size))
        today = self.clock.day(deals.when)
        closing = self._expected(i, 0.45)
        default = rng.random(n) < self.world.default_dates
        closing = np.where(default, _last_of_month(today), closing)
        deals.close[i] = np.where(rng.random(n) < self.world.empty_amounts / 2, NOTHING, closing)
        deals.count[i] = 1
        for what, value in (
            (STAGE, deals.stage), (STATUS, deals.status), (AMOUNT, deals.amount), (CLOSE, deals.close), (OWNER, deals.owner),
        ):  # fmt: skip
            given = i[value[i] != NOTHING]
            self._note(given, what, np.full(len(given), NOTHING), value[given])
        self._enter(i)

    # What happens

    def _hand_over(self, i: Ints) -> None:
        """A leaver's deals go to those who stay."""
        heirs = self.heirs[self.deals.owner[i], self.rng.integers(self.heirs.shape[1], size=len(i))]
        self._change(i, OWNER, self.deals.owner, heirs, by_manager=True)
        self._defer(i)

    def _move(self, i: Ints) -> None:
        """A stage ends: lost, deleted, back, on, over the next, or won; or a decided deal comes back."""
        deals, rng, world = self.deals, self.rng, self.world
        again = deals.status[i] != OPEN
        self._reopen(i[again])
        signed = deals.signing[i] & ~again
        self._win(i[signed])
        i = i[~again & ~signed]
        chance = rng.random(len(i))
        lost = chance < 1 / (1 + np.exp(self._strength(i) - _LOSING[deals.stage[i]]))
        self._lose(i[lost])
        i = i[~lost]
        chance = rng.random(len(i))
        deleted = chance > 1 - world.deletions
        self._decide(i[deleted], DELETED)
        back = (chance < world.regressions) & (deals.stage[i] > 0)
        over = (chance > 1 - world.deletions - world.skips) & ~deleted
        step = np.where(back, -1, np.where(over, 2, 1))
        target = deals.stage[i] + step
        self._agree(i[(target > NEGOTIATION) & ~deleted])
        on = (target <= NEGOTIATION) & ~deleted
        self._advance(i[on], target[on])

    def _advance(self, i: Ints, target: Ints) -> None:
        deals, rng = self.deals, self.rng
        self._change(i, STAGE, deals.stage, target)
        self._reprice(i[rng.random(len(i)) < self.world.amount_changes])
        dated = i[(rng.random(len(i)) < 0.12) | (deals.close[i] == NOTHING)]
        self._change(dated, CLOSE, deals.close, self._expected(dated, 0.35))
        passed = i[rng.random(len(i)) < self.world.owner_changes]
        mates = self.mates[deals.owner[passed], rng.integers(self.mates.shape[1], size=len(passed))]
        there = self.people.take(mates).present(deals.when[passed])
        self._change(passed[there], OWNER, deals.owner, mates[there], by_manager=True)
        self._enter(i)

    def _look(self, i: Ints) -> None:
        """The close date has passed: it is moved on, sometimes with the amount."""
        self._change(i, CLOSE, self.deals.close, self._expected(i, 0.4))
        self._reprice(i[self.rng.random(len(i)) < 0.1])
        self._watch(i)

    def _agree(self, i: Ints) -> None:
        """The customer says yes; some sign at the end of the month only."""
        now = self.deals.when[i]
        month_end = self.clock.month_ends[now.astype(np.int64)]
        day = (
            month_end
            - np.minimum(self.rng.geometric(0.5, len(i)) - 1, 3)
            + self.rng.uniform(0.1, 0.99, len(i))
        )
        waits = (self.rng.random(len(i)) < self.world.month_end_rush) & (day > now)
        self.deals.signing[i[waits]] = True
        self.deals.move[i[waits]] = day[waits]
        self.deals.count[i[waits]] -= 1
        self._win(i[~waits])

    def _win(self, i: Ints) -> None:
        deals = self.deals
        self._reprice(i[(self.rng.random(len(i)) < 0.3) | (deals.amount[i] == NOTHING)])
        self._change(i, STAGE, deals.stage, np.full(len(i), CLOSED))
        self._decide(i, WON)
        self._change(i, CLOSE, deals.close, self.clock.day(deals.when[i]))
        self._perhaps_back(i, self.world.reopenings / 10)

    def _lose(self, i: Ints) -> None:
        self._decide(i, LOST)
        self._change(i, CLOSE, self.deals.close, self.clock.day(self.deals.when[i]))
        self._perhaps_back(i, self.world.reopenings)

    def _decide(self, i: Ints, status: int) -> None:
        self._change(i, STATUS, self.deals.status, np.full(len(i), status))
        self.deals.signing[i] = False
        self.deals.move[i] = self.deals.look[i] = NEVER

    def _perhaps_back(self, i: Ints, share: float) -> None:
        back = i[self.rng.random(len(i)) < share]
        self.deals.move[back] = self.deals.when[back] + 5 + self.rng.gamma(2, 12, len(back))

    def _reopen(self, i: Ints) -> None:
        deals = self.deals
        self._change(i, STATUS, deals.status, np.full(len(i), OPEN))
        self._change(i, STAGE, deals.stage, np.minimum(deals.stage[i], NEGOTIATION))
        self._change(i, CLOSE, deals.close, self._expected(i, 0.3))
        self._enter(i)

    # How it comes

    def _strength(self, i: Ints) -> Floats:
        """Log-odds with which a deal survives its stage, against an ordinary one."""
        deals, people = self.deals, self.people
        owner, segment, now = deals.owner[i], deals.segment[i], deals.when[i]
        coached = people.coached[owner] & (now >= self.clock.coached_from)
        green = 0.4 * np.exp(-np.maximum(now - people.start[owner], 0) / 60)
        return np.asarray(
            deals.quality[i] + people.skill[owner, segment] + _EASE[segment] + _RENEWING * deals.renewal[i]
            + self.world.coaching * coached + 0.4 * self._weather(owner, now) - green
        )  # fmt: skip

    def _weather(self, owner: Ints, now: Floats) -> Floats:
        return np.asarray(self.spell[owner, (now / WEEK).astype(np.int64)])

    def _enter(self, i: Ints) -> None:
        """How long the new stage will last."""
        deals, rng, owner = self.deals, self.rng, self.deals.owner[i]
        now, segment = deals.when[i], deals.segment[i]
        pace = self.people.pace[owner] - 0.3 * deals.quality[i] - 0.6 * self._weather(owner, now)
        season = self.clock.season[(now / WEEK).astype(np.int64)]
        dwell = _DWELL[deals.stage[i]] * _SLOWNESS[segment] * np.exp(pace + rng.normal(0, 0.8, len(i)))
        dwell *= np.where(deals.renewal[i], 0.7, 1) / season
        chance = rng.random(len(i))
        dwell *= np.where(chance < 0.012, 8, chance < 1 - self.world.hops)
        deals.move[i] = now + dwell
        self._watch(i)
        self._defer(i)

    def _watch(self, i: Ints) -> None:
        """When it will be noticed that the close date has passed, or is missing."""
        if not self.world.pushes:
            return
        deals = self.deals
        due = np.where(deals.close[i] == NOTHING, deals.when[i] + 10, self.clock.at(deals.close[i] + 1))
        lag = self.rng.exponential(9, len(i)) * self.people.discipline[deals.owner[i]] / self.world.pushes
        deals.look[i] = np.maximum(due, deals.when[i]) + lag + 0.05
        self._defer(i)

    def _defer(self, i: Ints) -> None:
        """What would fall into the owner's leave waits for the return."""
        owner = self.deals.owner[i]
        away, back = self.people.away[owner], self.people.back[owner]
        for times in (self.deals.move, self.deals.look):
            gone = (times[i] >= away) & (times[i] < back)
            times[i[gone]] = back[gone] + self.rng.exponential(2, int(gone.sum()))

    def _expected(self, i: Ints, spread: float) -> Ints:
        """The close date a rep would write down now; often the end of a month."""
        deals, rng = self.deals, self.rng
        left = _LEFT[np.minimum(deals.stage[i], NEGOTIATION)] * _SLOWNESS[deals.segment[i]]
        days = np.maximum(3, left * np.exp(rng.normal(0, spread, len(i)))).astype(np.int64)
        day = self.clock.day(deals.when[i]) + days
        return np.where(rng.random(len(i)) < 0.35, _last_of_month(day), self.clock.days[self.clock.at(day)])

    def _priced(self, size: Floats) -> Ints:
        """An amount in minor units, round as people write it: two figures and a half."""
        step = np.maximum(10 ** np.floor(np.log10(size)) / 20, 10)
        return (np.round(size / step) * step).astype(np.int64) * 100

    def _reprice(self, i: Ints) -> None:
        known = self.deals.amount[i] != NOTHING
        self.deals.size[i] *= np.where(known, np.exp(self.rng.normal(-0.03, 0.2, len(i))), 1)
        self._change(i, AMOUNT, self.deals.amount, self._priced(self.deals.size[i]))

    # How it is written down

    def _change(self, i: Ints, what: int, state: Ints, value: Ints, *, by_manager: bool = False) -> None:
        changed = state[i] != value
        i, value = i[changed], value[changed]
        self._note(i, what, state[i], value, by_manager=by_manager)
        state[i] = value

    def _note(self, i: Ints, what: int, old: Ints, new: Ints, *, by_manager: bool = False) -> None:
        deals = self.deals
        actor = np.full(len(i), NOTHING) if by_manager else deals.owner[i]
        self._log.append((i, np.full(len(i), what), deals.count[i], deals.when[i], old, new, actor))

    def _sorted(self) -> Events:
        deal, what, count, when, old, new, actor = (
            np.concatenate(part) for part in zip(*self._log, strict=True)
        )
        order = np.argsort((deal << 24) + (count << 3) + what)
        deal, what, count, when, old, new, actor = (
            part[order] for part in (deal, what, count, when, old, new, actor)
        )
        seconds = self.clock.seconds(when)
        return Events(deal, what, count, seconds, self._recorded(deal, count, when, seconds), old, new, actor)

    def _recorded(self, deal: Ints, count: Ints, when: Floats, seconds: Ints) -> Ints:
        """When each change was entered: some hours to weeks late, but in the order in which it happened."""
        begins = np.diff((deal << 21) + count, prepend=-1) != 0
        first = np.flatnonzero(begins)
        careless = self.world.late_entry * self.people.discipline[self.deals.creator[deal[first]]]
        delay = np.minimum(np.exp(self.rng.normal(0.3, 1.3, len(first))), 20)
        late = self.rng.random(len(first)) < careless
        entered = np.where(late, self.clock.seconds(when[first] + delay), seconds[first])
        entered = np.maximum.accumulate(entered + (deal[first] << 36)) & ((1 << 36) - 1)
        return np.asarray(entered[np.cumsum(begins) - 1])


def _last_of_month(day: Ints) -> Ints:
    month = day.astype("datetime64[D]").astype("datetime64[M]")
    return (month + 1).astype("datetime64[D]").astype(np.int64) - 1
