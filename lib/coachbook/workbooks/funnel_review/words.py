"""What a funnel review says in words: one whole message per case."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from coachbook.cleanup import Kind as DecisionKind
from coachbook.cleanup.candidates import Why
from coachbook.cleanup.outcomes import State
from coachbook.metrics import changes
from coachbook.metrics.bottleneck import AtStage, Decision, NamedStage
from coachbook.metrics.changes import Kind
from coachbook.metrics.funnel import Figure
from coachbook.metrics.risk import HORIZON_DAYS, PUSHES, QUIET_DAYS, Flag
from coachbook.metrics.slippage import Outcome
from coachbook.metrics.whatif import Target
from coachbook.model.findings import Direction, Finding, Interval, With
from coachbook.model.quality import Sentence
from coachbook.text import N_, UNKNOWN, _, listed, money, number, percent, points
from coachbook.workbooks import wording

MOST_NEEDED = 9999
"""Beyond that, how many deals would be needed is not told to the last."""

NAMED: Mapping[tuple[With, Direction], str] = {
    ("peers", "worse"): N_("At the stage {stage}, {value} of {n} deals got on within {days} working days, fewer than of peers' deals, {reference}."),
    ("peers", "better"): N_("At the stage {stage}, {value} of {n} deals got on within {days} working days, more than of peers' deals, {reference}."),
    ("expected", "worse"): N_("At the stage {stage}, {value} of {n} deals got on within {days} working days, fewer than the {reference} that are expected."),
    ("expected", "better"): N_("At the stage {stage}, {value} of {n} deals got on within {days} working days, more than the {reference} that are expected."),
}  # fmt: skip
DECISIONS: Mapping[Decision | None, str] = {
    "coach": N_("coach the rep"),
    "fix": N_("fix process, price or resources"),
    "wait": N_("wait"),
    None: N_("nothing to act on"),
}
KINDS: Mapping[Kind, str] = {
    "new": N_("new"),
    "arrived": N_("taken over"),
    "reopened": N_("reopened"),
    "won": N_("won"),
    "lost": N_("lost"),
    "deleted": N_("deleted"),
    "left": N_("handed over"),
    "moved": N_("moved to another stage"),
    "pushed": N_("pushed to a later date"),
    "pulled": N_("pulled to an earlier date"),
    "grown": N_("grown"),
    "shrunk": N_("shrunk"),
    "quiet": N_("quiet for {quiet} days or more"),
}
FLAGS: Mapping[Flag, str] = {
    "overdue": N_("the close date has passed"),
    "pushed": N_("pushed {pushes} times or more"),
    "quiet": N_("nothing done or changed for {quiet} days"),
    "slow": N_("longer in its stage than four of five deals that were won"),
}
FLOWS: Mapping[str, str] = {
    "created": N_("created"),
    "pulled_in": N_("pulled in from later"),
    "pushed_in": N_("pushed in from earlier"),
    "dated_in": N_("got a date"),
    "reopened": N_("reopened"),
    "transferred_in": N_("taken over"),
    "increases": N_("increases"),
    "decreases": N_("decreases"),
    "won": N_("won"),
    "lost": N_("lost"),
    "pushed_out": N_("pushed out to later"),
    "pulled_out": N_("pulled out to earlier"),
    "dated_out": N_("lost its date"),
    "transferred_out": N_("handed over"),
    "deleted": N_("deleted or merged"),
}
OUTCOMES: Mapping[Outcome, str] = {
    "won": N_("won"),
    "lost": N_("lost"),
    "deleted": N_("deleted or merged"),
    "slipped": N_("put off beyond the period"),
    "overdue": N_("still open, its date passed"),
    "due": N_("still to come"),
}


TARGETS: Mapping[Target, str] = {
    "expected": N_("as expected"),
    "peers": N_("as with peers"),
    "points": N_("five points more"),
}
PROCESS: Mapping[str, tuple[str, str]] = {
    "new_leads": (N_("New leads"), "count"),
    "conversion": (N_("Lead conversion"), "share"),
    "effective_visits": (N_("Effective visits"), "count"),
    "proposals": (N_("Proposals sent"), "count"),
    "follow_up": (N_("Follow-ups per open deal and week"), "times"),
}
"""Figures of a process, in which unit."""
VELOCITY: Mapping[str, str] = {
    "per_day": N_("Sales velocity, per day"),
    "won_per_day": N_("Won amount, per day"),
}
ENOUGH: Mapping[bool | None, str] = {
    True: N_("enough"), False: N_("not enough"), None: N_("cannot tell whether enough")
}  # fmt: skip
WHOSE: Mapping[str, str] = {
    "rep": N_("of one's own"),
    "team": N_("of the team"),
    "org": N_("of the company"),
}
WHY: Mapping[Why, str] = {
    "overdue": N_("the close date has passed"),
    "quiet": N_("quiet for {quiet} days or more"),
    "no_next_step": N_("no next step"),
}
STATES: Mapping[State, str] = {"done": N_("done"), "not_done": N_("not done"), "overtaken": N_("overtaken")}
STATUSES = {"open": N_("open"), "won": N_("won"), "lost": N_("lost"), "deleted": N_("deleted")}
DECIDED: Mapping[DecisionKind, str] = {
    "dead": N_("given up as lost"),
    "close_on": N_("close date: {value}"),
    "amount": N_("amount: {value}"),
    "next_step": N_("next step: {value}"),
    "keep": N_("stays as it is"),
}
COUNTED = N_("a count follows the portfolio as well: it is not tested")
METRICS: Mapping[str, str] = {
    "stage_conversion": N_("Deals that got on from {stage}"),
    "stage_deals": N_("Deals in {stage}"),
    "stage_customers": N_("Customers in {stage}"),
    "stage_value": N_("Open amount in {stage}"),
    "stage_flow": N_("Deals that moved on from {stage} per week"),
    "stage_dwell": N_("Working days of a stay in {stage}, median"),
}


def text(finding: Finding, stage: str) -> str:
    """The finding as one sentence."""
    title = _(METRICS[finding.metric], stage=stage)
    reason = str(Sentence(finding.reason, finding.reason_values)) if finding.reason else ""
    if finding.value is None:
        return _("{title}: not known, {reason}.", title=title, reason=reason)
    if finding.metric == "stage_value":
        value = money(int(finding.value), finding.unit, compact=True)
    elif finding.unit == "share":
        value = percent(finding.value)
    else:
        value = number(finding.value, 0 if float(finding.value).is_integer() else 1)
    if finding.interval is None:
        return _(
            "{title}: {value} (n = {n}; {reason}).", title=title, value=value, n=finding.n, reason=reason
        )
    interval = (
        wording.spread(finding.interval, "share")
        if finding.unit == "share"
        else between(finding.interval, lambda value: number(value, 1))
    )
    return _(
        "{title}: {value} (n = {n}; 95% interval {interval}).",
        title=title,
        value=value,
        n=finding.n,
        interval=interval,
    )


def others(at: AtStage) -> dict[str, str]:
    """Of all others' deals at the stage in the window the share that got on (`value`), how many there are (`n`), and what is expected."""
    peers = at.pooled.against("peers")
    assert peers is not None
    return {"value": percent(peers.value), "n": number(peers.n), "expected": percent(at.others.value)}


def stay(median: Figure) -> str:
    """A median stay with its interval and n."""
    if median.value is None:
        return str(median.reason) if median.reason else UNKNOWN
    values = {"median": number(median.value), "n": number(median.n)}
    if median.interval is None:
        return _("{median} (n = {n})", **values)
    return _("{median} ({interval}; n = {n})", **values, interval=between(median.interval, number))


def between(interval: Interval, said: Callable[[float], str]) -> str:
    """An interval, which may be open above."""
    if interval.high == float("inf"):
        return _("{low} or more", low=said(interval.low))
    return _("{low} to {high}", low=said(interval.low), high=said(interval.high))


def named(found: NamedStage, stage: str, finding: Finding, *, days: int) -> str:
    """The sentence of a stage that is singled out; `finding` is that of the pooled window, `stage` its title."""
    beside = finding.against(found.against)
    assert beside is not None
    return _(
        NAMED[found.against, found.direction], stage=stage, value=percent(finding.value), n=number(finding.n),
        days=days, reference=percent(beside.value),
    )  # fmt: skip


def verdict(at: AtStage, *, is_team: bool) -> str:
    """Whose matter a stage is; where the data cannot tell, what it would take."""
    if at.decision == "coach" and is_team:
        return _("talk with the team")
    if at.decision != "wait" or at.reason is None:
        return _(DECISIONS[at.decision])
    if at.n_needed is not None and at.n_needed > MOST_NEEDED:
        return _("cannot tell: takes more than 9,999 deals at this stage")
    return str(at.reason)


def own_part(at: AtStage) -> str:
    """What of the movement since the period before is the rep's own, with its interval."""
    before = at.now.against("previous")
    if before is None or before.split is None:
        return _("not known")
    own = points(before.split.own)
    if before.split.interval is None:
        return _("{own} (too few deals)", own=own)
    return _("{own} ({interval})", own=own, interval=wording.change_spread(before.split.interval, "share"))


def flag(which: Flag) -> str:
    """What a flag means."""
    return _(FLAGS[which], pushes=PUSHES, quiet=QUIET_DAYS)


def record(which: Flag, won: int, n: int, without_won: int, without_n: int) -> str:
    """What became of deals that wore a flag."""
    return _(
        "“{flag}”: of {n} such deals {share} were won within {days} days, of {without_n} others {without}.",
        flag=flag(which), n=number(n), share=percent(won / n), days=HORIZON_DAYS, without_n=number(without_n),
        without=percent(without_won / without_n),
    )  # fmt: skip


def kinds(of: tuple[Kind, ...]) -> str:
    """What happened to a deal."""
    return listed([_(KINDS[kind], quiet=changes.QUIET_DAYS) for kind in of])


def why(of: tuple[Why, ...]) -> str:
    """Why a deal is to be decided about."""
    return listed([_(WHY[each], quiet=QUIET_DAYS) for each in of])


def deals(count: int) -> str:
    """So many deals."""
    return _("1 deal") if count == 1 else _("{n} deals", n=number(count))


def times(count: int) -> str:
    """So many times."""
    return _("once") if count == 1 else _("{n} times", n=number(count))


def decision(kind: DecisionKind, value: str, currency: str) -> str:
    """What was decided about a deal."""
    return _(DECIDED[kind], value=_value(kind, value, currency))


def holds(kind: DecisionKind, now: str | None, currency: str) -> str:
    """What the field holds by now; of a deal that was given up, its status."""
    if now is None:
        return UNKNOWN
    return _(STATUSES[now]) if kind == "dead" and now in STATUSES else _value(kind, now, currency)


def _value(kind: DecisionKind, value: str, currency: str) -> str:
    return money(int(value), currency) if kind == "amount" else value
