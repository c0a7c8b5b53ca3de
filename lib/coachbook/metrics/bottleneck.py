"""Where a rep's deals stick, whose matter that is (the rep's, or everybody's), and whether one can know.

Gaps are differences of shares, with the interval of Newcombe (`stats.power`); an expected share counts as known, so
beside it the interval is Wilson's. No p-value is computed: p < a means that the interval at level 1 - a leaves out 0,
and Benjamini-Hochberg asks for no more than that at a = rate * k / looks.

A page tests each stage three times: the rep beside peers, the rep beside what is expected, peers beside what is
expected. Each of the three families has a third of the rate, so that all together keep to it, and so that a process
in which everybody sticks does not make it easier to blame somebody (one family for all three would: where all stages
were bad for everybody, it coached 8 % of reps who differed from nobody, and three families fewer than 1 %). Below
`SMALLEST_SHARE` deals on either side nothing is tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Literal

import numpy as np
from duckdb import DuckDBPyConnection

from coachbook.metrics.funnel import SMALLEST_SHARE, Outlook
from coachbook.metrics.judging import MOST_NEEDED, NO_PEERS, NO_REFERENCE, NOT_ENOUGH
from coachbook.metrics.visits import Visits
from coachbook.model.findings import (
    FDR,
    K_ANONYMOUS,
    LEVEL,
    Comparison,
    Direction,
    Finding,
    Interval,
    Named,
    Split,
    Verdict,
    With,
)
from coachbook.model.periods import Span
from coachbook.model.quality import Sentence
from coachbook.stats import power
from coachbook.stats.intervals import Floats, wilson
from coachbook.stats.sides import Flags, Ints
from coachbook.text import N_

METRIC = "stage_conversion"
Decision = Literal["coach", "fix", "wait"]
NAMED_AGAINST: tuple[With, ...] = ("peers", "expected")
FAMILIES = 3
PERIODS, TIMES = 3, 2
"""A bottleneck holds in the pooled window, or so many times in so many of the last periods."""
_ENDED: Mapping[Outlook, str] = {
    "onward": "next_number - number", "won": "CASE WHEN outcome = 'won' THEN ended_number - number END",
}  # fmt: skip
"""Working days until a deal got on, or was won."""
_KNOWN = 1e15
"""Deals behind an expected share: so many that chance has no part in it."""

NOT_EXPECTED = N_("nothing is expected of this stage")
OWN_NEEDED = N_("cannot tell yet: takes about {n} deals at this stage")
OTHERS_NEEDED = N_("cannot tell yet: takes about {n} deals of everybody else at this stage")


@dataclass(frozen=True)
class Cohorts:
    """Reps, or teams, x stages: of `n` deals that got to a stage, `onward` got beyond it by the horizon. Higher is better.

    `people` had such deals; None: each row is one person.
    """

    n: Floats
    onward: Floats
    people: Ints | None = None

    def at(self, stages: Sequence[int]) -> Cohorts:
        """Those stages alone."""
        return Cohorts(self.n[:, stages], self.onward[:, stages], self.having[:, stages])

    @property
    def having(self) -> Ints:
        """How many people had such deals."""
        return (self.n > 0).astype(np.int64) if self.people is None else self.people

    @property
    def share(self) -> Floats:
        """NaN where there are no deals."""
        share: Floats = np.divide(self.onward, self.n, out=np.full(self.n.shape, np.nan), where=self.n > 0)
        return share


@dataclass(frozen=True)
class People:
    """Who stands beside whom, per rep: `peers` codes those of one role active in the period, `team` those of one team.

    Without a code (-1) a rep is compared with nobody, and is in nobody's reference.
    """

    peers: Ints
    team: Ints


@dataclass(frozen=True)
class NamedStage(Named):
    """A stage that is singled out; `variant` is its id."""

    variant: str


@dataclass(frozen=True)
class Gap:
    """`share` of `n` deals less `reference`, of `reference_n`; reps x stages, above 0 is better.

    `low`, `high` at `LEVEL`; NaN below `SMALLEST_SHARE` deals on either side. The reference is NaN where it is not
    known, or not to be shown. A gap below `worth` is not worth acting on.
    """

    share: Floats
    n: Floats
    reference: Floats
    reference_n: Floats
    low: Floats
    high: Floats
    worth: float

    @cached_property
    def size(self) -> Floats:
        """Signed."""
        return self.share - self.reference

    @cached_property
    def needed(self) -> Floats:
        """Deals that a verdict takes: a gap worth acting on must leave out 0, a smaller one lie within what is not.

        NaN without a reference. Where so few deals show any gap: one just worth acting on, to the worse.
        """
        low, high = wilson(self.share, self.n, LEVEL)
        to = self.worth - np.abs(self.size)
        down = self._shrunk(self.share - low, self.size - self.low, to)
        settled = np.maximum(down, self._shrunk(high - self.share, self.high - self.size, to))
        return self._more(np.where(np.abs(self._seen) >= self.worth, self._told(LEVEL), settled))

    def needed_to_clear(self, level: float) -> Floats:
        """Deals until it is told at that level that it is worse, or settled that it is not, by as much as is worth acting on."""
        low, _high = wilson(self.share, self.n, LEVEL)
        settled = self._shrunk(self.share - low, self.size - self.low, self.worth + self.size)
        return self._more(np.where(self._seen <= -self.worth, self._told(level), settled))

    @property
    def _seen(self) -> Floats:
        return np.where(np.isnan(self.low), -self.worth, self.size)

    def _told(self, level: float) -> Floats:
        """With `power.POWER`."""
        at = np.clip(self.reference + self._seen, 0, 1)
        return power.n_needed(at, self.reference, self.reference_n, level)

    def _shrunk(self, own: Floats, reach: Floats, to: Floats) -> Floats:
        """Deals at which the interval, `reach` now, goes only so far: `own` part of it shrinks, the reference's stays."""
        left = to**2 - (reach**2 - own**2)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(left > 0, np.ceil(self.n * own**2 / left), np.inf)

    def _more(self, needed: Floats) -> Floats:
        """More than there are, as they do not tell."""
        return np.clip(needed, np.maximum(self.n + 1, SMALLEST_SHARE), MOST_NEEDED)


@dataclass(frozen=True)
class Movement:
    """A rep's movement since the period before, and of it all others' part, the team's, and the rep's own.

    `own` = `whole` - `company` - `team`, with bounds at `LEVEL` out of those of the two gaps to the reference, before
    and now, which are added in squares like Newcombe's own. `team` NaN: not to be shown, and part of `own`.

    References
    ----------
    Zou, Donner (2008), Statistics in Medicine 27(10), 1693-1702.
    """

    whole: Gap
    company: Gap
    team: Floats
    own: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class AtStage:
    """What can be told of one rep at one stage.

    Attributes
    ----------
    now, pooled
        Conversion in the period and in the window: beside peers and what is expected; in the period beside the
        period before as well, with company + team + own.
    others
        Peers' conversion in the window beside what is expected.
    decision
        coach: worse than peers. fix: everybody sticks there, and the rep no more than peers, as far as can be told.
        wait: cannot be told yet, see `reason` and `n_needed`. None: there is nothing to act on.
    named
        What may be singled out; on nothing else a sentence may rest.
    """

    stage: str
    now: Finding
    pooled: Finding
    others: Comparison
    decision: Decision | None
    reason: Sentence | None
    n_needed: int | None
    named: tuple[NamedStage, ...]


@dataclass(frozen=True)
class Window:
    """Gaps in one window: reps to peers, reps to what is expected, peers to what is expected."""

    peers: Gap
    expected: Gap
    others: Gap

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """All three, as many as `FAMILIES`."""
        return (self.peers, self.expected, self.others)


@dataclass(frozen=True)
class Bottlenecks:
    """What can be told of all reps at all stages; arrays are reps x stages.

    Attributes
    ----------
    worse, better
        In the order of `Window.gaps`: what holds once all looks are counted, in the pooled window or in `TIMES` of
        the last `PERIODS` periods. Of the first two a page may name it.
    coach, fix, wait
        The decision; nowhere two of them. Of the gap to what is expected, the gap to peers is the rep's own part, and
        peers' gap everybody's: who has always lagged behind is coached too, and whose own part of a movement is bad
        but who is no worse than peers is not.
    n_needed
        Deals that the decision waits for: of the rep's, or, where `waits_for_others`, of peers. NaN: does not wait,
        or nobody may be compared.
    looked_at
        Tests on each rep's page.
    """

    stages: tuple[str, ...]
    now: Window
    movement: Movement
    pooled: Window
    worse: tuple[Flags, ...]
    better: tuple[Flags, ...]
    coach: Flags
    fix: Flags
    wait: Flags
    waits_for_others: Flags
    n_needed: Floats
    looked_at: Ints

    def of(self, rep: int) -> tuple[AtStage, ...]:
        """The stages of one rep, in order."""
        return tuple(self._at(rep, place) for place in range(len(self.stages)))

    def _at(self, rep: int, place: int) -> AtStage:
        at = rep, place
        stage = self.stages[place]
        decision: Decision | None = (
            "coach" if self.coach[at] else "fix" if self.fix[at] else "wait" if self.wait[at] else None
        )
        needed = _whole(self.n_needed[at])
        before = _comparison("previous", self.movement.whole, at, NO_REFERENCE, self._split(at))
        return AtStage(
            stage,
            _finding(stage, f"{METRIC}:{stage}", self.now, at, before),
            _finding(stage, f"{METRIC}:{stage}:pooled", self.pooled, at),
            _comparison("expected", self.pooled.others, at, NOT_EXPECTED),
            decision,
            self._reason(at, needed) if decision == "wait" else None,
            needed,
            self._named(stage, at),
        )

    def _split(self, at: tuple[int, int]) -> Split | None:
        moved = self.movement
        company, team, own = (_known(part[at]) for part in (moved.company.size, moved.team, moved.own))
        if company is None or own is None:
            return None
        interval = _interval(moved.low[at], moved.high[at])
        verdict = _verdict(own, interval, moved.whole.worth)
        return Split(company, team, own, interval, verdict, _verdict_of(moved.company, at))

    def _reason(self, at: tuple[int, int], needed: int | None) -> Sentence:
        if needed is None:
            return Sentence(NO_PEERS, {"k": K_ANONYMOUS})
        return Sentence(OTHERS_NEEDED if self.waits_for_others[at] else OWN_NEEDED, {"n": needed})

    def _named(self, stage: str, at: tuple[int, int]) -> tuple[NamedStage, ...]:
        held: dict[Direction, tuple[Flags, ...]] = {"worse": self.worse, "better": self.better}
        return tuple(
            NamedStage(METRIC, against, direction, stage)
            for direction, families in held.items()
            for against, where in zip(NAMED_AGAINST, families, strict=False)
            if where[at]
        )


def cohorts(
    connection: DuckDBPyConnection, visits: Visits, span: Span, ids: Sequence[str], *, within_days: int,
    kind: Literal["rep", "team"] = "rep", outlook: Outlook = "onward",
) -> Cohorts:  # fmt: skip
    """What a span tells of each rep, or team, at each stage, out of what `visits.lay_out` laid out in the connection.

    Deals that first got to a stage in the days seen and were followed for `within_days` working days since; `onward`
    got beyond it within them. Whether a deal counts thus depends on the day of its coming alone and never on what
    became of it, so deals still open bias nothing, and counts are plain binomial ones: as of the end of a period most
    of its own deals do not count yet. (The Aalen-Johansen shares of `Funnel.cohorts` use such deals too, but are
    known of few reps then, mostly of those whose deals all ended fast.) A stage that no deal was ever in tells nothing.

    `outlook`: with `won`, `onward` counts those that were won by then.
    """
    n, onward, people = np.zeros((3, len(visits.entities) + 1, len(visits.stages)))
    if seen := visits.seen(span):
        rows = connection.execute(
            f"""
            SELECT {kind} AS entity, position, count(DISTINCT rep) AS people, count(*) AS n,
                count(*) FILTER ({_ENDED[outlook]} <= $within) AS onward
            FROM reached
            WHERE day BETWEEN $first AND $last AND position < $stages
                AND number + $within <= (SELECT number FROM known_days WHERE day = $as_of)
            GROUP BY ALL
            """,
            {
                "within": within_days, "first": seen.first, "last": seen.last, "stages": len(visits.stages),
                "as_of": visits.as_of,
            },
        ).fetchnumpy()  # fmt: skip
        at = rows["entity"], rows["position"]
        n[at], onward[at], people[at] = rows["n"], rows["onward"], rows["people"]
    used = np.array([stage not in visits.unused for stage in visits.stages])
    codes = [visits.codes.get((kind, name), -1) for name in ids]  # the last row is nobody's
    return Cohorts(n[codes] * used, onward[codes] * used, (people[codes] * used).astype(np.int64))


def followed(connection: DuckDBPyConnection, span: Span, as_of: date, *, within_days: int) -> Span | None:
    """The days on which those deals came whose `within_days` working days ended in a span; None: on none that is listed.

    A cohort of these days is complete when the span is over: that of the span itself, seen from its end, has hardly begun.
    """
    found = connection.execute(
        """
        SELECT min(day), max(day) FROM known_days
        WHERE number + $within > (SELECT number - is_working::INTEGER FROM known_days WHERE day = $first)
            AND number + $within <= (SELECT number FROM known_days WHERE day = $last)
        """,
        {"within": within_days, "first": span.first, "last": min(span.last, as_of)},
    ).fetchone()
    return Span(found[0], found[1] + timedelta(days=1)) if found and found[0] else None


def bottlenecks(
    expected: Mapping[str, float | None], periods: Sequence[Cohorts], pooled: Cohorts, people: People, *,
    worth: float,
) -> Bottlenecks:  # fmt: skip
    """Gaps, verdicts, names and decisions of all reps at all stages at once.

    Parameters
    ----------
    expected
        The stages in order, and the share of deals that is expected to get beyond each; None: nothing is.
    periods
        The period, and those before it as far as there are; the first `PERIODS` count.
    pooled
        A longer window that ends with the period.
    worth
        The smallest difference of shares worth acting on (`Settings.worth_acting.share`).
    """
    hoped = np.array([np.nan if share is None else share for share in expected.values()], dtype=float)
    recent = [_window(cohort, hoped, people, worth) for cohort in periods[:PERIODS]]
    whole = _window(pooled, hoped, people, worth)
    worse, better = _held(whole, recent)
    coach = worse[0]
    fix = worse[2] & ~coach & ~(whole.peers.high < 0)
    level_with_peers = whole.peers.low >= -worth
    wait = ~coach & ~fix & ~(level_with_peers & ((whole.others.low >= -worth) | np.isnan(hoped)))
    level = 1 - _rate(_looks(whole.peers))
    needed = np.where(
        level_with_peers, whole.others.needed_to_clear(level), whole.peers.needed_to_clear(level)
    )
    looked = [~np.isnan([gap.low for gap in window.gaps]) for window in (whole, *recent)]
    return Bottlenecks(
        stages=tuple(expected),
        now=_without_a_few(recent[0], periods[0], pooled, people),
        movement=_movement(periods[0], periods[1] if len(periods) > 1 else _none_of(pooled), people, worth),
        pooled=whole,
        worse=worse,
        better=better,
        coach=coach,
        fix=fix,
        wait=wait,
        waits_for_others=wait & level_with_peers,
        n_needed=np.where(wait, needed, np.nan),
        looked_at=np.any(looked, axis=0).sum(axis=(0, 2)),
    )


def _none_of(cohort: Cohorts) -> Cohorts:
    return Cohorts(np.zeros_like(cohort.n), np.zeros_like(cohort.n))


def _window(cohort: Cohorts, hoped: Floats, people: People, worth: float) -> Window:
    others = _others(cohort, people.peers)
    many = _many(others.having)
    shown = Cohorts(np.where(many, others.n, 0.0), np.where(many, others.onward, 0.0))
    known = Cohorts(np.full(cohort.n.shape, _KNOWN), np.broadcast_to(hoped * _KNOWN, cohort.n.shape))
    return Window(_gap(cohort, shown, worth), _gap(cohort, known, worth), _gap(shown, known, worth))


def _others(cohort: Cohorts, code: Ints) -> Cohorts:
    """All of the same code without the rep itself, pooled over deals; nobody where the code is -1."""
    has = code >= 0

    def left_out(x: Floats | Ints) -> Floats:
        sums = np.zeros((code.max(initial=-1) + 1, x.shape[1]))
        np.add.at(sums, code[has], x[has])
        rest = np.zeros(x.shape)
        rest[has] = sums[code[has]] - x[has]
        return rest

    return Cohorts(left_out(cohort.n), left_out(cohort.onward), left_out(cohort.having).astype(np.int64))


def _gap(own: Cohorts, other: Cohorts, worth: float) -> Gap:
    low, high = power.newcombe(own.onward, own.n, other.onward, other.n, LEVEL)
    enough = (own.n >= SMALLEST_SHARE) & (other.n >= SMALLEST_SHARE)
    return Gap(
        own.share, own.n, other.share, other.n, np.where(enough, low, np.nan), np.where(enough, high, np.nan), worth
    )  # fmt: skip


def _rate(looks: int) -> float:
    """The p-value at which a gap is told that is the only one of its family."""
    return FDR / FAMILIES / max(looks, 1)


def _looks(gap: Gap) -> int:
    """Stages at which anybody can be tested."""
    return int((~np.isnan(gap.low)).any(axis=0).sum())


def _found(gap: Gap) -> Floats:
    """The sign of the gaps of each rep that hold among all its stages, else 0 (Benjamini-Hochberg, `FDR` / `FAMILIES`)."""
    looks = _looks(gap)
    found = np.zeros(gap.n.shape, dtype=bool)
    sides = gap.share * gap.n, gap.n, gap.reference * gap.reference_n, gap.reference_n
    for k in range(1, looks + 1):
        low, high = power.newcombe(*sides, 1 - k * _rate(looks))
        clear = ~np.isnan(gap.low) & ((low > 0) | (high < 0))
        found |= clear & (clear.sum(axis=1, keepdims=True) >= k)
    return np.where(found & (np.abs(gap.size) >= gap.worth), np.sign(gap.size), 0.0)


def _held(pooled: Window, recent: Sequence[Window]) -> tuple[tuple[Flags, ...], tuple[Flags, ...]]:
    """Which gaps hold to the worse, and to the better: in the pooled window or often enough; never both."""
    worse: list[Flags] = []
    better: list[Flags] = []
    for whole, *parts in zip(pooled.gaps, *(window.gaps for window in recent), strict=True):
        long, short = _found(whole), np.array([_found(part) for part in parts])
        down, up = ((long == sign) | ((short == sign).sum(axis=0) >= TIMES) for sign in (-1, 1))
        worse.append(down & ~up)
        better.append(up & ~down)
    return tuple(worse), tuple(better)


def _many(people: Ints) -> Flags:
    many: Flags = people >= K_ANONYMOUS
    return many


def _none_or_many(people: Ints) -> Flags:
    fine: Flags = (people == 0) | (people >= K_ANONYMOUS)
    return fine


def _without_a_few(now: Window, cohort: Cohorts, pooled: Cohorts, people: People) -> Window:
    """The period without peers where the pooled window less the period would show what a few of them did."""
    n = np.maximum(pooled.n - cohort.n, 0.0)
    before = Cohorts(n, np.zeros_like(n), np.where(n > 0, pooled.having, 0))
    hidden = ~_none_or_many(_others(before, people.peers).having)
    reference, low, high = (
        np.where(hidden, np.nan, x) for x in (now.peers.reference, now.peers.low, now.peers.high)
    )
    return replace(now, peers=replace(now.peers, reference=reference, low=low, high=high))


def _movement(now: Cohorts, before: Cohorts, people: People, worth: float) -> Movement:
    both = np.stack([people.peers, people.team])
    inside = np.unique(both, axis=1, return_inverse=True)[1]
    inside = np.where((both >= 0).all(axis=0), inside, -1)
    company = [_others(cohort, people.peers) for cohort in (now, before)]
    team = [_others(cohort, inside) for cohort in (now, before)]
    is_known = np.all([_many(c.having) for c in company], axis=0)
    has_team = is_known & np.all(
        [_many(t.having) & _none_or_many(c.having - t.having) for t, c in zip(team, company, strict=True)], axis=0
    )  # fmt: skip
    gaps = [
        _gap(own, _chosen(is_known, _chosen(has_team, t, c), _none_of(c)), worth)
        for own, t, c in zip((now, before), team, company, strict=True)
    ]
    company_now, company_before = (_chosen(is_known, c, _none_of(c)) for c in company)
    all_moved = _gap(company_now, company_before, worth)
    whole = _gap(now, before, worth)
    own = gaps[0].size - gaps[1].size
    return Movement(
        whole,
        all_moved,
        np.where(has_team, whole.size - all_moved.size - own, np.nan),
        own,
        own - np.hypot(gaps[0].size - gaps[0].low, gaps[1].high - gaps[1].size),
        own + np.hypot(gaps[0].high - gaps[0].size, gaps[1].size - gaps[1].low),
    )


def _chosen(which: Flags, first: Cohorts, second: Cohorts) -> Cohorts:
    return Cohorts(np.where(which, first.n, second.n), np.where(which, first.onward, second.onward))


def _finding(stage: str, name: str, window: Window, at: tuple[int, int], *more: Comparison) -> Finding:
    n, share = int(window.peers.n[at]), _known(window.peers.share[at])
    comparisons = (
        *more,
        _comparison("peers", window.peers, at, NO_PEERS),
        _comparison("expected", window.expected, at, NOT_EXPECTED),
    )
    if share is None or n < SMALLEST_SHARE:
        few = {"n": n, "needs": SMALLEST_SHARE}
        return Finding(name, METRIC, stage, share, "share", n, None, comparisons, NOT_ENOUGH, few)
    low, high = wilson(window.peers.share[at], window.peers.n[at], LEVEL)
    return Finding(name, METRIC, stage, share, "share", n, Interval(float(low), float(high)), comparisons)


def _comparison(
    against: With, gap: Gap, at: tuple[int, int], why_not: str, split: Split | None = None
) -> Comparison:
    reference = _known(gap.reference[at])
    if reference is None:
        return Comparison(against, None, 0, None, None, None, None, None, why_not)
    interval = _interval(gap.low[at], gap.high[at])
    verdict = _verdict_of(gap, at)
    return Comparison(
        against, reference, 0 if against == "expected" else int(gap.reference_n[at]), _known(gap.size[at]), interval, split, verdict,
        _whole(gap.needed[at]) if verdict is None else None, "" if interval else NOT_ENOUGH,
    )  # fmt: skip


def _interval(low: float, high: float) -> Interval | None:
    return None if np.isnan(low + high) else Interval(float(low), float(high))


def _verdict(size: float, interval: Interval | None, worth: float) -> Verdict:
    if interval is None:
        return None
    if (interval.low > 0 or interval.high < 0) and abs(size) >= worth:
        return True
    return False if interval.low >= -worth and interval.high <= worth else None


def _verdict_of(gap: Gap, at: tuple[int, int]) -> Verdict:
    return _verdict(gap.size[at], _interval(gap.low[at], gap.high[at]), gap.worth)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _whole(value: float) -> int | None:
    return None if np.isnan(value) else int(value)
