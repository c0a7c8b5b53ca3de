"""Whose matter a stage is: the rep's, everybody's, or nobody can tell."""

from __future__ import annotations

from coachbook.charts import Picture, Prose, Sheet
from coachbook.charts import funnel as bars
from coachbook.charts import heat as squares
from coachbook.facts import funnel_document
from coachbook.metrics.bottleneck import AtStage
from coachbook.text import UNKNOWN, _, number, percent, signed, told
from coachbook.workbooks import wording
from coachbook.workbooks.funnel_review import words
from coachbook.workbooks.funnel_review.reading import Reading


def funnel(review: Reading) -> Picture | Prose:
    """The share that got on from each stage, with its interval, beside what is expected."""
    if not (review.is_recorded and review.page.places):
        return Prose((review.not_recorded,))
    return bars.funnel(
        [_bar(review, at) for at in review.page.places],
        title=_("got on within {days} working days", days=review.company.terms.onward_days), expected=_("expected"),
        unknown=_("too few deals"),
        text=_("Share of deals that got on from each stage within {days} working days, of the last {months} months.", days=review.company.terms.onward_days, months=number(review.company.terms.months)),
    )  # fmt: skip


def _bar(review: Reading, at: AtStage) -> bars.StageBar:
    found, expected = at.pooled, at.pooled.against("expected")
    interval, hoped = found.interval, expected.value if expected else None
    value = found.value if interval else None
    figure = _("{share} of {n}", share=percent(found.value), n=number(found.n)) if found.n else _("no deal")
    tip = (
        _("{stage}: {share} of {n} deals, 95% interval {interval}.", stage=review.title(at.stage), share=percent(found.value), n=number(found.n), interval=wording.spread(interval, "share"))
        if interval
        else _("{stage}: {reason}.", stage=review.title(at.stage), reason=_(found.reason, **found.reason_values))
    )  # fmt: skip
    return bars.StageBar(
        review.title(at.stage), value, interval.low if interval else None, interval.high if interval else None,
        hoped, figure, tip,
    )  # fmt: skip


def verdicts(review: Reading) -> Sheet | Prose:
    """The rep, everybody, or chance: stage by stage."""
    if not (review.is_recorded and review.page.places):
        return Prose((review.not_recorded,))
    columns = (
        _("Stage"), _("Got on"), _("n"), _("95% interval"), _("Peers"), _("Expected"), _("Own part of the movement"),
        _("Verdict"),
    )  # fmt: skip
    rows = tuple(_row(review, at) for at in review.page.places)
    note = _(
        "Share of deals that got beyond a stage within {days} working days, of those whose {days} days ended in the twelve months up to the period's end, as far as they are recorded ({months} months). The own part is of the movement since the period before, without the company's and the team's. {looks} comparisons were tested; the false discovery rate is held at 5% over all of them.",
        days=review.company.terms.onward_days, looks=review.page.looked_at, months=number(review.company.terms.months),
    )  # fmt: skip
    return Sheet(
        "verdicts", columns, rows, _("The rep, everybody, or chance?"), told([note, *review.unusual_stages]),
        right=(1, 2, 3, 4, 5),
    )  # fmt: skip


def _row(review: Reading, at: AtStage) -> tuple[str, ...]:
    found = at.pooled
    peers, expected = found.against("peers"), found.against("expected")
    return (
        review.title(at.stage),
        percent(found.value),
        number(found.n),
        wording.spread(found.interval, "share") if found.interval else _(found.reason, **found.reason_values),
        _("{value} (n = {n})", value=percent(peers.value), n=number(peers.n))
        if peers and peers.n
        else UNKNOWN,
        percent(expected.value) if expected else UNKNOWN,
        words.own_part(at),
        words.verdict(at, is_team=review.is_team),
    )


def heat(review: Reading) -> Picture | Prose:
    """A team's members by stages: how far from their peers, and where nobody can tell."""
    if not review.page.members:
        return Prose((_("Rep by stage is shown on a team's page."),))
    stages = [cell.stage for cell in review.page.members[0].cells]
    if not (review.is_recorded and stages):
        return Prose((review.not_recorded,))
    rows = [
        squares.HeatRow(member.name, tuple(square(cell) for cell in member.cells))
        for member in review.page.members
    ]
    return squares.heat(
        rows, [review.title(stage) for stage in stages],
        title=_("percentage points above or below peers"), unknown=_("struck out: cannot be told"),
        text=_("Share of deals that got on from each stage, compared with peers, rep by rep."),
    )  # fmt: skip


def square(cell: funnel_document.Cell) -> squares.Cell:
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
