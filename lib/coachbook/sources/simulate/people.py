"""Who works in the company: sellers with their skill and career, managers, a director, operations."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from coachbook.sources.simulate.world import Clock, Flags, Floats, Ints, World

SEGMENTS = 3
NEVER = np.inf
_PEOPLE, _CANDIDATES = 1, 8
_EVENING = 0.97
"""When leavers' deals are handed over on their last day."""


@dataclass(frozen=True)
class People:
    """Sellers, one entry each; times in working days of the clock, `NEVER` where it does not come to that."""

    number: Ints
    """Which of the company's sellers, from 0 on."""
    team: Ints
    start: Floats
    end: Floats
    away: Floats
    back: Floats
    moved: Floats
    next_team: Ints
    skill: Floats
    """In each segment, in log-odds."""
    mix: Floats
    """Share of each segment among the rep's deals, cumulated."""
    activity: Floats
    """New deals against an ordinary rep."""
    pace: Floats
    """Log of the time needed against an ordinary rep."""
    discipline: Floats
    """How long close dates in the past stay as they are, and how much is entered late, against an ordinary rep."""
    price: Floats
    """Size of deals against an ordinary rep."""
    coached: Flags

    def __len__(self) -> int:
        return len(self.team)

    def take(self, which: Any) -> People:
        """Some of them."""
        return People(*(getattr(self, f.name)[which] for f in fields(self)))

    def tiled(self, times: int, teams: int) -> People:
        """So many copies of everybody, each in teams of its own."""
        copies = self.take(np.tile(np.arange(len(self)), times))
        copy = np.repeat(np.arange(times), len(self)) * teams
        copies.team[:] += copy
        copies.next_team[:] += copy
        return copies

    def team_at(self, when: Any) -> Ints:
        """Everybody's team at a time, or at a time each."""
        return np.where(when >= self.moved, self.next_team, self.team)

    def present(self, when: Any) -> Flags:
        """Who is employed and not on leave at a time, or at a time each."""
        there = (self.start <= when) & (when < self.end) & ((when < self.away) | (when >= self.back))
        return np.asarray(there & (self.activity > 0))

    def heirs(self, rng: np.random.Generator) -> Ints:
        """For each leaver some colleagues, of the team if possible, who take the deals over; −1: there is nobody."""
        found = np.full((len(self), _CANDIDATES), -1)
        for leaver in np.flatnonzero(self.end < NEVER):
            when = self.end[leaver]
            there = self.present(when)
            mates = there & (self.team_at(when) == self.team_at(when)[leaver])
            takers = np.flatnonzero(mates if mates.any() else there)
            if takers.size:
                found[leaver] = rng.choice(takers, _CANDIDATES)
        return found

    def mates(self, rng: np.random.Generator) -> Ints:
        """For each some colleagues of the first team."""
        order = np.argsort(self.team, kind="stable")
        low = np.searchsorted(self.team[order], self.team)
        high = np.searchsorted(self.team[order], self.team, side="right")
        picks = low[:, None] + rng.random((len(self), _CANDIDATES)) * (high - low)[:, None]
        return order[picks.astype(np.int64)]


def hired(world: World, clock: Clock) -> People:
    """The company's sellers: most stay, some join, leave, are away or change teams within the files."""
    rng, n = world.random(_PEOPLE), world.reps
    careers = _careers(world, rng)
    team = np.arange(n) * world.teams // n
    activity = np.exp(rng.normal(0, 0.22, n))
    activity[careers["idle"]] = 0
    return People(
        number=np.arange(n), team=team, next_team=(team + 1) % world.teams, **_times(world, clock, careers, rng),
        skill=world.skill_spread * (0.8 * rng.normal(size=(n, 1)) + 0.6 * rng.normal(size=(n, SEGMENTS))),
        mix=np.cumsum(rng.dirichlet((5.0, 3.5, 1.5), n), axis=1), activity=activity,
        pace=rng.normal(0, 0.12, n), discipline=np.exp(rng.normal(0, 0.5, n)), price=np.exp(rng.normal(0, 0.15, n)),
        coached=np.isin(np.arange(n), careers["coached"]),
    )  # fmt: skip


def _times(world: World, clock: Clock, careers: dict[str, Ints], rng: np.random.Generator) -> dict[str, Any]:
    """When each starts, ends, is away, is back, changes teams."""
    n = world.reps
    start = -rng.uniform(20, 1800, n)
    end, away, back, moved = (np.full(n, NEVER) for _ in range(4))
    start[careers["join"]] = _spread(clock, world, rng, len(careers["join"]), 0.25, 30)
    start[careers["idle"]] = clock.last - 9
    end[careers["leave"]] = _spread(clock, world, rng, len(careers["leave"]), 0.15, 20) + _EVENING
    away[careers["away"]] = _spread(clock, world, rng, len(careers["away"]), 0.1, 35)
    back[careers["away"]] = away[careers["away"]] + rng.integers(15, 60, len(careers["away"]))
    quarter = clock.on(world.last_quarter)
    moved[careers["move"]] = rng.integers(
        min(clock.first + 20, quarter - 2), quarter - 1, len(careers["move"])
    )
    return {"start": start, "end": end, "away": away, "back": back, "moved": moved}


def _careers(world: World, rng: np.random.Generator) -> dict[str, Ints]:
    """Who has which career; nobody has two, and from 20 reps on each that is turned on occurs."""
    shares = {
        "join": world.turnover, "leave": world.turnover, "away": world.leaves, "coached": world.coached,
        "move": world.team_changes if world.teams > 1 and world.months > 4 else 0, "idle": 0.01,
    }  # fmt: skip
    order = rng.permutation(world.reps)
    least = 1 if world.reps >= 20 else 0
    counts = [max(least, round(share * world.reps)) if share else 0 for share in shares.values()]
    return dict(zip(shares, np.split(order, np.cumsum(counts))[: len(shares)], strict=True))


def _spread(
    clock: Clock, world: World, rng: np.random.Generator, count: int, low: float, margin: int
) -> Floats:
    """Days over the files, from a share of them on; the first of them in the last three months."""
    latest = max(clock.last - margin, clock.first + 2)
    days = rng.uniform(clock.first + low * (latest - clock.first), latest, count)
    days[:1] = rng.uniform(min(clock.on(world.last_quarter), latest - 1), latest, len(days[:1]))
    return np.floor(days)
