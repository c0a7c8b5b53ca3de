"""How long deals stay in a stage, own beside everybody's."""

from __future__ import annotations

from coachbook.charts import Picture, Prose
from coachbook.charts import dwell as stays
from coachbook.facts.funnel_document import CompanyStage
from coachbook.metrics.funnel import Stage
from coachbook.text import _, number, percent
from coachbook.workbooks.funnel_review import words
from coachbook.workbooks.funnel_review.reading import Reading


def dwell(review: Reading) -> Picture | Prose:
    """How long deals stay in the stage that asks for it most, own beside everybody's."""
    stage = _longest(review)
    if not review.is_recorded:
        return Prose((review.not_recorded,))
    if stage is None:
        return Prose((_("Too few deals stayed in a stage to draw how long they stay."),))
    theirs = next((s for s in review.company.stages if s.stage == stage.stage), None)
    setting = review.company.configured.find(stage.stage)
    expected = setting.expected_working_days if setting else None
    title = review.title(stage.stage)
    return stays.dwell(
        _own_stay(review, stage), _their_stay(theirs),
        expected=stays.Expected(float(expected), _("expected: half gone by {n} days", n=number(expected))) if expected else None,
        ends=_("the data end here"), days=_("working days"), heading=title,
        title=_("share still there"),
        text=_("How long deals stay in the stage {stage}, in {period}.", stage=title, period=review.period.label),
    )  # fmt: skip


def _longest(review: Reading) -> Stage | None:
    """The stage of a verdict if there is one, else the one with the most deals in it; with enough to draw."""
    drawn = [stage for stage in review.page.now if stage.dwells and stage.dwells[0].curve]
    decided = {at.stage: at.decision for at in review.page.places}
    order = {"coach": 0, "fix": 1}
    return min(
        drawn,
        key=lambda s: (order.get(decided.get(s.stage) or "", 2), -(s.there.deals if s.there else 0)),
        default=None,
    )


def _own_stay(review: Reading, stage: Stage) -> stays.Stay:
    found = stage.dwells[0]
    points_ = tuple(
        stays.StayPoint(p.day, p.share, p.low, p.high, _still(p.day, p.share)) for p in found.curve
    )
    n = number(found.median.n)
    if found.median.value is None:
        tip = _("{name}: {reason} (n = {n}).", name=review.name, reason=str(found.median.reason), n=n)
    else:
        tip = _(
            "{name}: half leave within {days} working days.",
            name=review.name,
            days=words.stay(found.median),
        )
    return stays.Stay(review.name, points_, tip)


def _their_stay(stage: CompanyStage | None) -> stays.Stay:
    who = _("everybody")
    if stage is None or not stage.curve:
        return stays.Stay(who, (), _("Everybody: too few people to show."))
    points_ = tuple(
        stays.StayPoint(p.day, round(p.share, 2), None, None, _still(p.day, p.share)) for p in stage.curve
    )
    half, n = stage.median_days, number(stage.stays)
    tip = (
        _("Everybody: half leave within {days} working days (n = {n}).", days=number(half), n=n)
        if half is not None
        else _("Everybody: not half have left so far (n = {n}).", n=n)
    )
    return stays.Stay(who, points_, tip)


def _still(day_: int, share: float) -> str:
    return _("{share} are still there after {days} working days", share=percent(share), days=number(day_))
