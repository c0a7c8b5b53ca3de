"""The funnel review: where deals stick, whose matter it is, and whether one can know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from itertools import pairwise
from statistics import mean, stdev
from typing import Any

from babel.numbers import get_currency_precision

from coachbook.charts import Download, Picture, Prose, Sheet, theme
from coachbook.charts import dwell as stays
from coachbook.charts import funnel as bars
from coachbook.charts import heat as squares
from coachbook.charts import journey as life
from coachbook.charts import waterfall as steps
from coachbook.cleanup import Candidate, among, worksheet
from coachbook.errors import Invalid
from coachbook.facts import funnel_document
from coachbook.facts.funnel_document import CompanyStage, FunnelCompany, FunnelPage
from coachbook.metrics.bottleneck import METRIC, AtStage
from coachbook.metrics.bridge import FLOWS, Amount, Bridge
from coachbook.metrics.changes import Change, State, changes
from coachbook.metrics.coverage import Coverage
from coachbook.metrics.funnel import SMALLEST_SHARE, Brief, Figure, Stage
from coachbook.metrics.risk import MOST_SHOWN, AtRisk, Record
from coachbook.metrics.whatif import POINTS, Shares, Size, WhatIf, what_if
from coachbook.model.findings import K_ANONYMOUS, Comparison, Finding
from coachbook.model.periods import Period, parse_day
from coachbook.model.quality import Sentence
from coachbook.text import (
    N_,
    UNKNOWN,
    _,
    active,
    day,
    days,
    listed,
    money,
    number,
    percent,
    points,
    signed,
    told,
)
from coachbook.warehouse.slices import Deal, Slice
from coachbook.workbooks import funnel_words as words
from coachbook.workbooks import wording
from coachbook.workbooks.retrospective import MIME, SCHEMA

MOST_CHANGES = 40
NOT_RECORDED = N_("Not recorded: the data hold no history of stages.")
NO_HISTORY = N_(
    "The data hold no history of stages: what came in, moved, converted and stayed cannot be shown. The pipeline bridge and the deals are, as far as the data know."
)
MOST_ROWS = 60
MOST_CANDIDATES = 20
MOST_EVIDENCE = 5
POOLED_DAYS = 365
CONVERSION_DAYS = 90


@dataclass(frozen=True)
class FunnelReview:
    """The frozen review of one scope and period. Its parts are methods that show; `to_dict` is all of it as data.

    `since`: the day from whose end changes of deals are told.
    """

    slice: Slice
    period: Period
    page: FunnelPage
    company: FunnelCompany
    since: date
    changes: tuple[Change, ...]

    @classmethod
    def of(cls, seen: Slice, period: Period, *, since: date | None) -> FunnelReview:
        """Build the review from a slice."""
        as_of = parse_day(seen.about["as_of"])
        if since and since > as_of:
            raise Invalid(
                N_("{since} is later than the data of this page, which are as of {as_of}."),
                since=since.isoformat(), as_of=as_of.isoformat(),
            )  # fmt: skip
        begin = since or min(period.span.first - timedelta(days=1), as_of)
        found: list[Change] = []
        if seen.about["detailed"]:
            found = changes(seen.connection, since=begin, as_of=as_of, history="history", touches="touches")
        page = funnel_document.pages().read(seen.page)
        if page.since is None:  # where nothing is recorded, that nothing happened tells nothing
            found = [change for change in found if change.kinds != ("quiet",)]
            found = [
                replace(change, kinds=tuple(k for k in change.kinds if k != "quiet")) for change in found
            ]
        return cls(
            seen, period, page, funnel_document.companies().read(seen.everyone), begin, tuple(found),
        )  # fmt: skip

    # Who and what

    @property
    def name(self) -> str:
        """Whose review it is."""
        return str(self.slice.about["scope"]["name"])

    @property
    def is_team(self) -> bool:
        """Whether it is a team's."""
        return bool(self.slice.about["scope"]["kind"] == "team")

    @property
    def as_of(self) -> date:
        """The day whose knowledge it is."""
        return parse_day(self.slice.about["as_of"])

    def title(self, stage: str) -> str:
        """What readers call a stage."""
        return self.company.configured.title(stage)

    def label(self, stage: str | None) -> str:
        """The same where there is no room to say that it is not configured: what deals call it."""
        found = self.company.configured.find(stage) if stage else None
        return str(found.name) if found else stage or UNKNOWN

    @property
    def used(self) -> list[Stage]:
        """Stages in which deals were, and those outside the order."""
        return [stage for stage in self.page.now if stage.moves or (stage.there and stage.there.deals)]

    @cached_property
    def _worth(self) -> Mapping[str, int]:
        """Amounts in one currency, to tell which deal is larger."""
        return {deal.deal_id: deal.amount_minor or 0 for deal in self.slice.deals}

    def _most_to_say(self, change: Change) -> tuple[bool, int, str]:
        """Deals that something happened to before those that went quiet, the largest first."""
        return change.kinds == ("quiet",), -self._worth.get(change.deal_id, 0), change.deal_id

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return {deal.deal_id: deal.name or deal.deal_id for deal in self.slice.deals}

    # What everybody did

    def everybody(self) -> Prose:
        """The first thing a page says: the company's plain figures."""
        if not self.is_recorded:
            return Prose((self._no_history(),), lead=True)
        return Prose((self._company_came(), self._company_sticks()), lead=True)

    def _company_came(self) -> str:
        now, before = self.company.created, self.company.created_before
        if now is None:
            return _("Too few people for a figure of the whole company that would not show a colleague's.")
        values = {"period": self.period.label, "created": number(now[0]), "won": number(now[-1])}
        if before and self.page.partial:
            return _(
                "In {period}, {created} deals came into the whole company's funnel so far, after {before} in as many days of {previous}; {won} of them are won by now.",
                **values, before=number(before[0]), previous=self.period.previous.label,
            )  # fmt: skip
        if before is None:
            return _(
                "In {period}, {created} deals came into the whole company's funnel; {won} of them are won by now.",
                **values,
            )
        return _(
            "In {period}, {created} deals came into the whole company's funnel, after {before} in {previous}; {won} of them are won by now.",
            **values, before=number(before[0]), previous=self.period.previous.label,
        )  # fmt: skip

    def _company_sticks(self) -> str:
        """From what all others do beside what is expected."""
        judged = [at for at in self.page.places if at.others.difference is not None]
        short = [at for at in judged if at.decision == "fix"]
        if not judged:
            return _(
                "There are too few others, or nothing is expected of the stages, to say whether everybody sticks somewhere."
            )
        if not short:
            return _(
                "Against what is expected of the stages, all others together fall short at none of them as far as can be told."
            )
        said = [
            _(
                "{stage} ({value}, expected {expected})",
                stage=self.title(at.stage),
                value=percent(self._others_share(at)),
                expected=percent(at.others.value),
            )
            for at in short
        ]
        return _(
            "Against what is expected, all others together fall short at: {stages}. What sticks everywhere is not one person's doing.",
            stages=listed(said),
        )

    @staticmethod
    def _others_share(at: AtStage) -> float | None:
        if at.others.value is None or at.others.difference is None:
            return None
        return at.others.value + at.others.difference

    @property
    def is_recorded(self) -> bool:
        """Whether any day of the period lies in the history of stages."""
        return self.page.since is not None and self.page.since < self.period.span.after

    def _no_history(self) -> str:
        if self.page.since is None:
            return _(NO_HISTORY)
        return _(
            "The history of stages begins on {day}, after this period: what came in, moved, converted and stayed cannot be shown.",
            day=day(self.page.since),
        )

    # Then the rep

    def sentences(self) -> Prose:
        """Three plain sentences, made from figures, verdicts and `named` alone."""
        return Prose((self._what_happened(), self._whose_matter(), self._what_became()), kind="list")

    def _what_happened(self) -> str:
        """From the bridge of all open deals: it does not depend on what is recorded of stages."""
        bridge = self.page.bridge_of_all
        created, won, lost = (number(bridge.flows[flow].count) for flow in ("created", "won", "lost"))
        return _(
            "{name}: {created} deals were created in {period}; {won} were won and {lost} lost, {open} are open at its end.",
            name=self.name, period=self.period.label, created=created, won=won, lost=lost, open=number(bridge.end.count),
        )  # fmt: skip

    def _whose_matter(self) -> str:
        """Coach the rep, fix the process, or wait."""
        by = {
            what: [at for at in self.page.places if at.decision == what] for what in ("coach", "fix", "wait")
        }
        if by["coach"]:
            said = [
                words.named(n, self.title(at.stage), at.pooled, days=self.company.onward_days)
                for at in by["coach"]
                for n in at.named
                if n.against == "peers"
            ]
            return told(
                [
                    *said,
                    _("That is more than chance: worth a conversation, coach the rep.")
                    if not self.is_team
                    else _("That is more than chance: worth a conversation in this team."),
                ]
            )
        if by["fix"]:
            return _(
                "Where deals stick, they stick for everybody ({stages}): fix process, price or resources before coaching anybody.",
                stages=listed([self.title(at.stage) for at in by["fix"]]),
            )
        if by["wait"]:
            nearest = min(by["wait"], key=lambda at: at.n_needed or words.MOST_NEEDED + 1)
            if nearest.n_needed is None or nearest.n_needed > words.MOST_NEEDED:
                return _("No stage can be called a bottleneck: these data cannot tell. Wait.")
            return _(
                "No stage can be called a bottleneck. The nearest to a verdict is {stage}: {n} deals so far, about {needed} needed. Wait.",
                stage=self.title(nearest.stage), n=number(nearest.pooled.n), needed=number(nearest.n_needed),
            )  # fmt: skip
        if not self.page.places:
            return _("Without a history of stages nothing can be said about where deals stick.")
        return _("Beside peers and expectation no stage asks for anything to be done.")

    def _what_became(self) -> str:
        bridge = self.page.bridge
        moved = sorted(
            (name for name in FLOWS if bridge.flows[name].minor),
            key=lambda name: -abs(bridge.flows[name].minor),
        )[:3]
        values = {
            "period": self.period.label,
            "start": self._amount(bridge.start),
            "end": self._amount(bridge.end),
        }
        if not moved:
            return _("The pipeline due in {period} began with {start} and ends with {end}.", **values)
        return _(
            "The pipeline due in {period} began with {start} and ends with {end}; what moved it most: {flows}.",
            **values,
            flows=listed([_("{flow} {amount}", flow=_(words.FLOWS[name]), amount=self._flow(bridge, name)) for name in moved]),
        )  # fmt: skip

    # Stage by stage

    def stages(self) -> Sheet | Prose:
        """What came in, moved, was lost, is there, and how long it stays, beside the period before and expectation."""
        if not self.is_recorded:
            return self._open_by_stage()
        if not self.used:
            return Prose((_("No deal was in any stage."),))
        columns = (
            _("Stage"), _("Deals there"), _("Customers"), _("Came in"), _("Moved on"), _("Went back"), _("Lost"),
            _("Moved on per week"), _("Days of a stay"), _("Expected"),
        )  # fmt: skip
        rows = tuple(self._stage_row(stage) for stage in self.used)
        return Sheet(
            "stages", columns, rows, _("The stages in {period}, in brackets the period before", period=self.period.label),
            told([_("Days of a stay are working days (median, 95% interval), deals still there counted as such. “Moved on” counts deals that got to a later stage or were won."), *self._outside()]),
            right=tuple(range(1, len(columns))),
        )  # fmt: skip

    def _open_by_stage(self) -> Sheet:
        """All that is known of stages where nobody recorded how deals moved: where the open ones are now."""
        by_stage: dict[str, list[Deal]] = {}
        where = self._where()
        for deal in self.slice.deals:
            if deal.status == "open":
                by_stage.setdefault(where.get(deal.deal_id, (UNKNOWN, ""))[0], []).append(deal)
        rows = tuple(
            (stage, number(len(deals)), self._money(sum(deal.amount_minor or 0 for deal in deals)))
            for stage, deals in sorted(by_stage.items())
        )
        return Sheet(
            "stages", (_("Stage"), _("Open deals"), _("Amount")), rows or ((_("no such deal"), "0", UNKNOWN),),
            _("Open deals by stage, as of {day}", day=day(self.as_of)),
            told([_(NOT_RECORDED), *self._outside()]), right=(1, 2),
        )  # fmt: skip

    def _outside(self) -> list[str]:
        """Stages that are not in the order, and those that nobody uses."""
        said = []
        outside = [stage for stage in self.page.now if stage.position is None]
        if outside:
            said.append(
                _(
                    "Not among the configured stages: {stages}. Set [[stages]] in coachbook.toml.",
                    stages=listed([self._counted(stage) for stage in outside]),
                )
            )
        never = [stage for stage in self.page.now if stage.position is not None and stage not in self.used]
        if never and self.page.since:
            said.append(
                _("No deal was ever in: {stages}.", stages=listed([self.title(s.stage) for s in never]))
            )
        return said

    @staticmethod
    def _counted(stage: Stage) -> str:
        """Its name, and how many deals are there, if that is known."""
        if stage.there is None:
            return stage.stage
        return _("{stage} ({n})", stage=stage.stage, n=number(stage.there.deals))

    def _stage_row(self, stage: Stage) -> tuple[str, ...]:
        before = self._before(stage.stage)
        moves, there = stage.moves, stage.there
        dwell = stage.dwells[0].median if stage.dwells else None
        setting = self.company.configured.find(stage.stage)
        expected = setting.expected_working_days if setting else None
        return (
            self.title(stage.stage),
            _with(there.deals if there else None, before.there.deals if before and before.there else None),
            _with(
                there.customers if there else None,
                before.there.customers if before and before.there else None,
            ),
            _with(moves.came_in.deals if moves else None, before.came_in if before else None),
            _with(moves.moved_on.deals if moves else None, before.moved_on if before else None),
            number(moves.back.deals) if moves else UNKNOWN,
            _with(moves.lost.deals if moves else None, before.lost if before else None),
            number(moves.per_week.value, 1) if moves else UNKNOWN,
            _stay(dwell) if dwell else UNKNOWN,
            number(expected) if expected else UNKNOWN,
        )

    def _before(self, stage: str) -> Brief | None:
        return next((e for e in self.page.earlier.get("previous", ()) if e.stage == stage), None)

    def funnel(self) -> Picture | Prose:
        """The share that got on from each stage, with its interval, beside what is expected."""
        if not self.page.places:
            return Prose((_(NOT_RECORDED),))
        return bars.funnel(
            [self._bar(at) for at in self.page.places],
            title=_("got on within {days} working days", days=self.company.onward_days), expected=_("expected"),
            unknown=_("too few deals"),
            text=_("Share of deals that got on from each stage within {days} working days, of the last {months} months.", days=self.company.onward_days, months=number(self.company.months)),
        )  # fmt: skip

    def _bar(self, at: AtStage) -> bars.StageBar:
        found, expected = at.pooled, at.pooled.against("expected")
        interval, hoped = found.interval, expected.value if expected else None
        value = found.value if interval else None
        figure = (
            _("{share} of {n}", share=percent(found.value), n=number(found.n)) if found.n else _("no deal")
        )
        tip = (
            _("{stage}: {share} of {n} deals, 95% interval {interval}.", stage=self.title(at.stage), share=percent(found.value), n=number(found.n), interval=wording.spread(interval, "share"))
            if interval
            else _("{stage}: {reason}.", stage=self.title(at.stage), reason=_(found.reason, **found.reason_values))
        )  # fmt: skip
        return bars.StageBar(
            self.title(at.stage), value, interval.low if interval else None, interval.high if interval else None,
            hoped, figure, tip,
        )  # fmt: skip

    # Whose matter

    def verdicts(self) -> Sheet | Prose:
        """The rep, everybody, or chance: stage by stage."""
        if not self.page.places:
            return Prose((_(NOT_RECORDED),))
        columns = (
            _("Stage"), _("Got on"), _("n"), _("95% interval"), _("Peers"), _("Expected"), _("Own part of the movement"),
            _("Verdict"),
        )  # fmt: skip
        rows = tuple(self._verdict_row(at) for at in self.page.places)
        note = _(
            "Share of deals that got beyond a stage within {days} working days, of those whose {days} days ended in the twelve months up to the period's end, as far as they are recorded ({months} months). The own part is of the movement since the period before, without the company's and the team's. {looks} comparisons were tested; the false discovery rate is held at 5% over all of them.",
            days=self.company.onward_days, looks=self.page.looked_at, months=number(self.company.months),
        )  # fmt: skip
        return Sheet(
            "verdicts", columns, rows, _("The rep, everybody, or chance?"), note, right=(1, 2, 3, 4, 5)
        )

    def _verdict_row(self, at: AtStage) -> tuple[str, ...]:
        found = at.pooled
        peers, expected = found.against("peers"), found.against("expected")
        return (
            self.title(at.stage),
            percent(found.value),
            number(found.n),
            wording.spread(found.interval, "share")
            if found.interval
            else _(found.reason, **found.reason_values),
            _("{value} (n = {n})", value=percent(peers.value), n=number(peers.n))
            if peers and peers.n
            else UNKNOWN,
            percent(expected.value) if expected else UNKNOWN,
            words.own_part(at),
            words.verdict(at, is_team=self.is_team),
        )

    def heat(self) -> Picture | Prose:
        """A team's members by stages: how far from their peers, and where nobody can tell."""
        if not self.page.members:
            return Prose((_("Rep by stage is shown on a team's page."),))
        stages = [cell.stage for cell in self.page.members[0].cells]
        if not stages:
            return Prose((_(NOT_RECORDED),))
        rows = [
            squares.HeatRow(member.name, tuple(self._square(cell) for cell in member.cells))
            for member in self.page.members
        ]
        return squares.heat(
            rows, [self.title(stage) for stage in stages],
            title=_("percentage points above or below peers"), unknown=_("struck out: cannot be told"),
            text=_("Share of deals that got on from each stage, compared with peers, rep by rep."),
        )  # fmt: skip

    def _square(self, cell: funnel_document.Cell) -> squares.Cell:
        """Coloured is what is singled out, plain what is settled; all else cannot be told."""
        n = number(cell.n)
        if cell.gap is None:
            return squares.Cell(None, UNKNOWN, _("n = {n}", n=n))
        figure = signed(number(cell.gap * 100), cell.gap)
        if cell.low is not None and cell.high is not None and (cell.named or cell.decision in (None, "fix")):
            low, high = (signed(number(bound * 100), bound) for bound in (cell.low, cell.high))
            tip = _(
                "{share} of {n} deals, difference {low} to {high} pp",
                share=percent(cell.share),
                n=n,
                low=low,
                high=high,
            )
            return squares.Cell(cell.gap if cell.named else 0.0, figure, tip)
        if cell.n_needed and cell.n_needed <= words.MOST_NEEDED:
            return squares.Cell(
                None, figure, _("n = {n}, about {needed} needed", n=n, needed=number(cell.n_needed))
            )
        return squares.Cell(None, figure, _("n = {n}, cannot be told", n=n))

    # How long deals stay

    def dwell(self) -> Picture | Prose:
        """How long deals stay in the stage that asks for it most, own beside everybody's."""
        stage = self._longest()
        if stage is None:
            return Prose((_("Too few deals stayed in a stage to draw how long they stay."),))
        theirs = next((s for s in self.company.stages if s.stage == stage.stage), None)
        setting = self.company.configured.find(stage.stage)
        expected = setting.expected_working_days if setting else None
        title = self.title(stage.stage)
        return stays.dwell(
            self._own_stay(stage), self._their_stay(theirs),
            expected=stays.Expected(float(expected), _("expected: half gone by {n} days", n=number(expected))) if expected else None,
            ends=_("the data end here"), days=_("working days"), heading=title,
            title=_("share still there"),
            text=_("How long deals stay in the stage {stage}, in {period}.", stage=title, period=self.period.label),
        )  # fmt: skip

    def _longest(self) -> Stage | None:
        """The stage of a verdict if there is one, else the one with the most deals in it; with enough to draw."""
        drawn = [stage for stage in self.page.now if stage.dwells and stage.dwells[0].curve]
        decided = {at.stage: at.decision for at in self.page.places}
        order = {"coach": 0, "fix": 1}
        return min(
            drawn,
            key=lambda s: (order.get(decided.get(s.stage) or "", 2), -(s.there.deals if s.there else 0)),
            default=None,
        )

    def _own_stay(self, stage: Stage) -> stays.Stay:
        found = stage.dwells[0]
        points_ = tuple(
            stays.StayPoint(p.day, p.share, p.low, p.high, _still(p.day, p.share)) for p in found.curve
        )
        n = number(found.median.n)
        if found.median.value is None:
            tip = _("{name}: {reason} (n = {n}).", name=self.name, reason=str(found.median.reason), n=n)
        else:
            tip = _(
                "{name}: half leave within {days} working days (n = {n}).",
                name=self.name,
                days=_stay(found.median),
                n=n,
            )
        return stays.Stay(self.name, points_, tip)

    def _their_stay(self, stage: CompanyStage | None) -> stays.Stay:
        who = _("everybody")
        if stage is None or not stage.curve:
            return stays.Stay(who, (), _("Everybody: too few people to show."))
        points_ = tuple(
            stays.StayPoint(p.day, round(p.share, 2), None, None, _still(p.day, p.share)) for p in stage.curve
        )
        half = stage.median_days
        tip = (
            _("Everybody: half leave within {days} working days.", days=number(half))
            if half is not None
            else _("Everybody: not half have left so far.")
        )
        return stays.Stay(who, points_, tip)

    # Since we last spoke

    def since_we_last_spoke(self) -> Sheet | Prose:
        """What became of each deal since a day: new, moved, pushed, grown, won, lost, gone quiet."""
        if not self.slice.about["detailed"]:
            return Prose(
                (_("The team is too large to list what changed deal by deal; each rep's page does."),)
            )
        listed_ = sorted(self.changes, key=self._most_to_say)[:MOST_CHANGES]
        columns = (
            _("Deal"),
            _("What changed"),
            _("Stage"),
            _("Amount"),
            _("Closes"),
            _("Pushes"),
            _("Last touched"),
        )
        rows = tuple(self._change_row(change) for change in listed_)
        nothing = ((_("nothing changed"), *[UNKNOWN] * 6),)
        more = len(self.changes) - len(listed_)
        note = _("{more} more deals changed.", more=number(more)) if more else ""
        return Sheet(
            "changes", columns, rows or nothing,
            _("Since the end of {day}: {n} deals changed or went quiet", day=day(self.since), n=number(len(self.changes))),
            note, right=(3, 5), whole=(4, 6),
        )  # fmt: skip

    def _change_row(self, change: Change) -> tuple[str, ...]:
        then, now = change.then, change.now
        return (
            self._names.get(change.deal_id, change.deal_id),
            words.kinds(change.kinds),
            _became(
                self.label(then.stage) if then and then.stage else None,
                self.label(now.stage) if now and now.stage else None,
            ),
            _became(_own_money(then), _own_money(now)),
            _became(_date(then), _date(now)),
            number(change.pushes),
            change.touched_on.isoformat(),
        )

    # The bridge

    def bridge(self) -> Picture:
        """What brought the pipeline due in the period from where it stood to where it stands."""
        return self._waterfall(
            self.page.bridge, _("Pipeline of deals that close in {period}, from its first moment to its last.", period=self.period.label)
        )  # fmt: skip

    def bridge_figures(self) -> Sheet:
        """The same as figures, and beside it the bridge of all open deals, whatever their close date."""
        both = (self.page.bridge, self.page.bridge_of_all)
        lines = [
            (_("start"), 1, [b.start for b in both]),
            *((_(words.FLOWS[name]), sign, [b.flows[name] for b in both]) for name, sign in FLOWS.items()),
            (_("end"), 1, [b.end for b in both]),
            (_("left unexplained"), 1, [b.residual for b in both]),
        ]
        rows = tuple(
            (label, *(part for a in amounts for part in (number(a.count), signed(self._money(a.minor), sign) if sign < 0 else self._money(a.minor))))
            for label, sign, amounts in lines
        )  # fmt: skip
        columns = ("", _("Deals"), _("Closing in the period"), _("Deals"), _("All open deals"))
        cleaned = self.page.bridge_of_all.cleaned_up
        said = [
            _("{flow} {amount}", flow=_(words.FLOWS[name]), amount=self._amount(cleaned[name]))
            for name in FLOWS
            if name in cleaned
        ]
        note = (
            _("Of all open deals, clean-up that a review decided: {flows}.", flows=listed(said))
            if said
            else ""
        )
        return Sheet("bridge", columns, rows, _("The bridge in figures"), note, right=(1, 2, 3, 4))

    def _waterfall(self, bridge: Bridge, text: str) -> Picture:
        colours = {1: theme.BETTER, -1: theme.WORSE}
        flows = [
            self._step(
                _(words.FLOWS[name]),
                bridge.flows[name],
                sign,
                theme.ACCENT if name == "won" else colours[sign],
            )
            for name, sign in FLOWS.items()
        ]
        return steps.waterfall(
            self._step(_("start"), bridge.start, 0, theme.MUTED), flows, self._step(_("end"), bridge.end, 0, theme.MUTED),
            none=_("nothing by:"), text=text,
        )  # fmt: skip

    def _step(self, label: str, amount: Amount, sign: int, colour: str) -> steps.Flow:
        major = amount.minor / 10 ** get_currency_precision(self._currency) * (sign or 1)
        figure = self._money(amount.minor)
        shown = signed(figure, sign) if sign else figure
        deals = words.deals(amount.count)
        return steps.Flow(
            label, amount.count, major, f"{shown} · {deals}" if amount.count else shown, colour,
            _("{flow}: {amount}, {deals}.", flow=label, amount=shown, deals=deals),
        )  # fmt: skip

    def slippage(self) -> Prose:
        """What became of the deals that were to close in the period."""
        found = self.page.slippage
        if found is None or not found.due.count:
            return Prose(
                (_("No open deal was to close in {period} when it began.", period=self.period.label),)
            )
        said = [
            _("{n} {outcome} ({amount})", n=number(amount.count), outcome=_(words.OUTCOMES[outcome]), amount=self._money(amount.minor))
            for outcome, amount in found.outcomes.items()
            if amount.count
        ]  # fmt: skip
        first = _(
            "Of {n} deals ({amount}) that were to close in {period} when it began: {outcomes}.",
            n=number(found.due.count),
            amount=self._money(found.due.minor),
            period=self.period.label,
            outcomes=listed(said),
        )
        share = (
            _("Slipped: {share} by number ({interval}), {value} by value; dates were pushed {pushes} times.", share=percent(found.share), interval=wording.spread(found.interval, "share"), value=percent(found.share_of_value), pushes=number(found.pushes))
            if found.interval
            else _("Too few for a rate (n = {n}); dates were pushed {pushes} times.", n=number(found.due.count), pushes=number(found.pushes))
        )  # fmt: skip
        return Prose((first, share))

    # Deals at risk

    @property
    def at_risk_first(self) -> list[AtRisk]:
        """At most five: those that would change the period first, the largest first."""

        def weight(deal: AtRisk) -> tuple[bool, int, str]:
            soon = deal.close_on is not None and deal.close_on < self.period.span.after
            return not soon, -self._worth.get(deal.deal_id, 0), deal.deal_id

        return sorted(self.page.at_risk, key=weight)[:MOST_SHOWN]

    @property
    def _records(self) -> list[Record]:
        return [record for record in self.company.records if record.holds]

    def at_risk(self) -> Sheet | Prose:
        """Open deals that wear flags which past deals bear out."""
        if not self._records:
            return Prose(
                (
                    _(
                        "No flag has proved a warning in these data: deals that wore one were won no less often, or there were too few. So none is shown."
                    ),
                )
            )
        deals = self.at_risk_first
        columns = (_("Deal"), _("Stage"), _("Amount"), _("Closes"), _("Why"))
        rows = tuple(
            (
                self._names.get(deal.deal_id, deal.deal_id), self.label(deal.stage),
                money(deal.amount_minor, deal.currency or self._currency),
                deal.close_on.isoformat() if deal.close_on else UNKNOWN,
                listed([words.flag(flag) for flag in deal.flags]),
            )
            for deal in deals
        )  # fmt: skip
        note = told([words.record(r.flag, r.won, r.n, r.without_won, r.without_n) for r in self._records])
        return Sheet(
            "at-risk", columns, rows or ((_("no such deal"), *[UNKNOWN] * 4),),
            _("Deals at risk as of {day}: {shown} of {n}, those that would change the period first", day=day(self.as_of), shown=number(len(deals)), n=number(len(self.page.at_risk))),
            note, right=(2,), whole=(3,),
        )  # fmt: skip

    def journey(self, deal_id: str = "") -> Picture | Prose:
        """One deal's life: by default of the first at risk, else of the largest that is open."""
        still_open = sorted(
            (d for d in self.slice.deals if d.status == "open"),
            key=lambda d: (-(d.amount_minor or 0), d.deal_id),
        )
        by_default = [*(d.deal_id for d in self.at_risk_first), *(d.deal_id for d in still_open), ""]
        chosen = deal_id or by_default[0]
        if not chosen or not self.slice.about["detailed"]:
            return Prose((_("There is no open deal whose life could be drawn."),))
        visits = self.slice.connection.execute(
            "SELECT stage, entered_on, left_on FROM visits WHERE deal_id = ? ORDER BY entered_at",
            [chosen],
        ).fetchall()
        past = self.slice.connection.execute(
            """
            SELECT from_on, close_on, amount_minor, status, currency FROM history
            WHERE deal_id = ? AND until_at IS DISTINCT FROM from_at ORDER BY nr
            """,
            [chosen],
        ).fetchall()
        if not visits:
            return Prose(
                (_("Where {deal} was, and when, is not recorded.", deal=self._names.get(chosen, chosen)),)
            )
        return self._life(self._names.get(chosen, chosen), visits, past)

    def _life(self, name: str, visits: Sequence[tuple[Any, ...]], past: Sequence[tuple[Any, ...]]) -> Picture:
        entered = [
            life.Visit(self.label(stage), first, last or self.as_of, known=True, tip=_("{stage}: {first} to {last}.", stage=self.label(stage), first=day(first), last=day(last or self.as_of)))
            for stage, first, last in visits
        ]  # fmt: skip
        dates, amounts = _("Close date"), _("Amount")
        marks = []
        for (_on, closed, minor, _status, _c), (on, close_on, new, status, currency) in pairwise(past):
            if status == "open" and close_on and closed and close_on != closed:
                later = close_on > closed
                tip = _(
                    "{day}: close date moved from {before} to {after}.",
                    day=day(on),
                    before=day(closed),
                    after=day(close_on),
                )
                marks.append(life.Mark(dates, on, "later" if later else "earlier", tip))
            if (new or 0) != (minor or 0):
                tip = _(
                    "{day}: amount {before} became {after}.",
                    day=day(on),
                    before=money(minor, currency or self._currency),
                    after=money(new, currency or self._currency),
                )
                marks.append(life.Mark(amounts, on, "up" if (new or 0) > (minor or 0) else "down", tip))
        names = dict.fromkeys(v.lane for v in entered)
        order = [self.label(stage) for stage in self.company.configured.ids]
        lanes = sorted(names, key=lambda n: order.index(n) if n in order else len(order))
        days_in = {lane: sum((v.last - v.first).days for v in entered if v.lane == lane) for lane in lanes}
        drawn = [life.Lane(lane, days(days_in[lane])) for lane in lanes]
        for kind in (dates, amounts):
            count = sum(mark.lane == kind for mark in marks)
            if count:
                drawn.append(life.Lane(kind, words.times(count)))
        return life.journey(entered, marks, drawn, text=_("The life of {deal}.", deal=name), heading=name)

    # What it takes, and what it would bring

    def effort(self) -> Sheet:
        """What goes in (visits, proposals, follow-up, leads), and what the pipeline is worth: velocity and coverage."""
        now, before = self.page.process, self.page.process_before
        lines = [
            *(
                (title, getattr(now, name), getattr(before, name) if before else None, unit)
                for name, (title, unit) in words.PROCESS.items()
                if now
            ),
            *(
                (title, getattr(self.page.velocity, name), None, self._currency)
                for name, title in words.VELOCITY.items()
                if self.page.velocity
            ),
        ]
        rows = [self._effort_row(_(title), figure, past, unit) for title, figure, past, unit in lines]
        if self.page.coverage:
            rows.append(self._coverage_row(self.page.coverage))
        columns = (_("Figure"), _("Value"), _("n"), _("95% interval"), _("Before"))
        return Sheet(
            "effort", columns, tuple(rows) or ((_("nobody was on the roster"), *[UNKNOWN] * 4),),
            _("What goes in, and what the pipeline brings"), self._effort_note(), right=(1, 2, 3, 4),
        )  # fmt: skip

    def _effort_row(self, title: str, figure: Figure, past: Figure | None, unit: str) -> tuple[str, ...]:
        def said(value: float | None) -> str:
            if unit == "times":
                return number(value, 1)
            return (
                percent(value)
                if unit == "share"
                else number(value)
                if unit == "count"
                else money(value, unit)
            )

        why = str(figure.reason) if figure.reason else UNKNOWN
        spread = figure.interval and (
            _("{low} or more", low=said(figure.interval.low))
            if figure.interval.high == float("inf")
            else _("{low} to {high}", low=said(figure.interval.low), high=said(figure.interval.high))
        )
        return (
            title,
            said(figure.value),
            number(figure.n),
            spread or why,
            said(past.value) if past else UNKNOWN,
        )

    def _coverage_row(self, found: Coverage) -> tuple[str, ...]:
        title = _(
            "Coverage of {period}, in times",
            period=Period.parse(self.company.covered, self.period.fiscal).label,
        )
        needed = found.needed
        if needed.interval and needed.times is not None:
            high = needed.interval.high
            told_ = _(
                "needed: {times} ({low} to {high})",
                times=number(needed.times, 1),
                low=number(needed.interval.low, 1),
                high=UNKNOWN if high == float("inf") else number(high, 1),
            )
        else:
            told_ = str(needed.reason) if needed.reason else UNKNOWN
        if found.times is None:
            told_ = str(found.reason) if found.reason else UNKNOWN
        return title, number(found.times, 1), number(found.pipeline.count), told_, UNKNOWN

    def _effort_note(self) -> str:
        said = [
            _(
                "An effective visit was held, has an outcome and a contact, and took its time; one counts per customer and day. Lead conversion is of the leads whose {days} days ended in the period.",
                days=CONVERSION_DAYS,
            )
        ]
        speed = self.page.velocity
        if speed and speed.per_day.interval:
            said.append(
                _(
                    "Sales velocity = open deals {deals} × win rate {rate} × average won deal {size} / cycle {cycle}, of the deals of the period; a cycle a fifth shorter would be a quarter more.",
                    deals=number(speed.open_deals, 1), rate=percent(speed.win_rate), size=self._money(round(speed.size or 0)),
                    cycle=days(speed.cycle),
                )
            )  # fmt: skip
        return told(said)

    def what_if(self) -> Sheet | Prose:
        """What improving one stage would be worth, all else unchanged."""
        found = [
            each
            for each in self._what_if()
            if each.conversion is not None
            and each.to is not None
            and each.to > each.conversion
            and (each.target != "points" or each.conversion + POINTS <= 1)
        ]
        if not found:
            return Prose((_("Too few deals to say what improving a stage would be worth."),))
        columns = (
            _("Stage"),
            _("Got on"),
            _("If it were"),
            _("More won deals a month"),
            _("More won amount a month"),
        )
        rows = tuple(
            (
                self.title(each.stage), percent(each.conversion),
                _("{share} ({target})", share=percent(each.to), target=_(words.TARGETS[each.target])),
                self._gain(each.more, lambda value: signed(number(value, 1), value)),
                self._gain(each.more_minor, lambda value: signed(self._money(round(value)), value)),
            )
            for each in found
        )  # fmt: skip
        return Sheet(
            "what-if", columns, rows, _("What improving one stage would be worth"),
            _("All else as before: as many deals come in, and of those that get beyond the stage the same share is won. It says what would go with it, not that it can be done."),
            right=(1, 2, 3, 4),
        )  # fmt: skip

    @staticmethod
    def _gain(figure: Figure, said: Callable[[float], str]) -> str:
        if figure.value is None:
            return str(figure.reason) if figure.reason else UNKNOWN
        if figure.interval is None:
            return _("{value} (cannot tell)", value=said(figure.value))
        return _(
            "{value} ({low} to {high})",
            value=said(figure.value),
            low=said(figure.interval.low),
            high=said(figure.interval.high),
        )

    def _what_if(self) -> tuple[WhatIf, ...]:
        places = self.page.places
        if not places:
            return ()
        chances = {chance.stage: chance for chance in self.page.chances}
        after = [chances.get(at.stage) for at in places[1:]]
        peers = [at.pooled.against("peers") for at in places]
        hoped = [at.pooled.against("expected") for at in places]
        return what_if(
            [at.stage for at in places],
            entered=[at.pooled.n / (self.company.months or 1) for at in places],
            conversion=Shares(_values([at.pooled.value for at in places]), [at.pooled.n for at in places]),
            chance=Shares(
                [*_values([c.won if c else None for c in after]), 1.0],
                [*(c.n if c else 0 for c in after), float("inf")],
            ),
            size=self._won_size(),
            targets={
                "expected": Shares.given(_values([c.value if c else None for c in hoped])),
                "peers": Shares(_values([c.value if c else None for c in peers]), [c.n if c else 0 for c in peers]),
            },
        )  # fmt: skip

    def _won_size(self) -> Size | None:
        """The average deal won in the pooled window, with its standard error."""
        first = self.period.span.after - timedelta(days=POOLED_DAYS)
        won = [
            d.amount_minor or 0
            for d in self.slice.deals
            if d.status == "won" and d.close_on and first <= d.close_on < self.period.span.after
        ]
        return Size(mean(won), stdev(won) / len(won) ** 0.5, len(won)) if len(won) > 1 else None

    # What to clean up

    @cached_property
    def candidates(self) -> Sequence[Candidate]:
        """Open deals that a review should decide about: overdue, quiet, or without a next step."""
        quiet = {c.deal_id: c.touched_on for c in self.changes if "quiet" in c.kinds}
        return among(self.slice.connection, self.as_of, touched=quiet, deals="deals", roster="roster")

    def clean_up(self) -> Sheet:
        """Deals to decide about: dead, a new date, a new amount, a next step."""
        rows = tuple(
            (
                c.name or c.deal_id, self.label(c.stage), listed([_(words.WHY[why]) for why in c.why]),
                c.close_on.isoformat() if c.close_on else UNKNOWN,
                money(c.amount_minor, c.currency or self._currency), c.next_step or UNKNOWN,
            )
            for c in self.candidates[:MOST_CANDIDATES]
        )  # fmt: skip
        columns = (_("Deal"), _("Stage"), _("Why"), _("Closes"), _("Amount"), _("Next step"))
        return Sheet(
            "clean-up", columns, rows or ((_("no such deal"), *[UNKNOWN] * 5),),
            _("Deals to decide about as of {day}: {n}", day=day(self.as_of), n=number(len(self.candidates))),
            _("The first {most} are listed; all are in the worksheet.", most=MOST_CANDIDATES) if len(self.candidates) > MOST_CANDIDATES else "",
            right=(4,), whole=(3,),
        )  # fmt: skip

    def worksheet(self) -> Download:
        """The worksheet of these deals, to be filled in and kept with `coachbook cleanup add`."""
        return Download(
            f"clean-up-{self.slice.about['scope']['id']}-{self.period.id}.csv", _("Download the worksheet"),
            worksheet(self.candidates),
            _("Fill in decision (dead, close_on, amount, next_step or keep), value and by, then keep the decisions with: coachbook cleanup add FILE. coachbook cleanup export makes the changes for the CRM, and the next import says what was done."),
        )  # fmt: skip

    def decided(self) -> Sheet | Prose:
        """What became of what was decided in earlier reviews."""
        order = ("not_done", "overtaken", "done")
        found = sorted(
            (d for d in self.page.decided if d.state in order),
            key=lambda d: (order.index(d.state), d.deal_id),
        )
        if not found:
            return Prose((_("Nothing was decided about these deals in an earlier review."),))
        columns = (_("State"), _("Deal"), _("Decision"), _("Now"), _("Decided on"))
        rows = tuple(
            (
                _(words.STATES[d.state]), self._names.get(d.deal_id, d.deal_id), words.decision(d.kind, d.value, d.currency),
                words.holds(d.kind, d.now, d.currency), d.decided_on.isoformat(),
            )
            for d in found
        )  # fmt: skip
        count = {state: number(sum(d.state == state for d in found)) for state in order}
        return Sheet(
            "decided", columns, rows, _("Decisions of earlier reviews: {done} done, {not_done} not done, {overtaken} overtaken", **count),
            whole=(4,),
        )  # fmt: skip

    # Criteria

    def criteria(self) -> Sheet | Prose:
        """How often the criteria of stages were met."""
        theirs = {(c.stage, c.moment, c.place): c for c in self.company.criteria}
        rows = []
        for c in self.page.criteria:
            stage = self.company.configured.find(c.stage)
            asked = (stage.entry if c.moment == "entry" else stage.exit) if stage else ()
            if c.place is None or c.place >= len(asked):
                continue
            other = theirs.get((c.stage, c.moment, c.place))
            rows.append((
                self.title(c.stage), _("on entering") if c.moment == "entry" else _("on leaving"), str(asked[c.place].text),
                number(c.visits), number(c.known), percent(c.met / c.known) if c.met is not None and c.known else _("not captured"),
                percent(other.met / other.known) if other and other.met is not None and other.known else UNKNOWN,
            ))  # fmt: skip
        if not rows:
            return Prose((_("No stage with criteria was entered or left in the period."),))
        columns = (_("Stage"), _("When"), _("Criterion"), _("Deals"), _("Known"), _("Met"), _("Everybody"))
        return Sheet(
            "criteria", columns, tuple(rows), _("Were the criteria of the stages met?"), right=(3, 4, 5, 6)
        )

    # The rows

    def rows(self) -> Sheet:
        """The open deals behind the figures, the largest first."""
        found = sorted(
            (d for d in self.slice.deals if d.status == "open"),
            key=lambda d: (-(d.amount_minor or 0), d.deal_id),
        )
        where = self._where()
        rows = tuple(
            (
                deal.name or UNKNOWN, deal.deal_id, *where.get(deal.deal_id, (UNKNOWN, UNKNOWN)),
                self._money(deal.amount_minor), deal.close_on.isoformat() if deal.close_on else UNKNOWN,
                deal.created_on.isoformat() if deal.created_on else UNKNOWN,
            )
            for deal in found[:MOST_ROWS]
        )  # fmt: skip
        columns = (_("Deal"), _("Id"), _("Stage"), _("There since"), _("Amount"), _("Closes"), _("Created"))
        note = _("The largest {most} are listed.", most=MOST_ROWS) if len(found) > MOST_ROWS else ""
        return Sheet(
            "rows", columns, rows or ((_("no such deal"), *[UNKNOWN] * 6),),
            _("Open deals as of {day}: {n}", day=day(self.as_of), n=number(len(found))), note, right=(4,), whole=(1, 3, 5, 6),
        )  # fmt: skip

    def _where(self) -> Mapping[str, tuple[str, str]]:
        """The stage of each open deal and since when, as far as it is recorded."""
        if not self.slice.about["detailed"]:
            return {}
        found = self.slice.connection.execute(
            "SELECT deal_id, stage, entered_on FROM visits WHERE left_on IS NULL"
        ).fetchall()
        return {deal: (self.label(stage), since.isoformat()) for deal, stage, since in found}

    # What the data cannot tell

    def limits(self) -> Prose:
        """What these data cannot tell."""
        said = [_("The data are as of {as_of}; nothing known later is used.", as_of=day(self.as_of))]
        if self.page.partial:
            said.append(
                _("The period is still running: it is compared with as many days of the earlier ones.")
            )
        if not self.is_recorded:
            said.append(self._no_history())
        elif self.page.since and self.page.since > self.period.span.first:
            said.append(
                _(
                    "The history of stages begins on {day}: of the period, only the days since then are counted.",
                    day=day(self.page.since),
                )
            )
        said += [
            _("Whether a deal got on is asked {days} working days after it came to a stage: so the deals behind a verdict came about two months before the period.", days=self.company.onward_days),
            _("Peers are all other reps on the roster in the period, whatever their territory or products: a difference goes with the person's portfolio as much as with the person."),
            _("What is expected of a stage is what the workspace says, not a law: change it in coachbook.toml under [[stages]]."),
            _("A deal counts for whoever had it at the end of the day on which something happened to it."),
        ]  # fmt: skip
        if self.page.bridge.unvalued:
            said.append(
                _(
                    "{n} deals have no amount, or none that can be converted, and count 0 in the bridge.",
                    n=number(self.page.bridge.unvalued),
                )
            )
        return Prose(tuple(said), kind="list")

    # As data

    @property
    def named(self) -> list[dict[str, str]]:
        """Everything that the page singles out; `with` stages: where everybody sticks."""
        return [
            {"metric": METRIC, "variant": at.stage, "with": against, "direction": direction, "text": text}
            for at in self.page.places
            for against, direction, text in [
                *(
                    (n.against, n.direction, words.named(n, self.title(at.stage), at.pooled, days=self.company.onward_days))
                    for n in at.named
                ),
                *([("stages", "worse", self._sticks(at))] if at.decision == "fix" else []),
            ]
        ] + [self._named_member(member, cell) for member in self.page.members for cell in member.cells if cell.named]  # fmt: skip

    def _named_member(self, member: funnel_document.Row, cell: funnel_document.Cell) -> dict[str, str]:
        """What the map of a team's members colours."""
        gap = cell.gap or 0.0
        text = _(
            "{name}, at the stage {stage}: {value} of {n} deals got on, {gap} beside peers, more than chance.",
            name=member.name, stage=self.title(cell.stage), value=percent(cell.share), n=number(cell.n), gap=points(gap),
        )  # fmt: skip
        direction = "better" if gap > 0 else "worse"
        return {
            "metric": METRIC, "variant": cell.stage, "with": "peers", "direction": direction, "rep": member.rep_id, "text": text
        }  # fmt: skip

    def _sticks(self, at: AtStage) -> str:
        return _(
            "At the stage {stage} everybody's deals stick: {value} of the others' deals got on, {expected} are expected.",
            stage=self.title(at.stage), value=percent(self._others_share(at)), expected=percent(at.others.value),
        )  # fmt: skip

    @property
    def findings(self) -> list[Finding]:
        """Every figure of a stage: conversion, deals there, customers, flow, days of a stay."""
        found = [finding for at in self.page.places for finding in (at.pooled, at.now)]
        for stage in self.used:
            before = self._before(stage.stage)
            there = stage.there
            if there:
                past = before.there if before else None
                found.append(self._count("stage_deals", stage, there.deals, past.deals if past else None))
                found.append(
                    self._count("stage_customers", stage, there.customers, past.customers if past else None)
                )
            if stage.moves:
                flow = stage.moves.per_week
                found.append(
                    Finding(
                        f"stage_flow:{stage.stage}",
                        "stage_flow",
                        stage.stage,
                        flow.value,
                        "deals per week",
                        flow.n,
                        flow.interval,
                    )
                )
            for dwell in stage.dwells[:1]:
                m = dwell.median
                reason = (m.reason.message, m.reason.values) if m.reason else ("", {})
                found.append(
                    Finding(
                        f"stage_dwell:{stage.stage}",
                        "stage_dwell",
                        stage.stage,
                        m.value,
                        "days",
                        m.n,
                        m.interval,
                        (),
                        *reason,
                    )
                )
        return found

    def _count(self, metric: str, stage: Stage, value: int, before: int | None) -> Finding:
        past = (
            Comparison("previous", before, before, value - before, None, None, None, None, words.COUNTED)
            if before is not None
            else None
        )
        return Finding(
            f"{metric}:{stage.stage}",
            metric,
            stage.stage,
            value,
            "deals",
            value,
            None,
            (past,) if past else (),
            words.COUNTED,
        )

    def to_dict(self) -> dict[str, Any]:
        """The whole review as plain data, schema `coachbook.review/1`."""
        about = self.slice.about
        return {
            "schema": SCHEMA,
            "workbook": "funnel_review",
            "scope": about["scope"],
            "period": about["period"],
            "as_of": about["as_of"],
            "locale": active().value,
            "snapshot": about["snapshot"],
            "reader": about["reader"],
            "findings": [self._finding_dict(finding) for finding in self.findings],
            "named": self.named,
            "looked_at": self.page.looked_at,
            "verdicts": [
                {
                    "stage": at.stage,
                    "decision": at.decision,
                    "n_needed": at.n_needed,
                    "text": words.verdict(at, is_team=self.is_team),
                }
                for at in self.page.places
            ],
            "sentences": list(self.sentences().sentences),
            "created": list(self.page.created),
            "bridge": {"window": "period", **self.page.bridge.to_dict()},
            "bridge_of_all": {"window": "all", **self.page.bridge_of_all.to_dict()},
            "since": self.since.isoformat(),
            "changes": [_change_dict(change) for change in self.changes],
            "clean_up": [{"deal_id": c.deal_id, "why": list(c.why)} for c in self.candidates],
            "decided": [{**asdict(d), "decided_on": d.decided_on.isoformat()} for d in self.page.decided],
            "at_risk": [_deal_dict(deal) for deal in self.at_risk_first],
            "flags": [{**asdict(r), "lift": r.lift, "holds": r.holds} for r in self.company.records],
            "criteria": [asdict(c) for c in self.page.criteria],
            "partial": self.page.partial,
        }

    def _finding_dict(self, finding: Finding) -> dict[str, Any]:
        plain = finding.to_dict()
        values = plain.pop("reason_values")
        plain["reason"] = str(Sentence(finding.reason, values)) if finding.reason else ""
        for comparison in plain["comparisons"]:
            reason = comparison["reason"]
            comparison["reason"] = (
                _(
                    reason,
                    n=finding.n if comparison["with"] == "expected" else min(finding.n, comparison["n"]),
                    needs=SMALLEST_SHARE,
                    k=K_ANONYMOUS,
                )
                if reason
                else ""
            )
        if plain["interval"] and plain["interval"]["high"] == float("inf"):
            plain["interval"]["high"] = None  # open to that side
        behind = self._there if finding.metric in ("stage_deals", "stage_customers") else self._visited
        visited = behind.get(finding.variant, [])
        return {
            **plain,
            "text": words.text(finding, self.title(finding.variant)),
            "evidence": {"deals": finding.n, "largest": visited[:MOST_EVIDENCE]},
        }

    @cached_property
    def _there(self) -> Mapping[str, Sequence[str]]:
        """By stage the deals that were in it at the period's end, the largest first."""
        return self._by_stage(self.period.span.after)

    @cached_property
    def _visited(self) -> Mapping[str, Sequence[str]]:
        """By stage the deals that were in it in the pooled window, the largest first."""
        return self._by_stage(self.period.span.first - timedelta(days=POOLED_DAYS))

    def _by_stage(self, first: date) -> Mapping[str, Sequence[str]]:
        """Who came before the period's end, and had not left on `first`."""
        if not self.slice.about["detailed"]:
            return {}
        found = self.slice.connection.execute(
            """
            SELECT stage, list(DISTINCT deal_id) FROM visits
            WHERE entered_on < $after AND coalesce(left_on >= $first, true) GROUP BY stage
            """,
            {"first": first, "after": self.period.span.after},
        ).fetchall()
        by_id: dict[str, set[str]] = {}
        for stage, deals in found:
            setting = self.company.configured.find(stage)
            by_id.setdefault(setting.id if setting else stage, set()).update(deals)
        return {
            stage: sorted(deals, key=lambda d: (-self._worth.get(d, 0), d))[:MOST_EVIDENCE]
            for stage, deals in by_id.items()
        }

    def _repr_mimebundle_(self, **_kwargs: object) -> dict[str, Any]:
        return {MIME: self.to_dict(), "text/plain": str(self)}

    def __str__(self) -> str:
        return "\n".join(n["text"] for n in self.named) or _("Nothing stands out.")

    # Money

    @property
    def _currency(self) -> str:
        return str(self.slice.about["currency"])

    def _money(self, minor: int | None) -> str:
        return money(minor, self._currency, compact=True)

    def _amount(self, amount: Amount) -> str:
        return _("{amount} ({deals})", amount=self._money(amount.minor), deals=words.deals(amount.count))

    def _flow(self, bridge: Bridge, name: str) -> str:
        return signed(self._money(bridge.flows[name].minor), FLOWS[name])


def _values(shares: Sequence[float | None]) -> list[float]:
    return [float("nan") if share is None else share for share in shares]


def _with(value: int | None, before: int | None) -> str:
    """A count with that of the period before in brackets."""
    if value is None:
        return UNKNOWN
    if before is None:
        return number(value)
    return _("{now} ({before})", now=number(value), before=number(before))


def _stay(median: Figure) -> str:
    """A median stay with its interval."""
    if median.value is None:
        return str(median.reason) if median.reason else UNKNOWN
    if median.interval is None:
        return _("{median} (n = {n})", median=number(median.value), n=number(median.n))
    low, high = number(median.interval.low), median.interval.high
    if high == float("inf"):
        return _("{median} ({low} or more)", median=number(median.value), low=low)
    return _("{median} ({low} to {high})", median=number(median.value), low=low, high=number(high))


def _still(day_: int, share: float) -> str:
    return _("{share} are still there after {days} working days", share=percent(share), days=number(day_))


def _became(then: str | None, now: str | None) -> str:
    if then == now or then is None or now is None:
        return now or then or UNKNOWN
    return _("{then} → {now}", then=then, now=now)


def _own_money(state: State | None) -> str | None:
    if state is None or state.amount_minor is None or state.currency is None:
        return None
    return money(state.amount_minor, state.currency, compact=True)


def _date(state: State | None) -> str | None:
    return state.close_on.isoformat() if state and state.close_on else None


def _change_dict(change: Change) -> dict[str, Any]:
    then, now = (state and {**asdict(state), "close_on": _date(state)} for state in (change.then, change.now))
    told_ = {
        "kinds": list(change.kinds),
        "then": then,
        "now": now,
        "touched_on": change.touched_on.isoformat(),
    }
    return {**asdict(change), **told_}


def _deal_dict(deal: AtRisk) -> dict[str, Any]:
    close_on = deal.close_on.isoformat() if deal.close_on else None
    return {**asdict(deal), "close_on": close_on, "flags": list(deal.flags)}


__all__ = ["FunnelReview"]
