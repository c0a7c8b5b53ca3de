"""Stages by hand: events replayed deal by deal, days walked one at a time. Plain Python and pandas, nothing of coachbook.

Everything is at the grain of a day in UTC, and every event is known at once. Working days are Monday to Friday.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Entity = tuple[str, str]
ALL: Entity = ("all", "")
DAY = timedelta(days=1)
END_OF_DAY = time(23, 59, 59, 999999)


@cache
def number(day: date) -> int:
    """Working days up to and including a day."""
    return int(np.busday_count("2000-01-01", day + DAY))


@dataclass(eq=False)
class Turn:
    """Where a deal stood: in a stage, or decided; until the next one."""

    stage: str | None
    status: str
    since: datetime
    until: datetime | None = None
    then: Turn | None = None
    through: set[str | None] = field(default_factory=set)
    reopened: bool = False

    @property
    def entered(self) -> date:
        return self.since.date()

    @property
    def left(self) -> date | None:
        return self.until.date() if self.until else None


@dataclass
class Deal:
    """One deal's life as its events tell it."""

    id: str
    created: date
    customer: str | None
    turns: list[Turn]
    owners: list[tuple[date, str]]
    due: date | None = None

    @property
    def outcome(self) -> str:
        return self.turns[-1].status

    @property
    def visits(self) -> list[Turn]:
        return [t for t in self.turns if t.status == "open" and t.stage]

    def owner(self, day: date) -> str:
        return [rep for since, rep in self.owners if since <= day][-1]


def live(
    deal: str, created: date, customer: str | None, events: Iterable[Mapping[str, Any]], as_of: date
) -> Deal:
    """Replay the events of one deal, those of one instant and number together."""
    now: dict[str, str] = {"status": "open", "stage": "", "owner": "", "close_on": ""}
    turns: list[Turn] = []
    owners: list[tuple[datetime, str]] = []
    holders: list[tuple[date, str]] = []
    moments = sorted(events, key=lambda e: (e["occurred_at"], e["seq"]))
    for (at, _seq), together in groupby(moments, key=lambda e: (e["occurred_at"], e["seq"])):
        if at.date() > as_of:
            break
        before = now["status"]
        now.update({e["field"]: e["new"] or "" for e in together})
        owners.append((at, now["owner"]))
        if now["status"] in ("won", "lost"):
            if now["status"] != before:
                due = (
                    datetime.combine(date.fromisoformat(now["close_on"]), END_OF_DAY)
                    if now["close_on"]
                    else at
                )
                fits = [rep for since, rep in owners if since <= min(due, at)]
                decided_by = fits[-1] if fits else now["owner"]
            holders.append((at.date(), decided_by))
        else:
            holders.append((at.date(), now["owner"]))
        stage = (now["stage"] or None) if now["status"] == "open" else None
        turns.append(Turn(stage, now["status"], at))
    kept = _joined(turns)
    for turn, then in pairwise(kept):
        turn.until = then.since
    whole = _joined([t for t in kept if t.until is None or t.until - t.since > timedelta(seconds=1)])
    for turn in whole[-1:]:
        turn.until = None
    for turn, then in pairwise(whole):
        turn.until, turn.then = then.since, then
        then.reopened = turn.status != "open"
        turn.through = {
            hop.stage for hop in kept[kept.index(turn) + 1 : kept.index(then)] if hop not in whole
        }
    due = date.fromisoformat(now["close_on"]) if now["close_on"] else None
    return Deal(deal, created, None if now["status"] == "deleted" else customer, whole, holders, due)


def _joined(turns: list[Turn]) -> list[Turn]:
    """One for each change of stage or status."""
    kept: list[Turn] = []
    for turn in turns:
        if not kept or (kept[-1].stage, kept[-1].status) != (turn.stage, turn.status):
            kept.append(turn)
    return kept


class Oracle:
    """Figures of days `first` to `last`, seen from `as_of`."""

    def __init__(
        self,
        deals: Sequence[Deal],
        teams: Iterable[tuple[str, date, str]],
        stages: Sequence[str],
        as_of: date,
        since: date | None = None,
    ) -> None:
        self.deals = [d for d in deals if d.turns]
        self.stages, self.as_of = list(stages), as_of
        self.teams: dict[str, list[tuple[date, str]]] = defaultdict(list)
        for rep, day, team in sorted(teams):
            self.teams[rep].append((day, team))
        self.used = {t.stage for d in deals for t in d.visits} | {
            s for d in deals for t in d.turns for s in t.through if s
        }
        self.since = since or self._since()

    def _since(self) -> date | None:
        left = [t.left for d in self.deals for t in d.visits if t.left]
        decided = [
            max(d.turns[-1].entered, d.due or date.min) for d in self.deals if d.outcome in ("won", "lost")
        ]
        return max([min(left), *([min(decided)] if decided else [])]) if left else None

    def place(self, stage: str | None) -> int | None:
        return self.stages.index(stage) if stage in self.stages else None

    def holder(self, deal: Deal, day: date) -> tuple[str, str]:
        rep = deal.owner(day)
        team = [team for since, team in self.teams.get(rep, []) if since <= day]
        return rep, team[-1] if team else ""

    def around(self, deal: Deal, day: date) -> tuple[Entity, Entity, Entity]:
        rep, team = self.holder(deal, day)
        return ("rep", rep), ("team", team), ALL

    def went(self, turn: Turn) -> str:
        then = turn.then
        assert then is not None
        if then.status != "open":
            return then.status
        here, there = self.place(turn.stage), self.place(then.stage)
        if here is None or there is None:
            return "aside"
        return "onward" if there > here else "back"

    def skips(self, turn: Turn) -> bool:
        here, went = self.place(turn.stage), self.went(turn)
        if here is None or went not in ("onward", "won"):
            return False
        assert turn.then is not None
        until = len(self.stages) if went == "won" else self.place(turn.then.stage)
        between = self.stages[here + 1 : until]
        return any(stage in self.used and stage not in turn.through for stage in between)

    def counted(self, first: date, last: date) -> pd.DataFrame:
        """Deals, customers and times by kind, id, stage and what happened."""
        rows = []
        for deal in self.deals:
            for turn in deal.visits:
                for day, what in self._happened(deal, turn, first, last):
                    rows += [(*e, turn.stage, what, deal.id, deal.customer) for e in self.around(deal, day)]
                rows += [
                    (*e, turn.stage, what, deal.id, deal.customer)
                    for e, what in self._handed(deal, turn, first, last)
                ]
        frame = pd.DataFrame(rows, columns=["kind", "id", "stage", "what", "deal", "customer"])
        return frame.groupby(["kind", "id", "stage", "what"]).agg(
            deals=("deal", "nunique"), customers=("customer", "nunique"), times=("deal", "size")
        )

    def _happened(self, deal: Deal, turn: Turn, first: date, last: date) -> Iterator[tuple[date, str]]:
        if first <= turn.entered <= last:
            yield turn.entered, "came_in"
            if turn.reopened:
                yield turn.entered, "reopened"
        if turn.left and first <= turn.left <= last:
            went = self.went(turn)
            yield turn.left, "moved_on" if went in ("onward", "won") else went
            if went == "won":
                yield turn.left, "won"
            if self.skips(turn):
                yield turn.left, "skipped"
        if turn.entered <= last and (turn.left is None or turn.left > last):
            yield last, "there"

    def _handed(self, deal: Deal, turn: Turn, first: date, last: date) -> Iterator[tuple[Entity, str]]:
        """By reps and teams alike: a rep who changes teams hands over to himself in the new one."""
        for day in days(max(turn.entered + DAY, first), min(turn.left or last, last)):
            if self.holder(deal, day) != self.holder(deal, day - DAY):
                for was, now in zip(self.around(deal, day - DAY), self.around(deal, day), strict=True):
                    yield was, "handed_over"
                    yield now, "taken_over"

    def firsts(self, deal: Deal) -> list[date]:
        """The days on which a deal first was at a position or beyond it."""
        marks = [(p, t.entered) for t in deal.visits if (p := self.place(t.stage)) is not None]
        if deal.outcome == "deleted" or not marks:
            return []
        if deal.outcome == "won":
            marks.append((len(self.stages), deal.turns[-1].entered))
        return [min(day for p, day in marks if p >= k) for k in range(max(p for p, _day in marks) + 1)]

    def created(self, first: date, last: date) -> dict[Entity, list[int]]:
        """How many of those created ever reached each position."""
        found: dict[Entity, list[int]] = defaultdict(lambda: [0] * (len(self.stages) + 1))
        for deal in self.deals:
            firsts = self.firsts(deal)
            if firsts and first <= deal.created <= last:
                for entity in self.around(deal, firsts[0]):
                    for k in range(len(firsts)):
                        found[entity][k] += 1
        return found

    def cohort(
        self, first: date, last: date, horizons: Mapping[str, int]
    ) -> dict[tuple[str, Entity, int], dict[str, float]]:
        """Counts, and shares by the horizon, of those that first got somewhere in these days."""
        ways: dict[tuple[str, Entity, int], list[tuple[int, int]]] = defaultdict(list)
        for deal in self.deals:
            firsts = self.firsts(deal)
            ended = deal.turns[-1].entered if deal.outcome in ("won", "lost") else self.as_of
            for k, day in enumerate(firsts[: len(self.stages)]):
                if first <= day <= last:
                    on = firsts[k + 1] if k + 1 < len(firsts) else None
                    lost = 2 * (deal.outcome == "lost")
                    onward = (number(on or ended) - number(day), 1 if on else lost)
                    whole = (number(ended) - number(day), 1 if deal.outcome == "won" else lost)
                    for entity in self.around(deal, day):
                        ways["onward", entity, k].append(onward)
                        ways["won", entity, k].append(whole)
        return {key: aalen_johansen(way, horizons[key[0]]) for key, way in ways.items()}

    def dwell(
        self, first: date, last: date, *, cumulative: bool
    ) -> dict[tuple[Entity, str], dict[str, float]]:
        """Kaplan-Meier of working days in each stage, out of who was there on which of its days."""
        there: dict[tuple[Entity, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
        gone: dict[tuple[Entity, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
        deals: dict[tuple[Entity, str], set[str]] = defaultdict(set)
        for deal in self.deals:
            for stage in {t.stage for t in deal.visits}:
                begun = [t for t in deal.visits if t.stage == stage and t.entered <= last]
                before = 0
                for i, turn in enumerate(begun):
                    latest = i == len(begun) - 1
                    if latest or cumulative:
                        for day, tick in self._ticks(turn, last):
                            end = number(turn.left) - number(turn.entered) if turn.left else None
                            if day < first or (not latest and tick == end):
                                continue
                            ends = latest and tick == end and turn.left is not None and turn.left <= last
                            if ends and self.holder(deal, turn.left or last) != self.holder(deal, day):
                                ends = False
                            for entity in self.around(deal, day):
                                place = (entity, str(stage))
                                there[place][before + tick] += 1
                                gone[place][before + tick] += ends
                                deals[place].add(deal.id)
                    if cumulative and turn.left:
                        before += number(turn.left) - number(turn.entered)
        return {place: {**kaplan_meier(there[place], gone[place]), "n": len(deals[place])} for place in there}

    def _ticks(self, turn: Turn, last: date) -> Iterator[tuple[date, int]]:
        """Each working day of a visit's clock, with the first day that it stands for."""
        seen = -1
        for day in days(turn.entered, min(turn.left or last, last)):
            tick = number(day) - number(turn.entered)
            if tick > seen:
                yield day, tick
            seen = tick


def days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += DAY


def aalen_johansen(ways: list[tuple[int, int]], horizon: int) -> dict[str, float]:
    """All seen from the beginning; (days, 1 on or won, 2 lost, 0 neither yet)."""
    staying, shares = Fraction(1), {1: Fraction(0), 2: Fraction(0)}
    for day in sorted({d for d, _cause in ways if d <= horizon}):
        n = sum(d >= day for d, _cause in ways)
        ends = {cause: sum(w == (day, cause) for w in ways) for cause in (1, 2)}
        for cause, count in ends.items():
            shares[cause] += staying * count / n
        staying *= 1 - Fraction(sum(ends.values()), n)
    known = staying == 0 or horizon <= max(d for d, _cause in ways)
    told = (lambda share: float(share)) if known else (lambda share: np.nan)
    return {
        "n": len(ways),
        "ended": sum(cause == 1 for _d, cause in ways),
        "lost": sum(cause == 2 for _d, cause in ways),
        "ended_share": told(shares[1]),
        "lost_share": told(shares[2]),
        "staying": told(staying),
        "at_risk": sum(d >= horizon for d, _cause in ways),
        "resolved": sum(cause > 0 or d >= horizon for d, cause in ways) / len(ways),
    }


def kaplan_meier(there: Mapping[int, int], gone: Mapping[int, int]) -> dict[str, float]:
    """Quartiles; NaN beyond the first day on which nobody was there, or after all there had gone though others came."""
    staying, found = Fraction(1), {"lower": np.nan, "median": np.nan, "upper": np.nan}
    shares = {"lower": Fraction(3, 4), "median": Fraction(1, 2), "upper": Fraction(1, 4)}
    for day in range(max(there) + 1):
        n = there.get(day, 0)
        if n == 0:
            break
        staying *= 1 - Fraction(gone.get(day, 0), n)
        if staying == 0 and day < max(there):
            break
        for name, share in shares.items():
            if staying <= share and np.isnan(found[name]):
                found[name] = day
    return {**found, "left": sum(gone.values())}


def from_files(folder: Path, stages: Sequence[str], as_of: date) -> Oracle:
    """A made-up company, out of its raw CSVs; all of it was recorded by its last day."""
    events = pd.read_csv(folder / "deal_events.csv", dtype=str, keep_default_na=False)
    events["occurred_at"] = [datetime.fromisoformat(text) for text in events["occurred_at"]]
    events["seq"] = events["seq"].astype(int)
    accounts = pd.read_csv(folder / "accounts.csv", dtype=str, keep_default_na=False)
    merged = dict(zip(accounts["account_id"], accounts["merged_into"], strict=True))
    listed = pd.read_csv(folder / "deals.csv", dtype=str, keep_default_na=False).set_index("deal_id")
    logs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events.to_dict("records"):
        logs[event["deal_id"]].append({str(name): value for name, value in event.items()})
    customers = listed["account_id"].map(lambda account: merged.get(account) or account)
    deals = [
        live(deal, date.fromisoformat(created), customer, logs[deal], as_of)
        for deal, created, customer in zip(listed.index, listed["created_on"], customers, strict=True)
    ]
    reps = pd.read_csv(folder / "reps.csv", dtype=str, keep_default_na=False)
    teams = [
        (row["rep_id"], date.fromisoformat(row["effective_on"] or "0001-01-01"), row["team_id"])
        for row in reps.to_dict("records")
    ]
    return Oracle(deals, teams, stages, as_of)
