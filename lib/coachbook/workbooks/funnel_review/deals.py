"""Deal by deal: what changed since a day, which deals are at risk, one deal's life, and the rows behind the figures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from coachbook.charts import Picture, Prose, Sheet
from coachbook.charts import journey as life
from coachbook.metrics.changes import Change, State
from coachbook.metrics.risk import AtRisk, Record
from coachbook.text import UNKNOWN, _, day, days, listed, money, number, told
from coachbook.warehouse.slices import Deal
from coachbook.workbooks.funnel_review import words
from coachbook.workbooks.funnel_review.reading import Reading

MOST_CHANGES = 40
MOST_ROWS = 60
MOST_AT_RISK = 5


def since_we_last_spoke(review: Reading) -> Sheet | Prose:
    """What became of each deal since a day: new, moved, pushed, grown, won, lost, gone quiet."""
    if not review.is_detailed:
        return Prose((_("The team is too large to list what changed deal by deal; each rep's page does."),))
    listed_ = sorted(review.changes, key=lambda change: _most_to_say(review, change))[:MOST_CHANGES]
    columns = (
        _("Deal"),
        _("What changed"),
        _("Stage"),
        _("Amount"),
        _("Closes"),
        _("Pushes"),
        _("Last touched"),
    )
    rows = tuple(_change_row(review, change) for change in listed_)
    nothing = ((_("nothing changed"), *[UNKNOWN] * 6),)
    more = len(review.changes) - len(listed_)
    note = _("{more} more deals changed.", more=number(more)) if more else ""
    return Sheet(
        "changes", columns, rows or nothing,
        _("Since the end of {day}: {n} deals changed or went quiet", day=day(review.since), n=number(len(review.changes))),
        note, right=(3, 5), whole=(4, 6),
    )  # fmt: skip


def _most_to_say(review: Reading, change: Change) -> tuple[bool, int, str]:
    """Deals that something happened to before those that went quiet, the largest first."""
    return change.kinds == ("quiet",), -review.worth.get(change.deal_id, 0), change.deal_id


def _change_row(review: Reading, change: Change) -> tuple[str, ...]:
    then, now = change.then, change.now
    return (
        review.called(change.deal_id),
        words.kinds(change.kinds),
        _became(
            review.label(then.stage) if then and then.stage else None,
            review.label(now.stage) if now and now.stage else None,
        ),
        _became(_own_money(then), _own_money(now)),
        _became(_date(then), _date(now)),
        number(change.pushes),
        change.touched_on.isoformat(),
    )


def at_risk_first(review: Reading) -> list[AtRisk]:
    """At most five: those that would change the period first, the largest first."""

    def weight(deal: AtRisk) -> tuple[bool, int, str]:
        soon = deal.close_on is not None and deal.close_on < review.period.span.after
        return not soon, -review.worth.get(deal.deal_id, 0), deal.deal_id

    return sorted(review.page.at_risk, key=weight)[:MOST_AT_RISK]


def _records(review: Reading) -> list[Record]:
    return [record for record in review.company.records if record.holds]


def at_risk(review: Reading) -> Sheet | Prose:
    """Open deals that wear flags which past deals bear out."""
    if not _records(review):
        return Prose(
            (
                _(
                    "No flag has proved a warning in these data: deals that wore one were won no less often, or there were too few. So none is shown."
                ),
            )
        )
    deals = at_risk_first(review)
    columns = (_("Deal"), _("Stage"), _("Amount"), _("Closes"), _("Why"))
    rows = tuple(
        (
            review.called(deal.deal_id), review.label(deal.stage),
            money(deal.amount_minor, deal.currency or review.currency),
            deal.close_on.isoformat() if deal.close_on else UNKNOWN,
            listed([words.flag(flag) for flag in deal.flags]),
        )
        for deal in deals
    )  # fmt: skip
    note = told([words.record(r.flag, r.won, r.n, r.without_won, r.without_n) for r in _records(review)])
    return Sheet(
        "at-risk", columns, rows or ((_("no such deal"), *[UNKNOWN] * 4),),
        _("Deals at risk as of {day}: {shown} of {n}, those that would change the period first", day=day(review.as_of), shown=number(len(deals)), n=number(len(review.page.at_risk))),
        note, right=(2,), whole=(3,),
    )  # fmt: skip


def journey(review: Reading, deal_id: str = "") -> Picture | Prose:
    """One deal's life: by default of the first at risk, else of the largest that is open."""
    if not review.is_detailed:
        return Prose((_("The team is too large to draw the life of a deal; each rep's page does."),))
    by_default = [*(d.deal_id for d in at_risk_first(review)), *(d.deal_id for d in _open(review)), ""]
    chosen = deal_id or by_default[0]
    if not chosen:
        return Prose((_("There is no open deal whose life could be drawn."),))
    visits = review.slice.connection.execute(
        "SELECT stage, entered_on, left_on FROM visits WHERE deal_id = ? ORDER BY entered_at",
        [chosen],
    ).fetchall()
    past = review.slice.connection.execute(
        """
        SELECT from_on, close_on, amount_minor, status, currency FROM history
        WHERE deal_id = ? AND until_at IS DISTINCT FROM from_at ORDER BY nr
        """,
        [chosen],
    ).fetchall()
    if not visits:
        return Prose((_("Where {deal} was, and when, is not recorded.", deal=review.called(chosen)),))
    return _life(review, review.called(chosen), visits, past)


def _life(
    review: Reading, name: str, visits: Sequence[tuple[Any, ...]], past: Sequence[tuple[Any, ...]]
) -> Picture:
    entered = [
        life.Visit(review.label(stage), first, last or review.as_of, known=True, tip=_("{stage}: {first} to {last}.", stage=review.label(stage), first=day(first), last=day(last or review.as_of)))
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
                before=money(minor, currency or review.currency),
                after=money(new, currency or review.currency),
            )
            marks.append(life.Mark(amounts, on, "up" if (new or 0) > (minor or 0) else "down", tip))
    names = dict.fromkeys(v.lane for v in entered)
    order = [review.label(stage) for stage in review.company.configured.ids]
    lanes = sorted(names, key=lambda n: order.index(n) if n in order else len(order))
    days_in = {lane: sum((v.last - v.first).days for v in entered if v.lane == lane) for lane in lanes}
    drawn = [life.Lane(lane, days(days_in[lane])) for lane in lanes]
    for kind in (dates, amounts):
        count = sum(mark.lane == kind for mark in marks)
        if count:
            drawn.append(life.Lane(kind, words.times(count)))
    return life.journey(entered, marks, drawn, text=_("The life of {deal}.", deal=name), heading=name)


def rows(review: Reading) -> Sheet:
    """The open deals behind the figures, the largest first."""
    found = _open(review)
    listed_ = tuple(
        (
            deal.name or UNKNOWN, deal.deal_id, *review.where.get(deal.deal_id, (UNKNOWN, UNKNOWN)),
            review.money(deal.amount_minor), deal.close_on.isoformat() if deal.close_on else UNKNOWN,
            deal.created_on.isoformat() if deal.created_on else UNKNOWN,
        )
        for deal in found[:MOST_ROWS]
    )  # fmt: skip
    columns = (_("Deal"), _("Id"), _("Stage"), _("There since"), _("Amount"), _("Closes"), _("Created"))
    note = _("The largest {most} are listed.", most=MOST_ROWS) if len(found) > MOST_ROWS else ""
    return Sheet(
        "rows", columns, listed_ or ((_("no such deal"), *[UNKNOWN] * 6),),
        _("Open deals as of {day}: {n}", day=day(review.as_of), n=number(len(found))), note, right=(4,), whole=(1, 3, 5, 6),
    )  # fmt: skip


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


def _open(review: Reading) -> list[Deal]:
    """The largest first."""
    return sorted(
        (d for d in review.slice.deals if d.status == "open"),
        key=lambda d: (-(d.amount_minor or 0), d.deal_id),
    )
