"""What every part of a funnel review reads: one scope, one period, and how its deals and stages are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Self

from coachbook.cleanup import Candidate, among
from coachbook.errors import Invalid
from coachbook.facts import funnel_document
from coachbook.facts.funnel_document import FunnelCompany, FunnelPage
from coachbook.metrics.bridge import FLOWS, Amount, Bridge
from coachbook.metrics.changes import Change, changes
from coachbook.metrics.funnel import NEVER_THERE, Brief, Stage
from coachbook.model.periods import Period, parse_day
from coachbook.model.quality import Sentence
from coachbook.text import N_, UNKNOWN, _, day, listed, money, number, signed
from coachbook.warehouse.slices import Slice
from coachbook.workbooks.funnel_review import words

NO_HISTORY = N_(
    "The data hold no history of stages: what came in, moved, converted and stayed cannot be shown. The pipeline bridge and the deals are, as far as the data know."
)


@dataclass(frozen=True)
class Reading:
    """One scope and period; `changes` are those from the end of the day `since` to the as-of day."""

    slice: Slice
    period: Period
    page: FunnelPage
    company: FunnelCompany
    since: date
    changes: tuple[Change, ...]

    @classmethod
    def of(cls, seen: Slice, period: Period, *, since: date | None) -> Self:
        """Read a slice; `since` None: the day before the period.

        Raises
        ------
        Invalid
            `since` is later than the data.
        """
        as_of = parse_day(seen.about["as_of"])
        if since and since > as_of:
            raise Invalid(
                N_("{since} is later than the data of this page, which are as of {as_of}."),
                since=since.isoformat(), as_of=as_of.isoformat(),
            )  # fmt: skip
        begin = since or min(period.span.first - timedelta(days=1), as_of)
        company = funnel_document.companies().read(seen.everyone)
        found = (
            changes(seen.connection, since=begin, as_of=as_of, history="history", touches="touches")
            if seen.about["detailed"]
            else []
        )
        if not company.terms.tells_quiet:
            found = [replace(c, kinds=tuple(k for k in c.kinds if k != "quiet")) for c in found]
        told = tuple(change for change in found if change.kinds)
        return cls(seen, period, funnel_document.pages().read(seen.page), company, begin, told)

    # Whose and when

    @property
    def name(self) -> str:
        """Whose review it is."""
        return str(self.slice.about["scope"]["name"])

    @property
    def is_team(self) -> bool:
        """Whether it is a team's."""
        return bool(self.slice.about["scope"]["kind"] == "team")

    @property
    def is_detailed(self) -> bool:
        """Whether the slice holds deal by deal what happened: not of very large teams."""
        return bool(self.slice.about["detailed"])

    @property
    def as_of(self) -> date:
        """The day whose knowledge it is."""
        return parse_day(self.slice.about["as_of"])

    @property
    def is_recorded(self) -> bool:
        """Whether any day of the period lies in the history of stages."""
        return self.page.since is not None and self.page.since < self.period.span.after

    @property
    def no_history(self) -> str:
        """Why there are no figures of stages."""
        if self.page.since is None:
            return _(NO_HISTORY)
        return _(
            "The history of stages begins on {day}, after this period: what came in, moved, converted and stayed cannot be shown.",
            day=day(self.page.since),
        )

    @property
    def not_recorded(self) -> str:
        """The same where a part has nothing else to say."""
        if self.page.since is None:
            return _("Not recorded: the data hold no history of stages.")
        return _(
            "Not recorded: the history of stages begins on {day}, after this period.",
            day=day(self.page.since),
        )

    # Stages

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

    def before(self, stage: str) -> Brief | None:
        """The stage in the period before."""
        return next((e for e in self.page.earlier.get("previous", ()) if e.stage == stage), None)

    def value(self, stage: str, span: str = "now") -> int | None:
        """Open amount in the stage at the end of the period, or of the one before (`previous`); None: not known."""
        there = (
            self.before(stage) if span == "previous" else next(s for s in self.page.now if s.stage == stage)
        )
        if there is None or there.there is None or span not in self.page.worth:
            return None
        return self.page.worth[span][[s.stage for s in self.page.now].index(stage)]

    @property
    def unusual_stages(self) -> list[str]:
        """What is to be said of stages that are not in the order, and of those that nobody uses."""
        said = []
        outside = [stage for stage in self.page.now if stage.position is None]
        if outside:
            said.append(
                _(
                    "Not among the configured stages: {stages}. Set [[stages]] in coachbook.toml.",
                    stages=listed([_counted(stage) for stage in outside]),
                )
            )
        if self.is_recorded and self.company.terms.outside:
            said.append(
                _(
                    "A deal in such a stage counts as not having got on. So nobody is singled out by what got on, and no stage is called everybody's matter."
                )
            )
        never = [stage for stage in self.page.now if stage.reason == Sentence(NEVER_THERE)]
        if never:
            said.append(
                _("No deal was ever in: {stages}.", stages=listed([self.title(s.stage) for s in never]))
            )
        return said

    # Deals

    @cached_property
    def worth(self) -> Mapping[str, int]:
        """Amounts in one currency by deal, to tell which is larger."""
        return {deal.deal_id: deal.amount_minor or 0 for deal in self.slice.deals}

    def called(self, deal_id: str) -> str:
        """What readers call a deal."""
        return self._names.get(deal_id, deal_id)

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return {deal.deal_id: deal.name or deal.deal_id for deal in self.slice.deals}

    @cached_property
    def where(self) -> Mapping[str, tuple[str, str]]:
        """The stage of each open deal and since when, as far as it is recorded."""
        if not self.is_detailed:
            return {}
        found = self.slice.connection.execute(
            "SELECT deal_id, stage, entered_on FROM visits WHERE left_on IS NULL"
        ).fetchall()
        return {deal: (self.label(stage), since.isoformat()) for deal, stage, since in found}

    @cached_property
    def candidates(self) -> Sequence[Candidate]:
        """Open deals that a review should decide about: overdue, quiet, or without a next step."""
        quiet = {c.deal_id: c.touched_on for c in self.changes if "quiet" in c.kinds}
        return among(self.slice.connection, self.as_of, touched=quiet, deals="deals", roster="roster")

    # Money

    @property
    def currency(self) -> str:
        """The reporting currency."""
        return str(self.slice.about["currency"])

    def money(self, minor: int | None) -> str:
        """An amount in it, short."""
        return money(minor, self.currency, compact=True)

    def amount(self, amount: Amount) -> str:
        """With the number of deals."""
        return _("{amount} ({deals})", amount=self.money(amount.minor), deals=words.deals(amount.count))

    def flow(self, bridge: Bridge, name: str) -> str:
        """A flow of a bridge with its sign."""
        return signed(self.money(bridge.flows[name].minor), FLOWS[name])


def _counted(stage: Stage) -> str:
    """Its name, and how many deals are there, if that is known."""
    if stage.there is None:
        return stage.stage
    return _("{stage} ({n})", stage=stage.stage, n=number(stage.there.deals))
