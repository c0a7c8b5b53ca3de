"""What a funnel review says in sentences: what everybody did, what this rep or team did, and what nobody can tell."""

from __future__ import annotations

from coachbook.charts import Prose
from coachbook.metrics.bridge import FLOWS
from coachbook.text import _, day, listed, number, told
from coachbook.workbooks.funnel_review import words
from coachbook.workbooks.funnel_review.reading import Reading


def everybody(review: Reading) -> Prose:
    """The first thing a page says: the company's plain figures."""
    if not review.is_recorded:
        return Prose((review.no_history,), lead=True)
    return Prose((_company_came(review), _company_sticks(review)), lead=True)


def _company_came(review: Reading) -> str:
    now, before = review.company.created, review.company.created_before
    if now is None:
        return _("Too few people for a figure of the whole company that would not show a colleague's.")
    values = {"period": review.period.label, "created": number(now[0]), "won": number(now[-1])}
    if before and review.page.partial:
        return _(
            "In {period}, {created} deals came into the whole company's funnel so far, after {before} in as many days of {previous}; {won} of them are won by now.",
            **values, before=number(before[0]), previous=review.period.previous.label,
        )  # fmt: skip
    if before is None:
        return _(
            "In {period}, {created} deals came into the whole company's funnel; {won} of them are won by now.",
            **values,
        )
    return _(
        "In {period}, {created} deals came into the whole company's funnel, after {before} in {previous}; {won} of them are won by now.",
        **values, before=number(before[0]), previous=review.period.previous.label,
    )  # fmt: skip


def _company_sticks(review: Reading) -> str:
    """From what all others do beside what is expected."""
    if review.company.terms.outside:
        return _(
            "Deals are in stages that are not configured: whether everybody sticks somewhere cannot be told."
        )
    judged = [at for at in review.page.places if at.others.difference is not None]
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
            "{stage} ({value}, n = {n}, expected {expected})",
            stage=review.title(at.stage),
            **words.others(at),
        )
        for at in short
    ]
    return _(
        "Against what is expected, all others together fall short at: {stages}. What sticks everywhere is not one person's doing.",
        stages=listed(said),
    )


def sentences(review: Reading) -> Prose:
    """Three plain sentences, made from figures, verdicts and `named` alone."""
    return Prose((_what_happened(review), _whose_matter(review), _what_became(review)), kind="list")


def _what_happened(review: Reading) -> str:
    """From the bridge of all open deals: it does not depend on what is recorded of stages."""
    bridge = review.page.bridge_of_all
    created, won, lost = (number(bridge.flows[flow].count) for flow in ("created", "won", "lost"))
    if review.page.partial:
        return _(
            "{name}, deals in {period} so far: {created} created, {won} won, {lost} lost; {open} open by now.",
            name=review.name, period=review.period.label, created=created, won=won, lost=lost, open=number(bridge.end.count),
        )  # fmt: skip
    return _(
        "{name}, deals in {period}: {created} created, {won} won, {lost} lost; {open} open at its end.",
        name=review.name, period=review.period.label, created=created, won=won, lost=lost, open=number(bridge.end.count),
    )  # fmt: skip


def _whose_matter(review: Reading) -> str:
    """Coach the rep, fix the process, or wait."""
    by = {what: [at for at in review.page.places if at.decision == what] for what in ("coach", "fix", "wait")}
    if by["coach"]:
        said = [
            words.named(n, review.title(at.stage), at.pooled, days=review.company.terms.onward_days)
            for at in by["coach"]
            for n in at.named
            if n.against == "peers"
        ]
        return told(
            [
                *said,
                _("That is more than chance: worth a conversation, coach the rep.")
                if not review.is_team
                else _("That is more than chance: worth a conversation in this team."),
            ]
        )
    if by["fix"]:
        return _(
            "Where deals stick, they stick for everybody ({stages}): fix process, price or resources before coaching anybody.",
            stages=listed([review.title(at.stage) for at in by["fix"]]),
        )
    if by["wait"]:
        nearest = min(by["wait"], key=lambda at: at.n_needed or words.MOST_NEEDED + 1)
        if nearest.n_needed is None or nearest.n_needed > words.MOST_NEEDED:
            return _("No stage can be called a bottleneck: these data cannot tell. Wait.")
        return _(
            "No stage can be called a bottleneck. The nearest to a verdict is {stage}: {n} deals so far, about {needed} needed. Wait.",
            stage=review.title(nearest.stage), n=number(nearest.pooled.n), needed=number(nearest.n_needed),
        )  # fmt: skip
    if not review.page.places:
        return _("Without a history of stages nothing can be said about where deals stick.")
    return _("Beside peers and expectation no stage asks for anything to be done.")


def _what_became(review: Reading) -> str:
    bridge = review.page.bridge
    moved = sorted(
        (name for name in FLOWS if bridge.flows[name].minor),
        key=lambda name: -abs(bridge.flows[name].minor),
    )[:3]
    values = {
        "period": review.period.label,
        "start": review.amount(bridge.start),
        "end": review.amount(bridge.end),
    }
    if not moved:
        return _("The pipeline due in {period} began with {start} and ends with {end}.", **values)
    return _(
        "The pipeline due in {period} began with {start} and ends with {end}; what moved it most: {flows}.",
        **values,
        flows=listed([_("{flow} {amount}", flow=_(words.FLOWS[name]), amount=review.flow(bridge, name)) for name in moved]),
    )  # fmt: skip


def limits(review: Reading) -> Prose:
    """What these data cannot tell."""
    said = [_("The data are as of {as_of}; nothing known later is used.", as_of=day(review.as_of))]
    if review.page.partial:
        said.append(_("The period is still running: it is compared with as many days of the earlier ones."))
    if not review.is_recorded:
        said.append(review.no_history)
    elif review.page.since and review.page.since > review.period.span.first:
        said.append(
            _(
                "The history of stages begins on {day}: of the period, only the days since then are counted.",
                day=day(review.page.since),
            )
        )
    said += [
        *review.unusual_stages,
        _("Peers are all other reps on the roster in the period, whatever their territory or products: a difference goes with the person's portfolio as much as with the person."),
        _("What is expected of a stage is what the workspace says, not a law: change it in coachbook.toml under [[stages]]."),
        _("A deal counts for whoever had it at the end of the day on which something happened to it."),
    ]  # fmt: skip
    if pooled := review.company.terms.pooled:
        said.append(
            _(
                "Whether a deal got on is asked {days} working days after it came to a stage: the deals behind a verdict came from {first} to {last}.",
                days=review.company.terms.onward_days, first=day(pooled.first), last=day(pooled.last),
            )
        )  # fmt: skip
    if review.page.bridge.unvalued:
        said.append(
            _(
                "{n} deals have no amount, or none that can be converted, and count 0 in the bridge.",
                n=number(review.page.bridge.unvalued),
            )
        )
    return Prose(tuple(said), kind="list")
