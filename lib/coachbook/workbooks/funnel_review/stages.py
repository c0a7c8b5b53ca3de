"""Stage by stage: what came in, moved, was lost, is there, how long it stays, and whether criteria were met."""

from __future__ import annotations

from collections.abc import Callable

from coachbook.charts import Prose, Sheet
from coachbook.facts.funnel_document import Criterion
from coachbook.metrics.funnel import Figure, Stage
from coachbook.text import UNKNOWN, _, day, number, percent, told
from coachbook.warehouse.slices import Deal
from coachbook.workbooks import wording
from coachbook.workbooks.funnel_review import words
from coachbook.workbooks.funnel_review.reading import Reading


def stages(review: Reading) -> Sheet | Prose:
    """What is in each stage, what it is worth and how long it stays, beside the period before and expectation."""
    if not review.is_recorded:
        return _open_by_stage(review)
    if not review.used:
        return Prose((_("No deal was in any stage."),))
    columns = (
        _("Stage"),
        _("Deals there"),
        _("Customers"),
        _("Open amount"),
        _("Days of a stay"),
        _("Expected"),
    )
    return Sheet(
        "stages", columns, tuple(_there(review, stage) for stage in review.used),
        _("In the stages at the end of {period}, in brackets a period before", period=review.period.label),
        told([_("Open amounts are at the rates of the period's first day. Days of a stay are working days (median, 95% interval), deals still there counted as such; n is deals."), *review.unusual_stages]),
        right=tuple(range(1, len(columns))),
    )  # fmt: skip


def _there(review: Reading, stage: Stage) -> tuple[str, ...]:
    before = review.before(stage.stage)
    there, past = stage.there, before.there if before else None
    dwell = stage.dwells[0].median if stage.dwells else None
    setting = review.company.configured.find(stage.stage)
    expected = setting.expected_working_days if setting else None
    return (
        review.title(stage.stage),
        _with(there.deals if there else None, past.deals if past else None),
        _with(there.customers if there else None, past.customers if past else None),
        _with(review.value(stage.stage), review.value(stage.stage, "previous"), review.money),
        words.stay(dwell) if dwell else UNKNOWN,
        number(expected) if expected else UNKNOWN,
    )


def moves(review: Reading) -> Sheet | Prose:
    """What came in, moved on, went back and was lost, beside the period before."""
    if not review.is_recorded:
        return Prose((review.not_recorded,))
    columns = (
        _("Stage"), _("Came in"), _("Reopened"), _("Moved on"), _("Moved on per week"), _("Skipped a stage"),
        _("Went back"), _("Lost"),
    )  # fmt: skip
    rows = tuple(_moved(review, stage) for stage in review.used)
    return Sheet(
        "moves", columns, rows or ((_("no such deal"), *[UNKNOWN] * 7),),
        _("What moved in {period}, in brackets the period before", period=review.period.label),
        _("“Moved on” counts deals that got to a later stage or were won, and per week has its 95% interval; those that left a stage out on that way skipped it."),
        right=tuple(range(1, len(columns))),
    )  # fmt: skip


def _moved(review: Reading, stage: Stage) -> tuple[str, ...]:
    before, moved = review.before(stage.stage), stage.moves
    if moved is None:
        return (review.title(stage.stage), *[UNKNOWN] * 7)
    return (
        review.title(stage.stage),
        _with(moved.came_in.deals, before.came_in if before else None),
        number(moved.reopened.deals),
        _with(moved.moved_on.deals, before.moved_on if before else None),
        _per_week(moved.per_week),
        number(moved.skipped.deals),
        number(moved.back.deals),
        _with(moved.lost.deals, before.lost if before else None),
    )


def _with(value: int | None, before: int | None, said: Callable[[int], str] = number) -> str:
    """A count, or an amount, with that of the period before in brackets."""
    if value is None:
        return UNKNOWN
    if before is None:
        return said(value)
    return _("{now} ({before})", now=said(value), before=said(before))


def _per_week(flow: Figure) -> str:
    """Deals that moved on per week; their number stands in its own column."""
    if flow.interval is None:
        return number(flow.value, 1)
    interval = words.between(flow.interval, lambda value: number(value, 1))
    return _("{value} ({interval})", value=number(flow.value, 1), interval=interval)


def _open_by_stage(review: Reading) -> Sheet:
    """All that is known of stages where nobody recorded how deals moved: where the open ones are now."""
    by_stage: dict[str, list[Deal]] = {}
    for deal in review.slice.deals:
        if deal.status == "open":
            by_stage.setdefault(review.where.get(deal.deal_id, (UNKNOWN, ""))[0], []).append(deal)
    rows = tuple(
        (stage, number(len(deals)), _sum(review, deals)) for stage, deals in sorted(by_stage.items())
    )
    return Sheet(
        "stages", (_("Stage"), _("Open deals"), _("Amount")), rows or ((_("no such deal"), "0", UNKNOWN),),
        _("Open deals by stage, as of {day}", day=day(review.as_of)),
        told([review.not_recorded, *review.unusual_stages]), right=(1, 2),
    )  # fmt: skip


def _sum(review: Reading, deals: list[Deal]) -> str:
    """Of the amounts that are known."""
    amounts = [deal.amount_minor for deal in deals if deal.amount_minor is not None]
    if not amounts:
        return UNKNOWN
    if len(amounts) == len(deals):
        return review.money(sum(amounts))
    return _("{amount} of {n} with an amount", amount=review.money(sum(amounts)), n=number(len(amounts)))


def criteria(review: Reading) -> Sheet | Prose:
    """How often the criteria of stages were met."""
    theirs = {(c.stage, c.moment, c.place): c for c in review.company.criteria}
    rows = []
    for c in review.page.criteria:
        stage = review.company.configured.find(c.stage)
        asked = (stage.entry if c.moment == "entry" else stage.exit) if stage else ()
        if c.place is None or c.place >= len(asked):
            continue
        other = theirs.get((c.stage, c.moment, c.place))
        rows.append((
            review.title(c.stage), _("on entering") if c.moment == "entry" else _("on leaving"), str(asked[c.place].text),
            number(c.visits), number(c.known), _met(c), _met_by_all(other),
        ))  # fmt: skip
    if not rows:
        return Prose((_("No stage with criteria was entered or left in the period."),))
    columns = (_("Stage"), _("When"), _("Criterion"), _("Deals"), _("Known"), _("Met"), _("Everybody"))
    return Sheet(
        "criteria", columns, tuple(rows), _("Were the criteria of the stages met?"),
        _("Met: the share of the deals of which it is known, with its 95% interval."), right=(3, 4, 5, 6),
    )  # fmt: skip


def _met(criterion: Criterion) -> str:
    share = criterion.share
    if share is None:
        return _("not captured")
    if share.interval is None:
        return _("{share} (too few deals)", share=percent(share.value))
    return _(
        "{value} ({interval})", value=percent(share.value), interval=wording.spread(share.interval, "share")
    )


def _met_by_all(criterion: Criterion | None) -> str:
    share = criterion.share if criterion else None
    return _("{value} (n = {n})", value=percent(share.value), n=number(share.n)) if share else UNKNOWN
