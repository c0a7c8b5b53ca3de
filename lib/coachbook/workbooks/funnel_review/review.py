"""The review that the notebook shows, part by part."""

from __future__ import annotations

from typing import Any

from coachbook.charts import Download, Picture, Prose, Sheet
from coachbook.text import _
from coachbook.workbooks import emitted
from coachbook.workbooks.funnel_review import (
    cleaning,
    data,
    deals,
    dwell,
    pipeline,
    sentences,
    stages,
    verdicts,
    worth,
)
from coachbook.workbooks.funnel_review.reading import Reading


class FunnelReview(Reading):
    """The frozen review of one scope and period. Its parts are methods that show; `to_dict` is all of it as data."""

    def everybody(self) -> Prose:
        """The first thing a page says: the company's plain figures."""
        return sentences.everybody(self)

    def sentences(self) -> Prose:
        """Three plain sentences, made from figures, verdicts and `named` alone."""
        return sentences.sentences(self)

    def stages(self) -> Sheet | Prose:
        """What is in each stage, what it is worth and how long it stays, beside the period before and expectation."""
        return stages.stages(self)

    def moves(self) -> Sheet | Prose:
        """What came in, moved on, went back and was lost, beside the period before."""
        return stages.moves(self)

    def funnel(self) -> Picture | Prose:
        """The share that got on from each stage, with its interval, beside what is expected."""
        return verdicts.funnel(self)

    def verdicts(self) -> Sheet | Prose:
        """The rep, everybody, or chance: stage by stage."""
        return verdicts.verdicts(self)

    def heat(self) -> Picture | Prose:
        """A team's members by stages: how far from their peers, and where nobody can tell."""
        return verdicts.heat(self)

    def dwell(self) -> Picture | Prose:
        """How long deals stay in the stage that asks for it most, own beside everybody's."""
        return dwell.dwell(self)

    def since_we_last_spoke(self) -> Sheet | Prose:
        """What became of each deal since a day: new, moved, pushed, grown, won, lost, gone quiet."""
        return deals.since_we_last_spoke(self)

    def bridge(self) -> Picture:
        """What brought the pipeline due in the period from where it stood to where it stands."""
        return pipeline.bridge(self)

    def bridge_figures(self) -> Sheet:
        """The same as figures, and beside it the bridge of all open deals, whatever their close date."""
        return pipeline.bridge_figures(self)

    def slippage(self) -> Prose:
        """What became of the deals that were to close in the period."""
        return pipeline.slippage(self)

    def at_risk(self) -> Sheet | Prose:
        """Open deals that wear flags which past deals bear out."""
        return deals.at_risk(self)

    def journey(self, deal_id: str = "") -> Picture | Prose:
        """One deal's life: by default of the first at risk, else of the largest that is open."""
        return deals.journey(self, deal_id)

    def what_if(self) -> Sheet | Prose:
        """What improving one stage would be worth, all else unchanged."""
        return worth.what_if(self)

    def effort(self) -> Sheet:
        """What goes in (visits, proposals, follow-up, leads), and what the pipeline is worth: velocity and coverage."""
        return worth.effort(self)

    def clean_up(self) -> Sheet:
        """Deals to decide about: dead, a new date, a new amount, a next step."""
        return cleaning.clean_up(self)

    def worksheet(self) -> Download:
        """The worksheet of these deals, to be filled in and kept with `coachbook cleanup add`."""
        return cleaning.worksheet(self)

    def decided(self) -> Sheet | Prose:
        """What became of what was decided in earlier reviews."""
        return cleaning.decided(self)

    def criteria(self) -> Sheet | Prose:
        """How often the criteria of stages were met."""
        return stages.criteria(self)

    def rows(self) -> Sheet:
        """The open deals behind the figures, the largest first."""
        return deals.rows(self)

    def limits(self) -> Prose:
        """What these data cannot tell."""
        return sentences.limits(self)

    @property
    def named(self) -> list[dict[str, str]]:
        """Everything that the page singles out."""
        return data.named(self)

    def to_dict(self) -> dict[str, Any]:
        """The whole review as plain data, schema `coachbook.review/1`."""
        return data.to_dict(self)

    def _repr_mimebundle_(self, **_kwargs: object) -> dict[str, Any]:
        return {emitted.MIME: self.to_dict(), "text/plain": str(self)}

    def __str__(self) -> str:
        return "\n".join(n["text"] for n in self.named) or _("Nothing stands out.")
