"""The facts of funnel reviews: one period and as-of, for everybody at once."""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from duckdb import DuckDBPyConnection

from coachbook import cleanup
from coachbook.facts import file, funnel_company, funnel_document
from coachbook.facts.file import Making
from coachbook.facts.funnel_document import Cell, Chance, Decided, FunnelPage, Row, Terms
from coachbook.facts.funnel_work import LEAD_DAYS, Work
from coachbook.facts.observed import KINDS, Kind, entities
from coachbook.facts.plan import Plan
from coachbook.metrics import bottleneck
from coachbook.metrics.bottleneck import PERIODS, AtStage, Bottlenecks, Cohorts
from coachbook.metrics.bridge import Bridge, Bridges, bridges
from coachbook.metrics.funnel import Funnel, Outlook, earlier, funnel
from coachbook.metrics.slippage import Slippage, slippage
from coachbook.metrics.stage_value import StageValues, stage_values
from coachbook.metrics.visits import Visits, lay_out, outside
from coachbook.model.findings import K_ANONYMOUS
from coachbook.model.periods import Period, Span
from coachbook.model.quality import Sentence
from coachbook.settings import Settings
from coachbook.text import N_

ONWARD_DAYS = 40
"""Working days by which a deal should have got beyond a stage: two months; few that get there take longer."""
WON_DAYS = 120
"""Working days by which a deal should have been won: half a year."""
MONTH_DAYS = 365.25 / 12
POOLED_DAYS = 365
"""Days of the window that ends with the period, and may name a bottleneck by itself."""
MOST_OUTSIDE = 0.01
"""Share of visits to stages that are not configured, beyond which no conversion is anybody's matter."""

UNCONFIGURED = N_("cannot tell: deals are in stages that are not configured")


def build(making: Making, executor: Executor | None) -> None:  # noqa: ARG001 - set-based from end to end: to share it out would take longer
    """Write the facts file (see `file.write`)."""
    snapshot, settings, as_of = making.snapshot, making.settings, making.as_of
    period = making.period
    people = snapshot.people(as_of)
    with _uncollected(), ThreadPoolExecutor(1) as beside, closing(snapshot.known(as_of)) as connection:
        file.make_room(connection)
        plan = Plan.make(connection, period, as_of)
        who = {kind: entities(people, plan, kind) for kind in KINDS}
        # Two cores are busy: while one puts objects together here, the other asks there.
        since: Future[date | None] = Future()
        working = beside.submit(Work.of, making, plan, since, who["rep"])
        try:
            visits = lay_out(connection, settings.stages.ids, as_of, spellings=settings.stages.spellings)
        except BaseException as error:
            since.set_exception(error)  # else the other half would wait for ever
            raise
        since.set_result(visits.since)
        now = funnel(connection, visits, plan.compared["now"], onward_days=ONWARD_DAYS, won_days=WON_DAYS)
        past = {
            name: earlier(connection, visits, span)
            for name, span in plan.compared.items()
            if name != "now" and visits.since and visits.since <= span.first
        }
        _put_in_order(now, past)
        clean_ups = making.decisions.clean_ups
        company = _Company(
            plan,
            visits,
            now,
            past,
            {
                name: stage_values(connection, visits, min(span.last, as_of), rated_on=period.span.first)
                for name, span in plan.compared.items()
                if name == "now" or (name in past and name == "previous")
            },
            bridges(connection, period.span, as_of, clean_ups=clean_ups),
            bridges(connection, period.span, as_of, window="all", clean_ups=clean_ups),
            slippage(connection, period.span, as_of),
            _decided(connection, making),
        )
        windows = _Windows.of(connection, visits, period, as_of)
        stuck = {
            kind: _stuck(connection, visits, settings, windows, period, as_of, who[kind], kind)
            for kind in KINDS
        }
    work = working.result()
    written = funnel_document.pages().written
    with _uncollected():
        scopes = [
            frame.assign(
                kind=kind,
                body=[written(page) for page in _pages(company, work, kind, frame, who["rep"], stuck)],
            )
            for kind, frame in who.items()
        ]
    terms = Terms(
        onward_days=ONWARD_DAYS,
        lead_days=LEAD_DAYS,
        window=windows.whole,
        came=windows.came,
        pooled=windows.pooled,
        months=windows.months,
        covered=work.covered.id,
        outside=windows.is_outside,
        tells_quiet=work.tells_quiet,
    )
    everyone = {
        is_open: funnel_document.companies().written(
            funnel_company.document(
                settings.stages,
                company.now,
                company.earlier.get("previous"),
                work.risk,
                work.criteria.get(("all", ""), ()),
                terms=terms,
                fewest=1 if is_open else K_ANONYMOUS + 1,
            )
        )
        for is_open in (True, False)
    }
    file.write(making.target, pd.concat(scopes), everyone, touches=work.touches)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Millions of small objects are made that all stay: to search them for garbage takes as long as to make them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _put_in_order(now: Funnel, past: Mapping[str, Funnel]) -> None:
    """What is done once for all pages, done here while the other half asks."""
    now.stages("all")
    for each in past.values():
        each.brief("all")


@dataclass(frozen=True)
class _Company:
    """What is known of everybody at once."""

    plan: Plan
    visits: Visits
    now: Funnel
    earlier: Mapping[str, Funnel]
    worth: Mapping[str, StageValues]
    dated: Bridges
    undated: Bridges
    slipped: Mapping[tuple[str, str], Slippage]
    decided: Mapping[str, tuple[Decided, ...]]

    def page(
        self, kind: Kind, name: str, places: tuple[AtStage, ...], looked_at: int, **more: Any
    ) -> FunnelPage:
        """Of one rep or team."""
        return FunnelPage(
            since=self.visits.since,
            partial=self.plan.partial,
            now=self.now.stages(kind, name),
            earlier={span: past.brief(kind, name) for span, past in self.earlier.items()},
            worth={span: values.of(kind, name) for span, values in self.worth.items()},
            created=self.now.created_and_reached(kind, name),
            places=places,
            looked_at=looked_at,
            bridge=_bridge(self.dated, kind, name),
            bridge_of_all=_bridge(self.undated, kind, name),
            slippage=self.slipped.get((kind, name)),
            **more,
        )


def _bridge(found: Bridges, kind: Kind, name: str) -> Bridge:
    return (found.reps if kind == "rep" else found.teams).get(name, Bridge.none())


def _pages(
    company: _Company,
    work: Work,
    kind: Kind,
    who: pd.DataFrame,
    reps: pd.DataFrame,
    stuck: Mapping[Kind, _Stuck],
) -> Iterator[FunnelPage]:
    """In the order of `who`."""
    at_risk = defaultdict(list)
    for deal in work.risk.deals:
        at_risk[deal.rep_id].append(deal)
    rows = {
        rep: Row(rep, name, tuple(map(_cell, places)))
        for rep, name, places in zip(reps["id"], reps["name"], stuck["rep"].places, strict=True)
    } if kind == "team" else {}  # fmt: skip
    teams = reps.groupby("team_id")["id"].apply(list).to_dict()
    mine = stuck[kind]
    for e, name in enumerate(who["id"]):
        team = teams[name] if kind == "team" else [name]
        yield company.page(
            kind, name, mine.places[e], int(mine.verdicts.looked_at[e]), chances=mine.chances(e),
            at_risk=tuple(deal for rep in team for deal in at_risk[rep]),
            decided=tuple(told for rep in team for told in company.decided.get(rep, ())),
            members=tuple(rows[rep] for rep in team) if kind == "team" else (),
            **work.of_scope((kind, name)),
        )  # fmt: skip


def _cell(at: AtStage) -> Cell:
    beside = at.pooled.against("peers")
    interval = beside.interval if beside else None
    return Cell(
        at.stage, at.pooled.value, at.pooled.n, beside.difference if beside else None,
        interval.low if interval else None, interval.high if interval else None, at.decision, at.n_needed,
        any(found.against == "peers" for found in at.named),
    )  # fmt: skip


@dataclass(frozen=True)
class _Windows:
    """What conversions are asked of.

    `whole` ends with the period, or the as-of day. `pooled` and `came`: on which days the deals came whose working days
    to get on ended in it, and in the period; as far as they are recorded.
    """

    whole: Span
    pooled: Span | None
    came: Span | None
    is_outside: bool

    @classmethod
    def of(cls, connection: DuckDBPyConnection, visits: Visits, period: Period, as_of: date) -> _Windows:
        after = min(period.span.after, as_of + timedelta(days=1))
        whole = Span(min(period.span.first, after - timedelta(days=POOLED_DAYS)), after)
        pooled, came = (
            found and visits.seen(found)
            for found in (
                bottleneck.followed(connection, span, as_of, within_days=ONWARD_DAYS) for span in (whole, period.span)
            )
        )  # fmt: skip
        looked = Span(pooled.first if pooled else whole.first, after)
        return cls(whole, pooled, came, outside(connection, looked) > MOST_OUTSIDE)

    @property
    def months(self) -> float:
        return self.pooled.length_days / MONTH_DAYS if self.pooled else 0.0


@dataclass(frozen=True)
class _Stuck:
    """Verdicts about everybody, and the share won of the deals at a stage; by the order of `who`."""

    verdicts: Bottlenecks
    places: list[tuple[AtStage, ...]]
    won: Cohorts

    def chances(self, e: int) -> tuple[Chance, ...]:
        """Of one."""
        shares = zip(self.verdicts.stages, self.won.n[e].tolist(), self.won.onward[e].tolist(), strict=True)
        return tuple(Chance(stage, int(n), won / n) for stage, n, won in shares if n)


def _stuck(
    connection: DuckDBPyConnection, visits: Visits, settings: Settings, windows: _Windows, period: Period, as_of: date,
    who: pd.DataFrame, kind: Kind,
) -> _Stuck:  # fmt: skip
    """At the stages in which deals are while they are open."""
    expected = {
        stage.id: stage.expected_conversion
        for stage in settings.stages.root
        if stage.id not in visits.unused and stage.comes_from != "decision"
    }
    columns = [visits.stages.index(stage) for stage in expected]

    def of(span: Span, within_days: int, outlook: Outlook) -> Cohorts:
        """Of the deals whose working days ended in a span."""
        came = bottleneck.followed(connection, span, as_of, within_days=within_days) or Span(
            span.first, span.first
        )
        found = bottleneck.cohorts(
            connection, visits, came, list(who["id"]), within_days=within_days, kind=kind, outlook=outlook
        )
        return found.at(columns)

    pooled, *recent = (
        of(span, ONWARD_DAYS, "onward")
        for span in (windows.whole, *(p.span for p in reversed(period.back(PERIODS))))
    )
    people = bottleneck.People(np.zeros(len(who), dtype=np.int64), who["team"].to_numpy(np.int64))
    verdicts = bottleneck.bottlenecks(expected, recent, pooled, people, worth=settings.worth_acting.share)
    places = [verdicts.of(e) for e in range(len(who))]
    if windows.is_outside:
        places = [tuple(map(_undecided, each)) for each in places]
    return _Stuck(verdicts, places, of(windows.whole, WON_DAYS, "won"))


def _undecided(at: AtStage) -> AtStage:
    """Who went to a stage outside the order counts as not having got on: on that nobody is singled out."""
    return replace(at, decision="wait", reason=Sentence(UNCONFIGURED), n_needed=None, named=())


def _decided(connection: DuckDBPyConnection, making: Making) -> Mapping[str, tuple[Decided, ...]]:
    """What became of decisions, by whose deals they were about."""
    if not len(making.decisions):
        return {}
    found = cleanup.outcomes(making.decisions, making.snapshot, making.as_of)
    owners = dict(connection.execute("SELECT deal_id, rep_id FROM known").fetchall())
    decided = defaultdict(list)
    for outcome in found.all:
        decision = outcome.decision
        told = Decided(
            decision.deal_id,
            decision.kind,
            decision.value,
            decision.currency,
            decision.decided_on,
            outcome.state,
            outcome.now,
        )
        decided[owners.get(decision.deal_id) or ""].append(told)
    return {rep: tuple(each) for rep, each in decided.items()}
