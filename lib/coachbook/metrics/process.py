"""What people did to win: effective visits, proposals, follow-up, leads, and how often these became deals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from duckdb import DuckDBPyConnection

from coachbook.metrics.funnel import BEFORE_STAGES, NO_STAGES, SMALLEST_SHARE, Figure
from coachbook.metrics.judging import NOT_ENOUGH
from coachbook.metrics.velocity import NO_DAYS, NONE_OPEN, SEED, Kind, Scope, everybody, joint_draws, spread
from coachbook.model.findings import LEVEL, Interval
from coachbook.model.periods import Span
from coachbook.model.quality import Sentence
from coachbook.stats import intervals
from coachbook.text import N_

TABLES = ("activities", "leads", "accounts", "contacts")
"""What `Snapshot.known` has to give views of."""
TOUCHES = ("call", "email", "meeting", "visit", "demo", "document")
"""Kinds of activity that reach the customer; tasks and notes do not."""
LEAST_MINUTES = 30
"""A visit that took so long is effective without a check-in, until a workspace says otherwise."""
SMALLEST_DEALS = 10
"""Fewest deals on which the interval of a frequency stands."""
WEEK = 7

Question = Literal["effective_visits", "proposals", "follow_up", "new_leads", "conversion"]
QUESTIONS: tuple[Question, ...] = get_args(Question)

NO_VISITS = N_("visits are not captured")
NO_OUTCOMES = N_("outcomes of visits are not captured")
NO_CONTACTS = N_("whom visits were to is not captured")
NO_MINUTES = N_("neither the length of visits nor check-ins are captured")
NO_DOCUMENTS = N_("documents sent are not captured")
NO_TOUCHES = N_("contacts with customers are not captured")
NO_LEADS = N_("leads are not captured")
BEFORE_CAPTURE = N_("this is captured from {day} on")
AFTER_CAPTURE = N_("this was last imported on {day}")
NO_LEAD = N_("no lead was created in these days")
TOO_YOUNG = N_("no lead of these days is {days} days old yet")
ALL_UNDATED = N_("of no lead is it known when it was converted")


@dataclass(frozen=True)
class Seen:
    """The days of a span of which something is recorded (None: not one), and why not all of them."""

    days: Span | None
    reason: Sentence | None = None


@dataclass(frozen=True)
class Process:
    """What one scope did in the days seen. Value None: not captured then, see `reason`; 0: captured, and nothing done.

    Attributes
    ----------
    effective_visits
        Held, with an outcome, a contact, and minutes enough or a check-in; one per customer and day, so the reps'
        do not add up to the team's. More is better; interval of a Poisson count. `visits`: all that were not called off.
    proposals
        Deals that came into the proposal's stage, or to which a document was sent. More is better; Poisson.
    follow_up
        Touches per open deal and week at risk, of `n` deals, by whoever held them, whoever did it; bootstrap over
        deals. Neither direction is better as such: see where it stops.
    new_leads
        Created, by who owns them. More is better; Poisson.
    conversion
        Share in [0, 1] of leads at least `horizon` days old that were converted within it; higher is better; Wilson.
        `too_young` leads are not in it, nor are `undated` ones, converted nobody knows when.
    """

    effective_visits: Figure
    visits: int | None
    proposals: Figure
    follow_up: Figure
    new_leads: Figure
    conversion: Figure
    too_young: int
    undated: int


@dataclass(frozen=True)
class Processes:
    """Everybody's; by question, which days were `seen`."""

    seen: Mapping[Question, Seen]
    scopes: Mapping[Scope, Process]
    horizon_days: int

    def of(self, kind: Kind, name: str = "") -> Process:
        """Of one scope.

        Raises
        ------
        KeyError
            Nobody of that name ever was on the roster.
        """
        return self.scopes[kind, name]


def record(
    connection: DuckDBPyConnection, as_of: date, *, zone: str = "UTC", least_minutes: int = LEAST_MINUTES
) -> None:
    """Lay out in the connection what people did: for `process` and `conversions`, of as many spans as are asked about.

    Parameters
    ----------
    connection
        Of `Snapshot.known(as_of, TABLES)`.
    zone
        The workspace's time zone, in which activities have their day.
    least_minutes
        From which an effective visit took its time.
    """
    local = "occurred_at" if zone == "UTC" else f"((occurred_at AT TIME ZONE 'UTC') AT TIME ZONE '{zone}')"
    text = (files("coachbook.metrics") / "process.sql").read_text(encoding="utf-8")
    connection.execute(text.format(local_day=f"{local}::DATE", as_of=f"DATE '{as_of}'", least=least_minutes))


def process(
    connection: DuckDBPyConnection, span: Span, as_of: date, *, proposal: Sequence[str] = (),
    since: date | None = None, horizon_days: int = 90, touches: Sequence[str] = TOUCHES, level: float = LEVEL,
    seed: int = SEED,
) -> Processes:  # fmt: skip
    """Of everybody who ever was on the roster, every team, and the company, at once.

    A kind of activity is known from the first of its kind up to the last import, as in `compliance`; leads from
    the first decided one. Counts of a span that is not seen whole are those of the days seen.

    Parameters
    ----------
    connection
        In which `record` laid out what was done.
    proposal
        All texts that deals carry for the stage in which a proposal is sent (`Stage.spellings`); empty: documents
        tell. With it, `since` is the first day of the history of stages (`Visits.since`; None: there is none).
    horizon_days
        Calendar days within which a lead is asked to have been converted.
    touches
        Kinds of activity that count as follow-up.
    """
    asked = _Asked(connection, span, as_of)
    seen: dict[Question, Seen] = {
        "effective_visits": asked.visits(), "proposals": asked.stages(since) if proposal else asked.documents(),
        "follow_up": asked.touches(touches), "new_leads": asked.leads(), "conversion": asked.leads(),
    }  # fmt: skip
    scopes = everybody(connection)
    visits = _counts(connection, "visits_made($first, $after)", seen["effective_visits"])
    sent = (
        _counts(connection, "stage_entered($texts, $first, $after)", seen["proposals"], texts=list(proposal))
        if proposal
        else _counts(connection, "documents_sent($first, $after)", seen["proposals"])
    )
    leads = asked.counted_leads(seen["new_leads"], horizon_days)
    followed = _followed(connection, scopes, seen["follow_up"], touches, level, seed)
    found = {}
    for i, scope in enumerate(scopes):
        made, effective = visits.get(scope, _NOTHING)[:2]
        created, aged, in_time, undated = leads.get(scope, _NOTHING)
        found[scope] = Process(
            effective_visits=_count(effective, seen["effective_visits"], level),
            visits=made if seen["effective_visits"].days else None,
            proposals=_count(sent.get(scope, _NOTHING)[0], seen["proposals"], level),
            follow_up=followed[i],
            new_leads=_count(created, seen["new_leads"], level),
            conversion=_conversion(created, aged, in_time, undated, seen["conversion"], horizon_days, level),
            too_young=created - aged,
            undated=undated,
        )
    return Processes(seen, found, horizon_days)


def conversions(
    connection: DuckDBPyConnection, span: Span, as_of: date, *, horizon_days: int = 90, level: float = LEVEL
) -> Mapping[Scope, Figure]:
    """The same conversion of the leads whose `horizon_days` ended in the span: those of a recent span are too young.

    `connection`: as of `process`.
    """
    back = timedelta(days=horizon_days)
    asked = _Asked(connection, Span(span.first - back, span.after - back), as_of)
    seen = asked.leads()
    leads = asked.counted_leads(seen, horizon_days)
    found = {}
    for scope in everybody(connection):
        created, old, in_time, undated = leads.get(scope, _NOTHING)
        found[scope] = _conversion(created, old, in_time, undated, seen, horizon_days, level)
    return found


_NOTHING: tuple[int, ...] = (0, 0, 0, 0)


@dataclass(frozen=True)
class _Asked:
    """From when to when things are recorded, looked up for a span."""

    connection: DuckDBPyConnection
    span: Span
    as_of: date

    @property
    def begun(self) -> dict[str, date]:
        """By kind of activity, field of visits, or `lead`."""
        rows = self.connection.execute("FROM begun WHERE since IS NOT NULL").fetchall()
        return dict(rows)

    @property
    def told(self) -> dict[str, date]:
        """By table, the day of the last import."""
        return dict(self.connection.execute("FROM told").fetchall())

    def visits(self) -> Seen:
        begun = self.begun
        needed = {
            "visit": NO_VISITS, "told": NO_OUTCOMES, "named": NO_CONTACTS, "measured": NO_MINUTES,
        }  # fmt: skip
        missing = next((message for name, message in needed.items() if name not in begun), None)
        if missing:
            return Seen(None, Sentence(missing))
        return self._seen(max(begun[name] for name in needed), "activities")

    def documents(self) -> Seen:
        begun = self.begun.get("document")
        return self._seen(begun, "activities") if begun else Seen(None, Sentence(NO_DOCUMENTS))

    def touches(self, kinds: Sequence[str]) -> Seen:
        begun = [day for kind, day in self.begun.items() if kind in kinds]
        return self._seen(min(begun), "activities") if begun else Seen(None, Sentence(NO_TOUCHES))

    def leads(self) -> Seen:
        begun = self.begun.get("lead")
        return self._seen(begun, "leads") if begun else Seen(None, Sentence(NO_LEADS))

    def counted_leads(self, seen: Seen, horizon_days: int) -> dict[Scope, tuple[int, ...]]:
        """Created, old enough, converted in time, and undated."""
        upto = min(self.told.get("leads", self.as_of), self.as_of)
        macro = "leads_made($first, $after, $horizon, $upto)"
        return _counts(self.connection, macro, seen, horizon=horizon_days, upto=upto)

    def stages(self, since: date | None) -> Seen:
        if since is None:
            return Seen(None, Sentence(NO_STAGES))
        return self._between(since, self.as_of, BEFORE_STAGES)

    def _seen(self, since: date, table: str) -> Seen:
        return self._between(since, min(self.told.get(table, self.as_of), self.as_of), BEFORE_CAPTURE)

    def _between(self, since: date, last: date, before: str) -> Seen:
        first, after = max(self.span.first, since), min(self.span.after, last + timedelta(days=1))
        reason = Sentence(before, {"day": since}) if since > self.span.first else None
        if last < self.as_of and last < self.span.last:
            reason = reason or Sentence(AFTER_CAPTURE, {"day": last})
        return Seen(Span(first, after), reason) if first < after else Seen(None, reason or Sentence(NO_DAYS))


def _counts(
    connection: DuckDBPyConnection, macro: str, seen: Seen, **values: Any
) -> dict[Scope, tuple[int, ...]]:
    """What a macro counts, by scope; nothing where no day was seen."""
    if not seen.days:
        return {}
    asked = {"first": seen.days.first, "after": seen.days.after, **values}
    rows = connection.execute(f"FROM {macro}", asked).fetchall()
    return {(kind, id_): tuple(counted) for kind, id_, *counted in rows}


def _count(count: int, seen: Seen, level: float) -> Figure:
    if not seen.days:
        return Figure(None, None, 0, seen.reason)
    low, high = intervals.poisson(np.array([float(count)]), level)
    return Figure(float(count), Interval(float(low[0]), float(high[0]), level), count, seen.reason)


def _conversion(
    created: int, aged: int, in_time: int, undated: int, seen: Seen, horizon: int, level: float
) -> Figure:
    if not seen.days:
        return Figure(None, None, 0, seen.reason)
    n = aged - undated
    if not n:
        none = Sentence(TOO_YOUNG, {"days": horizon}) if created > aged else Sentence(NO_LEAD)
        return Figure(None, None, 0, Sentence(ALL_UNDATED) if undated else none)
    if n < SMALLEST_SHARE:
        few = Sentence(NOT_ENOUGH, {"n": n, "needs": SMALLEST_SHARE})
        return Figure(in_time / n, None, n, few, SMALLEST_SHARE)
    low, high = intervals.wilson(np.array([in_time / n]), np.array([float(n)]), level)
    return Figure(in_time / n, Interval(float(low[0]), float(high[0]), level), n, seen.reason)


def _followed(
    connection: DuckDBPyConnection, scopes: list[Scope], seen: Seen, kinds: Sequence[str], level: float,
    seed: int,
) -> list[Figure]:  # fmt: skip
    if not seen.days:
        return [Figure(None, None, 0, seen.reason)] * len(scopes)
    asked = {"kinds": list(kinds), "first": seen.days.first, "after": seen.days.after}
    rows = connection.execute("FROM followed($kinds, $first, $after)", asked).df()
    line, place = spread(rows, scopes)
    unit = pd.factorize(rows["deal_id"])[0].astype(np.int64)[line]
    values = rows[["touches", "days"]].to_numpy(dtype=float)[line]
    sums = np.zeros((len(scopes), 2))
    np.add.at(sums, place, values)
    pairs = pd.DataFrame({"place": place, "unit": unit}).groupby("place")["unit"].nunique()
    deals = np.asarray(pairs.reindex(range(len(scopes)), fill_value=0), dtype=np.float64)
    draws = joint_draws(place, unit, values, size=len(scopes), seed=seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = np.where(draws[1] > 0, draws[0] / draws[1] * WEEK, np.nan)
    low, high = intervals.percentiles(rates, deals, level)
    return [
        _frequency(sums[i], int(deals[i]), Interval(float(low[i]), float(high[i]), level), seen)
        for i in range(len(scopes))
    ]


def _frequency(sums: intervals.Floats, deals: int, interval: Interval, seen: Seen) -> Figure:
    if not deals:
        return Figure(None, None, 0, Sentence(NONE_OPEN))
    value = float(sums[0] / sums[1] * WEEK)
    if deals < SMALLEST_DEALS:
        few = Sentence(NOT_ENOUGH, {"n": deals, "needs": SMALLEST_DEALS})
        return Figure(value, None, deals, few, SMALLEST_DEALS)
    return Figure(value, interval, deals, seen.reason)
