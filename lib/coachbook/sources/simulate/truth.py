"""What is true of a made-up company in the long run, measured on a million of its deals; and what was planted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from coachbook.sources.simulate.history import (
    CLOSE,
    CLOSED,
    DELETED,
    LOST,
    NOTHING,
    OPEN,
    STAGE,
    STATUS,
    WON,
    Events,
    Story,
)
from coachbook.sources.simulate.office import Office
from coachbook.sources.simulate.people import NEVER, People
from coachbook.sources.simulate.world import Clock, Flags, Ints, World, coached_from

DEALS = 1_000_000
_LONG_RUN, _COACHED = 5, 6
_AT_ONCE = 60_000
"""Deals, about."""
_NAMED = 500
"""A larger company gets no figures for each rep."""
_DAY = 86_400

Columns = dict[str, Any]
"""Arrays of one length, by name."""


def truth(office: Office, *, deals: int = DEALS) -> dict[str, Any]:
    """Measure the company's long run: the same people and months again and again, every deal followed to its end.

    Shares are 0..1, times are calendar days, money is in major units of the reporting currency at a fixed rate
    (7.1 CNY for a US dollar). What was planted stands beside it.
    """
    world, people = office.world, office.people
    found = _measured(world, office.clock, people, deals, _LONG_RUN)
    named = len(people) <= _NAMED
    return {
        "deals_measured": len(found["status"]),
        "company": _figures(found),
        "segments": {name: _figures(_where(found, found["segment"] == k)) for k, name in enumerate(office.words.segments)},
        "kinds": {name: _figures(_where(found, found["renewal"] == k)) for k, name in enumerate(office.words.kinds)},
        "stages": _stages(found, office.words.stages),
        "reps": _by_rep(found, office) if named else {},
        "planted": _planted(office, deals // 10),
        "knobs": {name: value for name, value in asdict(world).items() if name != "end"} | {"end": world.end.isoformat()},
    }  # fmt: skip


def _measured(world: World, clock: Clock, people: People, deals: int, *purpose: int) -> Columns:
    """At least so many deals of these people, each story with chance of its own."""
    parts: list[Columns] = []
    for turn, cast in enumerate(_casts(world, people)):
        chance = world.random(*purpose, turn)
        story = Story(world, clock, cast, chance, since=clock.first, until=len(clock.days) - 150)
        parts.append(_counted(story, story.told()))
        if sum(len(part["status"]) for part in parts) >= deals:
            break
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _casts(world: World, people: People) -> Iterator[People]:
    """Everybody, some at a time or several times over, for ever."""
    count = 1 + int(_AT_ONCE / (world.months * world.deals_per_month))
    while True:
        if len(people) < count:
            yield people.tiled(count // len(people), world.teams)
        else:
            for first in range(0, len(people), count):
                yield people.take(slice(first, first + count))


def _counted(story: Story, told: Events) -> Columns:
    """What can be counted of the deals created within the months of the files; one entry per deal."""
    deals, clock, number = story.deals, story.clock, story.people.number
    kept = (deals.created >= clock.first) & (deals.created < clock.last) & (deals.status != DELETED)
    n = len(deals)
    decided = told.take((told.field == STATUS) & (told.new != OPEN))
    decided_on = np.zeros(n, np.int64)
    decided_on[decided.deal] = decided.when // _DAY
    yuan = deals.other_currency == (story.world.currencies[0] == "USD")
    home = 7.1 if story.world.currencies[0] == "CNY" else 1.0
    amount = np.where(deals.amount == NOTHING, np.nan, deals.amount / 100 / np.where(yuan, 7.1, 1) * home)
    visits, totals = _visits(told, n)
    reopened = (told.field == STATUS) & (told.new == OPEN) & (told.old != NOTHING)
    columns = {
        "status": deals.status, "segment": deals.segment, "renewal": deals.renewal.astype(np.int64),
        "rep": number[deals.owner], "amount": amount, "decided_on": decided_on,
        "days": decided_on - clock.day(deals.created), "reached": _reached(told, n), "pushes": _pushes(told, n),
        "reopened": np.bincount(told.deal[reopened], minlength=n), "events": np.bincount(told.deal, minlength=n),
        "late": np.bincount(told.deal[told.recorded != told.when], minlength=n),
        **{f"visits{stage}": visits[:, stage] for stage in range(CLOSED)},
        **{f"dwell{stage}": totals[:, stage] for stage in range(CLOSED)},
    }  # fmt: skip
    return _where(columns, kept)


def _visits(told: Events, n: int) -> tuple[Any, Any]:
    """How often each deal was in each stage, and for how many days in all."""
    steps = told.take((told.field == STAGE) | ((told.field == STATUS) & (told.old != NOTHING)))
    into = np.where(steps.field == STAGE, steps.new, CLOSED)
    same = np.append(steps.deal[1:] == steps.deal[:-1], False)
    stays = same & (into < CLOSED)
    days = np.append(np.diff(steps.when), 0) / _DAY
    place = steps.deal[stays] * CLOSED + into[stays]
    visits = np.bincount(place, minlength=n * CLOSED)
    return visits.reshape(n, CLOSED), np.bincount(place, days[stays], n * CLOSED).reshape(n, CLOSED)


def _reached(told: Events, n: int) -> Ints:
    """The furthest stage."""
    furthest = np.zeros(n, np.int64)
    stages = told.take(told.field == STAGE)
    np.maximum.at(furthest, stages.deal, stages.new)
    return furthest


def _pushes(told: Events, n: int) -> Ints:
    """How often the close date went to a later day, the deciding change apart."""
    change = (told.deal << 21) + told.count
    deciding = np.isin(change, change[(told.field == STATUS) & (told.new != OPEN)])
    later = (told.field == CLOSE) & (told.old != NOTHING) & (told.new > told.old) & ~deciding
    return np.bincount(told.deal[later], minlength=n)


def _where(columns: Columns, which: Flags) -> Columns:
    return {name: column[which] for name, column in columns.items()}


def _figures(found: Columns) -> dict[str, Any]:
    """The long-run figures of some deals."""
    won, lost = _where(found, found["status"] == WON), _where(found, found["status"] == LOST)
    n = len(won["status"]) + len(lost["status"])
    if not len(won["status"]) or not len(lost["status"]):
        return {"decided": n, "won": len(won["status"])}
    day = won["decided_on"].astype("datetime64[D]")
    left = (day.astype("datetime64[M]") + 1).astype("datetime64[D]") - day
    return {
        "decided": n, "won": len(won["status"]), "win_rate_count": _mean(found["status"][found["status"] != OPEN] == WON),
        "win_rate_value": round(float(np.nansum(won["amount"]) / (np.nansum(won["amount"]) + np.nansum(lost["amount"]))), 5),
        "average_deal_size": round(float(np.nanmean(won["amount"])), 2), "median_deal_size": float(np.nanmedian(won["amount"])),
        "cycle_days": _quartiles(won["days"]), "cycle_days_lost": _quartiles(lost["days"]),
        "pushes_per_deal": _mean(found["pushes"]), "events_per_deal": _mean(found["events"]),
        "reopened": _mean(found["reopened"] > 0), "won_in_last_four_days_of_month": _mean(left.astype(np.int64) <= 4),
        "events_entered_late": round(float(found["late"].sum() / found["events"].sum()), 5),
    }  # fmt: skip


def _stages(found: Columns, names: Any) -> dict[str, Any]:
    """For each stage: how many came so far, how many went further, how long it took."""
    decided = _where(found, found["status"] != OPEN)
    return {
        name: {
            "reached": _mean(decided["reached"] >= stage),
            "reached_next": _mean(decided["reached"][decided["reached"] >= stage] > stage),
            "days_in_all": _quartiles(decided[f"dwell{stage}"][decided[f"visits{stage}"] > 0]),
            "visits_per_deal": _mean(decided[f"visits{stage}"]),
        }
        for stage, name in enumerate(names[:CLOSED])
    }  # fmt: skip


def _by_rep(found: Columns, office: Office) -> dict[str, Any]:
    order = np.argsort(found["rep"], kind="stable")
    ordered = {name: column[order] for name, column in found.items()}
    bounds = np.searchsorted(ordered["rep"], np.arange(len(office.people) + 1))
    ids = office.rep_ids.to_pylist()
    kept = ("decided", "won", "win_rate_count", "average_deal_size", "cycle_days")
    reps = {
        ids[n]: _figures({name: column[bounds[n] : bounds[n + 1]] for name, column in ordered.items()})
        for n in range(len(ids))
    }
    return {rep: {name: figures[name] for name in kept if name in figures} for rep, figures in reps.items()}


def _planted(office: Office, deals: int) -> dict[str, Any]:
    people, clock = office.people, office.clock
    ids = office.rep_ids.to_pylist()

    def who(which: Flags) -> list[str]:
        return [ids[n] for n in np.flatnonzero(which)]

    there = clock.last
    return {
        "coaching": {"reps": who(people.coached), "from": coached_from(office.world).isoformat(), **_coaching(office, deals)},
        "hostile_rep": ids[office.hostile],
        "joined": who((people.start > clock.first) & (people.activity > 0)), "without_a_deal": who(people.activity == 0),
        "left": who(people.end < NEVER), "on_leave": who(people.away < there), "changed_teams": who(people.moved < there),
        "skill": {ids[n]: [round(float(s), 4) for s in people.skill[n]] for n in range(len(people))} if len(people) <= _NAMED else {},
    }  # fmt: skip


def _coaching(office: Office, deals: int) -> dict[str, Any]:
    """The coached reps' win rate from the first coached day on, with coaching and without, by the same chance."""
    coached = office.people.take(office.people.coached)
    if not len(coached):
        return {}
    day = int(office.clock.days[office.clock.coached_from])
    rates = {}
    for name, world in (("with", office.world), ("without", replace(office.world, coaching=0.0))):
        found = _measured(world, office.clock, coached, deals, _COACHED)
        later = (found["decided_on"] - found["days"] >= day) & (found["status"] != OPEN)
        rates[f"win_rate_{name}"] = _mean(found["status"][later] == WON)
    return {"log_odds_per_stage": office.world.coaching, **rates}


def _mean(values: Any) -> float:
    return round(float(np.mean(values)), 5) if len(values) else 0.0


def _quartiles(days: Any) -> dict[str, float]:
    low, middle, high = np.percentile(days, (25, 50, 75)) if len(days) else (0, 0, 0)
    return {"p25": round(float(low), 2), "median": round(float(middle), 2), "p75": round(float(high), 2)}
