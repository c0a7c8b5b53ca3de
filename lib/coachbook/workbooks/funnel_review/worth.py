"""What goes in, what the pipeline brings, and what improving one stage would be worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean, stdev

from coachbook.charts import Prose, Sheet
from coachbook.metrics.coverage import Coverage
from coachbook.metrics.funnel import Figure
from coachbook.metrics.whatif import POINTS, Shares, Size, WhatIf
from coachbook.metrics.whatif import what_if as improved
from coachbook.model.periods import Period
from coachbook.text import UNKNOWN, _, days, money, number, percent, signed, told
from coachbook.workbooks.funnel_review import words
from coachbook.workbooks.funnel_review.reading import Reading


def effort(review: Reading) -> Sheet:
    """What goes in (visits, proposals, follow-up, leads), and what the pipeline is worth: velocity and coverage."""
    now, before = review.page.process, review.page.process_before
    lines = [
        *(
            (title, getattr(now, name), getattr(before, name) if before else None, unit)
            for name, (title, unit) in words.PROCESS.items()
            if now
        ),
        *(
            (title, getattr(review.page.velocity, name), None, review.currency)
            for name, title in words.VELOCITY.items()
            if review.page.velocity
        ),
    ]
    rows = [_effort_row(_(title), figure, past, unit) for title, figure, past, unit in lines]
    if review.page.coverage:
        rows.append(_coverage_row(review, review.page.coverage))
    columns = (_("Figure"), _("Value"), _("n"), _("95% interval"), _("Before"))
    return Sheet(
        "effort", columns, tuple(rows) or ((_("nobody was on the roster"), *[UNKNOWN] * 4),),
        _("What goes in, and what the pipeline brings"), _effort_note(review), right=(1, 2, 3, 4),
    )  # fmt: skip


def _effort_row(title: str, figure: Figure, past: Figure | None, unit: str) -> tuple[str, ...]:
    why = str(figure.reason) if figure.reason else UNKNOWN
    spread = words.between(figure.interval, lambda value: _said(value, unit)) if figure.interval else why
    before = _said(past.value, unit) if past else UNKNOWN
    return title, _said(figure.value, unit), number(figure.n), spread, before


def _said(value: float | None, unit: str) -> str:
    """In a unit of `words.PROCESS`, or a currency."""
    if unit == "share":
        return percent(value)
    if unit in ("times", "count"):
        return number(value, 1 if unit == "times" else 0)
    return money(value, unit)


def _coverage_row(review: Reading, found: Coverage) -> tuple[str, ...]:
    title = _(
        "Coverage of {period}, in times",
        period=Period.parse(review.company.terms.covered, review.period.fiscal).label,
    )
    why = str(found.reason) if found.times is None and found.reason else _needed(found)
    return title, number(found.times, 1), number(found.pipeline.count), why, UNKNOWN


def _needed(found: Coverage) -> str:
    """How much is needed, whose earlier pipelines say so, and whether there is enough."""
    needed = found.needed
    if needed.interval is None or needed.times is None:
        return str(needed.reason) if needed.reason else UNKNOWN
    return _(
        "{verdict}; needed: {times} ({interval}), from {n} deals {whose}",
        verdict=_(words.ENOUGH[found.is_enough]),
        times=number(needed.times, 1),
        interval=words.between(needed.interval, lambda value: number(value, 1)),
        n=number(needed.n),
        whose=_(words.WHOSE[needed.of]),
    )


def _effort_note(review: Reading) -> str:
    said = [
        _(
            "An effective visit was held, has an outcome and a contact, and took its time; one counts per customer and day. Lead conversion is of the leads whose {days} days ended in the period.",
            days=review.company.terms.lead_days,
        )
    ]
    speed = review.page.velocity
    if speed and speed.per_day.interval:
        said.append(
            _(
                "Sales velocity = open deals {deals} × win rate {rate} × average won deal {size} / cycle {cycle}, of the deals of the period; a cycle a fifth shorter would be a quarter more.",
                deals=number(speed.open_deals, 1), rate=percent(speed.win_rate), size=review.money(round(speed.size or 0)),
                cycle=days(speed.cycle),
            )
        )  # fmt: skip
    return told(said)


def what_if(review: Reading) -> Sheet | Prose:
    """What improving one stage would be worth, all else unchanged."""
    found = [
        each
        for each in improvements(review)
        if each.conversion is not None
        and each.to is not None
        and each.to > each.conversion
        and (each.target != "points" or each.conversion + POINTS <= 1)
    ]
    if not review.page.places:
        return Prose((review.not_recorded,))
    if review.company.terms.outside:
        return Prose(
            (
                _(
                    "Deals are in stages that are not configured: what improving one would be worth cannot be told."
                ),
            )
        )
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
            review.title(each.stage), _("{value} (n = {n})", value=percent(each.conversion), n=number(each.n)),
            _("{share} ({target})", share=percent(each.to), target=_(words.TARGETS[each.target])),
            _gain(each.more, lambda value: signed(number(value, 1), value)),
            _gain(each.more_minor, lambda value: signed(review.money(round(value)), value)),
        )
        for each in found
    )  # fmt: skip
    return Sheet(
        "what-if", columns, rows, _("What improving one stage would be worth"),
        _("All else as before: as many deals come in, and of those that get beyond the stage the same share is won. It says what would go with it, not that it can be done."),
        right=(1, 2, 3, 4),
    )  # fmt: skip


def _gain(figure: Figure, said: Callable[[float], str]) -> str:
    if figure.value is None:
        return str(figure.reason) if figure.reason else UNKNOWN
    if figure.interval is None:
        return _("{value} (cannot tell)", value=said(figure.value))
    return _("{value} ({interval})", value=said(figure.value), interval=words.between(figure.interval, said))


def improvements(review: Reading) -> tuple[WhatIf, ...]:
    """Every stage with every target, per month."""
    places = review.page.places
    if not places:
        return ()
    chances = {chance.stage: chance for chance in review.page.chances}
    after = [chances.get(at.stage) for at in places[1:]]
    peers = [at.pooled.against("peers") for at in places]
    hoped = [at.pooled.against("expected") for at in places]
    return improved(
        [at.stage for at in places],
        entered=[at.pooled.n for at in places],
        periods=review.company.terms.months or 1.0,
        conversion=Shares(_values([at.pooled.value for at in places]), [at.pooled.n for at in places]),
        chance=Shares(
            [*_values([c.won if c else None for c in after]), 1.0],
            [*(c.n if c else 0 for c in after), float("inf")],
        ),
        size=won_size(review),
        targets={
            "expected": Shares.given(_values([c.value if c else None for c in hoped])),
            "peers": Shares(_values([c.value if c else None for c in peers]), [c.n if c else 0 for c in peers]),
        },
    )  # fmt: skip


def won_size(review: Reading) -> Size | None:
    """The average deal won in the window, with its standard error; as in velocity, no amount counts 0."""
    window = review.company.terms.window
    won = [
        d.amount_minor or 0
        for d in review.slice.deals
        if d.status == "won" and d.close_on and window.first <= d.close_on < window.after
    ]
    return Size(mean(won), stdev(won) / len(won) ** 0.5, len(won)) if len(won) > 1 else None


def _values(shares: Sequence[float | None]) -> list[float]:
    return [float("nan") if share is None else share for share in shares]
