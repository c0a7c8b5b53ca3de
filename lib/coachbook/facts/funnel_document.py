"""What a funnel review is made of: one document per rep and team, and one of the whole company."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Generic, TypeVar

import numpy as np
from pydantic import ConfigDict, TypeAdapter

from coachbook.cleanup import Kind as DecisionKind
from coachbook.cleanup.outcomes import State
from coachbook.metrics.bottleneck import AtStage, Decision
from coachbook.metrics.bridge import Bridge
from coachbook.metrics.coverage import Coverage
from coachbook.metrics.funnel import SMALLEST_SHARE, Brief, Figure, Stage, Staying
from coachbook.metrics.process import Process
from coachbook.metrics.risk import AtRisk, Record
from coachbook.metrics.slippage import Slippage
from coachbook.metrics.velocity import Velocity
from coachbook.model.findings import LEVEL, Interval
from coachbook.model.periods import Span
from coachbook.model.stages import Stages
from coachbook.stats.intervals import wilson

Document = TypeVar("Document")


@dataclass(frozen=True)
class Criterion:
    """How often a criterion was met when deals entered a stage, or moved on from it.

    `place`: which of the stage's criteria of that moment, from 0; None: all together. Of `visits` the data tell of
    `known`, and of these it was `met`; None: the data that it takes were not captured. `people`: whose
    deals these are.
    """

    stage: str
    moment: str
    place: int | None
    visits: int
    known: int
    met: int | None
    people: int

    @property
    def share(self) -> Figure | None:
        """Share of the known that met it, with Wilson's interval from `SMALLEST_SHARE` deals on; higher is better."""
        if self.met is None or not self.known:
            return None
        share = self.met / self.known
        if self.known < SMALLEST_SHARE:
            return Figure(share, None, self.known)
        low, high = wilson(np.array(share), np.array(float(self.known)), LEVEL)
        return Figure(share, Interval(float(low), float(high)), self.known)


@dataclass(frozen=True)
class Cell:
    """A member of the team at a stage, in the pooled window: `share` of `n` deals got on, `gap` more than of peers.

    None: not known. Above 0 is better. `named`: it may be singled out, beside peers.
    """

    stage: str
    share: float | None
    n: int
    gap: float | None
    low: float | None
    high: float | None
    decision: Decision | None
    n_needed: int | None
    named: bool


@dataclass(frozen=True)
class Row:
    """A member of a team, stage by stage."""

    rep_id: str
    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Chance:
    """Of `n` deals whose time to be won ended in the pooled window, the share won."""

    stage: str
    n: int
    won: float


@dataclass(frozen=True)
class Decided:
    """What was decided about a deal, and what the data say of it; `now`: what the field holds, written like `value`."""

    deal_id: str
    kind: DecisionKind
    value: str
    currency: str
    decided_on: date
    state: State
    now: str | None


@dataclass(frozen=True)
class FunnelPage:
    """Everything of one rep or team.

    Attributes
    ----------
    since
        First day from which stages are recorded whole; None: the data hold no history of them.
    partial
        The period is still running.
    now
        Stages in order, then those outside it.
    earlier
        By `previous` and `year_ago`, as far as the data reach back.
    worth
        By `now` and `previous`: open amounts by stage, in the order of `now`, in minor units at the rates of the period's
        first day. They speak where `there` of the stage is known.
    created
        Of the deals created in the period, how many reached each stage, and were won.
    places
        Conversion by stage with gaps and decisions.
    looked_at
        Tests on the page.
    bridge, bridge_of_all
        Of deals with a close date in the period, and of all open deals whatever their date.
    chances
        Of being won, by stage.
    velocity, coverage, process, process_before
        None: never on the roster.
    at_risk
        All of them; a page shows few.
    decided
        In reviews, about deals that are the scope's by now.
    members
        Of a team.
    """

    since: date | None
    partial: bool
    now: tuple[Stage, ...]
    earlier: Mapping[str, tuple[Brief, ...]]
    worth: Mapping[str, tuple[int, ...]]
    created: tuple[int, ...]
    places: tuple[AtStage, ...]
    looked_at: int
    chances: tuple[Chance, ...]
    velocity: Velocity | None
    coverage: Coverage | None
    process: Process | None
    process_before: Process | None
    bridge: Bridge
    bridge_of_all: Bridge
    slippage: Slippage | None
    criteria: tuple[Criterion, ...]
    at_risk: tuple[AtRisk, ...]
    decided: tuple[Decided, ...]
    members: tuple[Row, ...]


@dataclass(frozen=True)
class CompanyStage:
    """A stage of the whole company: deals, median working days of `stays` deals, and the share still there by working day.

    None, and no curve: it would tell of fewer people than may be shown.
    """

    stage: str
    came_in: int | None
    moved_on: int | None
    lost: int | None
    there: int | None
    median_days: float | None
    stays: int
    curve: tuple[Staying, ...]


@dataclass(frozen=True)
class Terms:
    """What figures were asked for with.

    Attributes
    ----------
    onward_days
        Working days after which it is asked whether a deal got on.
    lead_days
        Calendar days after which it is asked whether a lead was converted.
    window
        Ends with the period, or the as-of day.
    came, pooled
        On which days the deals came that a conversion of the period, and of the window, is about. None: on none that
        is recorded. `months`: how long the latter is.
    covered
        The period of the coverage.
    outside
        So many deals were in stages that are not configured that nobody is singled out by conversions.
    tells_quiet
        Activities or changes of deals are captured: without them nobody can tell that a deal has gone quiet.
    """

    onward_days: int
    lead_days: int
    window: Span
    came: Span | None
    pooled: Span | None
    months: float
    covered: str
    outside: bool
    tells_quiet: bool


@dataclass(frozen=True)
class FunnelCompany:
    """Everybody's plain figures, and what became of deals at risk.

    `created`: of the deals created in the period, how many reached each stage, and were won; `created_before` likewise
    in the period before. Either is None where fewer people than may be shown stand behind one of them. `configured`:
    the stages as the workspace has them. `terms`: what figures were asked for with.
    """

    configured: Stages
    terms: Terms
    created: tuple[int, ...] | None
    created_before: tuple[int, ...] | None
    stages: tuple[CompanyStage, ...]
    criteria: tuple[Criterion, ...]
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Documents(Generic[Document]):
    """Reads and writes documents of one kind as JSON."""

    adapter: TypeAdapter[list[Document]]

    def written(self, document: Document) -> str:
        """As JSON."""
        return self.adapter.dump_json([document])[1:-1].decode()

    def read(self, plain: Mapping[str, Any]) -> Document:
        """What was written, its JSON parsed."""
        return self.adapter.validate_python([plain])[0]


_CONFIG = ConfigDict(ser_json_inf_nan="constants")
"""An interval may be open to one side."""


@cache
def pages() -> Documents[FunnelPage]:
    """Of a rep or team."""
    return Documents(TypeAdapter(list[FunnelPage], config=_CONFIG))


@cache
def companies() -> Documents[FunnelCompany]:
    """Of the company."""
    return Documents(TypeAdapter(list[FunnelCompany], config=_CONFIG))
