"""People by date: who was there, in which team and role, and who led whom."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, lru_cache
from itertools import groupby

from coachbook.model.periods import Span

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Entry:
    """One row of the roster as its source says it: the columns of `reps`, in their order.

    `seen_on`: day of the export that brought it, if a later one than its source's first; a row without
    `effective_on` holds from then on, else always.
    """

    rep_id: str
    effective_on: date | None
    name: str
    team_id: str | None
    team: str | None
    manager: str | None
    role: str
    start_on: date | None
    end_on: date | None
    presence: str | None
    ramp: float | None
    seen_on: date | None = None

    @property
    def from_on(self) -> date:
        """First day on which it holds; 0001-01-01: always."""
        return self.effective_on or self.seen_on or date.min


@dataclass(frozen=True)
class Tenure:
    """What one person was in one stretch of days: a row of `known_roster`, columns in its order.

    `from_on` is the first day (0001-01-01: always), `until_on` the day after the last (None: none is known).
    `manager` is as the source has it, an id or a name; `presence` is active or leave; `ramp` a share of a full
    quota; `start_on` and `end_on` the first and the last day on the job.
    """

    rep_id: str
    from_on: date
    until_on: date | None
    name: str
    team_id: str | None
    team: str | None
    manager: str | None
    role: str
    presence: str
    ramp: float
    start_on: date | None
    end_on: date | None

    def within(self, span: Span) -> Span | None:
        """Its days inside the span; None if there are none."""
        first = max(span.first, self.from_on)
        after = min(span.after, self.until_on or date.max)
        return Span(first, after) if first < after else None


def resolve(entries: Iterable[Entry]) -> tuple[Tenure, ...]:
    """Stretches of days, by person and time: a row holds until the person's next row.

    Nobody has a stretch outside `start_on` to `end_on`. These two are facts of the person rather than of the
    row: a row without `effective_on` is corrected by the next one, unless that speaks of a new start after
    this end; an `end_on` that the next row brings counts for a dated row that has none. Of two rows that hold
    from one day, that which names its day stands.
    """
    ordered = sorted(entries, key=lambda e: (e.rep_id, e.from_on, e.effective_on is not None))
    return tuple(
        tenure for _rep, rows in groupby(ordered, key=lambda e: e.rep_id) for tenure in _of_one(list(rows))
    )


def _of_one(rows: list[Entry]) -> list[Tenure]:
    rows = list({row.from_on: row for row in rows}.values())
    tenures: list[Tenure] = []
    until: date | None = None
    job = rows[-1].start_on, rows[-1].end_on
    for row in reversed(rows):
        job = _job(row, *job)
        tenure = _tenure(row, until, *job)
        if tenure.from_on < (tenure.until_on or date.max):
            tenures.append(tenure)
        until = row.from_on
    return tenures[::-1]


def _job(row: Entry, start: date | None, end: date | None) -> tuple[date | None, date | None]:
    """First and last day on the job that a row goes by, given those of the next row."""
    if row.effective_on:
        return row.start_on, row.end_on or end
    returned = row.end_on is not None and start is not None and row.end_on < start
    return (row.start_on, row.end_on) if returned else (start or row.start_on, end)


def _tenure(row: Entry, until: date | None, start: date | None, end: date | None) -> Tenure:
    ends = [day for day in (until, _after(end)) if day]
    return Tenure(
        row.rep_id, max(row.from_on, start or date.min), min(ends, default=None), row.name, row.team_id, row.team,
        row.manager, row.role, row.presence or "active", 1.0 if row.ramp is None else row.ramp, start, end,
    )  # fmt: skip


def _after(day: date | None) -> date | None:
    return day + _DAY if day and day < date.max else None


@dataclass(frozen=True, eq=False)
class Roster:
    """Everybody there on one day, by id, and who leads whom; `left`: who was there before, by the last stretch.

    `leaders` gives each person's leader: an id, or the name as written where nobody on the roster has it. It
    knows those who have left, too: a team whose manager left is still the director's.
    Whoever is his or her own manager has none. Who leads one's own leader by way of others has none either: such
    rings stand in `rings`. `unclear` are those whose manager's name fits several people: no leader for them.
    """

    day: date
    people: Mapping[str, Tenure]
    left: Mapping[str, Tenure]
    leaders: Mapping[str, str]
    rings: tuple[tuple[str, ...], ...]
    unclear: tuple[str, ...]

    def leader(self, rep_id: str) -> str:
        """Who leads a person of this roster; empty: nobody."""
        return self.leaders.get(rep_id, "") if rep_id in self.people else ""

    def above(self, rep_id: str) -> tuple[str, ...]:
        """Leader, leader's leader and so on; of who has left, those of the last day."""
        chain = []
        while leader := self.leaders.get(rep_id, ""):
            chain.append(leader)
            rep_id = leader
        return tuple(chain)

    def reports(self, manager: str, *, deep: bool = True, left: bool = False) -> tuple[str, ...]:
        """Ids of whom a manager leads, directly or (`deep`) by way of others; with `left`, also of who has left."""
        found = list(self._led.get(manager, ()))
        for rep_id in found if deep else ():
            found += self._led.get(rep_id, ())  # the list grows while it is walked: breadth first
        return tuple(sorted(rep_id for rep_id in found if left or rep_id in self.people))

    def team(self, team_id: str) -> tuple[str, ...]:
        """Ids of who is in a team."""
        return tuple(self._teams.get(team_id, ()))

    @property
    def teams(self) -> tuple[str, ...]:
        """Ids of all teams that somebody is in."""
        return tuple(sorted(self._teams))

    @property
    def managers(self) -> tuple[str, ...]:
        """Whoever leads somebody, or led somebody who has left."""
        return tuple(sorted(self._led))

    @cached_property
    def _led(self) -> dict[str, list[str]]:
        led = defaultdict(list)
        for rep_id, leader in self.leaders.items():
            led[leader].append(rep_id)
        return dict(led)

    @cached_property
    def _teams(self) -> dict[str, list[str]]:
        teams = defaultdict(list)
        for rep_id, tenure in self.people.items():
            if tenure.team_id:
                teams[tenure.team_id].append(rep_id)
        return dict(teams)


@dataclass(frozen=True, eq=False)
class People:
    """Everybody, by date; `tenures` as `resolve` gives them: by person and time, none overlapping."""

    tenures: tuple[Tenure, ...]

    def at(self, day: date) -> Roster:
        """The roster of a day."""
        return _roster(self, day)

    def tenure(self, rep_id: str, day: date) -> Tenure | None:
        """What a person was on a day; None: not there."""
        last = self._last(rep_id, day)
        return last if last and day < (last.until_on or date.max) else None

    def during(self, span: Span) -> tuple[Tenure, ...]:
        """Who was on the roster on some day of the span, at work or on leave; each by the last stretch in it."""
        return tuple({t.rep_id: t for t, _days in self.stays(span)}.values())

    def active(self, span: Span) -> tuple[Tenure, ...]:
        """As `during`, without who was on leave, or not there, on every day."""
        at_work = {t.rep_id for t, _days in self.stays(span) if t.presence == "active"}
        return tuple(t for t in self.during(span) if t.rep_id in at_work)

    def stays(self, span: Span) -> Iterator[tuple[Tenure, Span]]:
        """Every stretch that reaches into the span, with its days there; by person and time."""
        for tenure in self.tenures:
            days = tenure.within(span)
            if days:
                yield tenure, days

    def on_leave(self, rep_id: str, span: Span) -> tuple[Span, ...]:
        """A person's leaves inside the span, each as long as it is."""
        leaves: list[Span] = []
        for tenure in self._by_rep.get(rep_id, ()):
            days = tenure.within(span) if tenure.presence == "leave" else None
            if days and leaves and leaves[-1].after == days.first:
                days = Span(leaves.pop().first, days.after)
            leaves += [days] if days else []
        return tuple(leaves)

    def days_at_work(
        self, span: Span, *, count: Callable[[Span], int] = lambda days: days.length_days
    ) -> dict[tuple[str, str | None], int]:
        """Days on the job, leave not counted, by person and team: who changed teams counts in each.

        `count` says how many days of a span count, for instance those of a working calendar; by default all.
        """
        days: Counter[tuple[str, str | None]] = Counter()
        for tenure, stay in self.stays(span):
            if tenure.presence == "active":
                days[tenure.rep_id, tenure.team_id] += count(stay)
        return dict(days)

    def _last(self, rep_id: str, day: date) -> Tenure | None:
        """The last stretch that had begun by a day."""
        tenures = self._by_rep.get(rep_id, ())
        begun = bisect_right(tenures, day, key=lambda t: t.from_on)
        return tenures[begun - 1] if begun else None

    @cached_property
    def _by_rep(self) -> dict[str, tuple[Tenure, ...]]:
        return {rep_id: tuple(own) for rep_id, own in groupby(self.tenures, key=lambda t: t.rep_id)}


@lru_cache(maxsize=16)
def _roster(people: People, day: date) -> Roster:
    known = {rep_id: last for rep_id in people._by_rep if (last := people._last(rep_id, day))}
    there = {rep_id: t for rep_id, t in known.items() if day < (t.until_on or date.max)}
    left = {rep_id: t for rep_id, t in known.items() if rep_id not in there}
    now, ever = _by_name(there.values()), _by_name(known.values())
    leaders, unclear = {}, []
    for rep_id, tenure in known.items():
        manager = tenure.manager or ""
        fits = [manager] if manager in people._by_rep else now.get(manager) or ever.get(manager) or [manager]
        if len(fits) > 1:
            unclear.append(rep_id)
        elif fits[0] not in ("", rep_id):
            leaders[rep_id] = fits[0]
    rings = _rings(leaders)
    for rep_id in (rep_id for ring in rings for rep_id in ring):
        del leaders[rep_id]
    return Roster(day, there, left, leaders, rings, tuple(unclear))


def _by_name(tenures: Iterable[Tenure]) -> dict[str, list[str]]:
    called = defaultdict(list)
    for tenure in tenures:
        called[tenure.name].append(tenure.rep_id)
    return dict(called)


def _rings(leaders: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """People who lead each other round in a circle: each ring once, from its smallest id on."""
    rings, seen = [], set[str]()
    for start in leaders:
        path, person = list[str](), start
        while person in leaders and person not in seen:
            seen.add(person)
            path.append(person)
            person = leaders[person]
        if person in path:
            ring = path[path.index(person) :]
            first = ring.index(min(ring))
            rings.append((*ring[first:], *ring[:first]))
    return tuple(sorted(rings))
