"""The pipeline bridge, and what became of deals that were to close."""

from __future__ import annotations

from babel.numbers import get_currency_precision

from coachbook.charts import Picture, Prose, Sheet, theme
from coachbook.charts import waterfall as steps
from coachbook.metrics.bridge import FLOWS, Amount, Bridge
from coachbook.metrics.slippage import Slippage
from coachbook.text import _, listed, number, percent, signed
from coachbook.workbooks import wording
from coachbook.workbooks.funnel_review import words
from coachbook.workbooks.funnel_review.reading import Reading


def bridge(review: Reading) -> Picture:
    """What brought the pipeline due in the period from where it stood to where it stands."""
    return _waterfall(review,
        review.page.bridge, _("Pipeline of deals that close in {period}, from its first moment to its last.", period=review.period.label)
    )  # fmt: skip


def bridge_figures(review: Reading) -> Sheet:
    """The same as figures, and beside it the bridge of all open deals, whatever their close date."""
    both = (review.page.bridge, review.page.bridge_of_all)
    lines = [
        (_("start"), 1, [b.start for b in both]),
        *((_(words.FLOWS[name]), sign, [b.flows[name] for b in both]) for name, sign in FLOWS.items()),
        (_("end"), 1, [b.end for b in both]),
        (_("left unexplained"), 1, [b.residual for b in both]),
    ]
    rows = tuple(
        (label, *(part for a in amounts for part in (number(a.count), signed(review.money(a.minor), sign) if sign < 0 else review.money(a.minor))))
        for label, sign, amounts in lines
    )  # fmt: skip
    columns = ("", _("Deals"), _("Closing in the period"), _("Deals"), _("All open deals"))
    cleaned = review.page.bridge_of_all.cleaned_up
    said = [
        _("{flow} {amount}", flow=_(words.FLOWS[name]), amount=review.amount(cleaned[name]))
        for name in FLOWS
        if name in cleaned
    ]
    note = (
        _("Of all open deals, clean-up that a review decided: {flows}.", flows=listed(said)) if said else ""
    )
    return Sheet("bridge", columns, rows, _("The bridge in figures"), note, right=(1, 2, 3, 4))


def _waterfall(review: Reading, bridge: Bridge, text: str) -> Picture:
    colours = {1: theme.BETTER, -1: theme.WORSE}
    flows = [
        _step(
            review,
            _(words.FLOWS[name]),
            bridge.flows[name],
            sign,
            theme.ACCENT if name == "won" else colours[sign],
        )
        for name, sign in FLOWS.items()
    ]
    return steps.waterfall(
        _step(review, _("start"), bridge.start, 0, theme.MUTED), flows, _step(review, _("end"), bridge.end, 0, theme.MUTED),
        none=_("nothing by:"), text=text,
    )  # fmt: skip


def _step(review: Reading, label: str, amount: Amount, sign: int, colour: str) -> steps.Flow:
    major = amount.minor / 10 ** get_currency_precision(review.currency) * (sign or 1)
    figure = review.money(amount.minor)
    shown = signed(figure, sign) if sign else figure
    deals = words.deals(amount.count)
    return steps.Flow(
        label, amount.count, major, f"{shown} · {deals}" if amount.count else shown, colour,
        _("{flow}: {amount}, {deals}.", flow=label, amount=shown, deals=deals),
    )  # fmt: skip


def slippage(review: Reading) -> Prose:
    """What became of the deals that were to close in the period."""
    found = review.page.slippage
    if found is None or not found.due.count:
        return Prose((_("No open deal was to close in {period} when it began.", period=review.period.label),))
    said = [
        _("{n} {outcome} ({amount})", n=number(amount.count), outcome=_(words.OUTCOMES[outcome]), amount=review.money(amount.minor))
        for outcome, amount in found.outcomes.items()
        if amount.count
    ]  # fmt: skip
    first = _(
        "Of {n} deals ({amount}) that were to close in {period} when it began: {outcomes}.",
        n=number(found.due.count),
        amount=review.money(found.due.minor),
        period=review.period.label,
        outcomes=listed(said),
    )
    pushed = (
        _("Dates were pushed {times}.", times=words.times(found.pushes))
        if found.pushes
        else _("No date was pushed.")
    )
    return Prose((first, _slipped(found), pushed))


def _slipped(found: Slippage) -> str:
    """Shares by number and by value, as far as there is enough for an interval."""
    if found.interval is None:
        return _("Too few for a rate (n = {n}).", n=number(found.due.count))
    by_number = _(
        "{share} by number ({interval})",
        share=percent(found.share),
        interval=wording.spread(found.interval, "share"),
    )
    if found.share_of_value is None:
        return _(
            "Slipped: {by_number}; by value no rate stands: amounts are missing, 0 or negative.",
            by_number=by_number,
        )
    if found.interval_of_value is None:
        return _(
            "Slipped: {by_number}; a few deals make up so much of the amount that no rate by value stands.",
            by_number=by_number,
        )
    by_value = _(
        "{share} by value ({interval})",
        share=percent(found.share_of_value),
        interval=wording.spread(found.interval_of_value, "share"),
    )
    return _("Slipped: {by_number}, {by_value}.", by_number=by_number, by_value=by_value)
