"""What a page says in words: whole sentences, one per case, so that each language can choose its verb."""

from __future__ import annotations

from coachbook.metrics.metric import Metric
from coachbook.metrics.registry import MAIN
from coachbook.model.findings import K_ANONYMOUS, Comparison, Direction, Finding, Interval, With
from coachbook.text import N_, UNKNOWN, _, days, money, number, percent, points, signed

NAMED: dict[tuple[str, With, Direction], str] = {
    ("win_rate_count", "peers", "better"): N_("The win rate, {value} (n = {n}), is higher than that of peers, {reference}."),
    ("win_rate_count", "peers", "worse"): N_("The win rate, {value} (n = {n}), is lower than that of peers, {reference}."),
    ("win_rate_count", "previous", "better"): N_("Against the period before, the own part of the win rate's movement is up: {own}."),
    ("win_rate_count", "previous", "worse"): N_("Against the period before, the own part of the win rate's movement is down: {own}."),
    ("win_rate_count", "year_ago", "better"): N_("Against a year ago, the own part of the win rate's movement is up: {own}."),
    ("win_rate_count", "year_ago", "worse"): N_("Against a year ago, the own part of the win rate's movement is down: {own}."),
    ("win_rate_value", "peers", "better"): N_("By value the win rate, {value} (n = {n}), is higher than that of peers, {reference}."),
    ("win_rate_value", "peers", "worse"): N_("By value the win rate, {value} (n = {n}), is lower than that of peers, {reference}."),
    ("win_rate_value", "previous", "better"): N_("By value, the own part of the win rate's movement since the period before is up: {own}."),
    ("win_rate_value", "previous", "worse"): N_("By value, the own part of the win rate's movement since the period before is down: {own}."),
    ("win_rate_value", "year_ago", "better"): N_("By value, the own part of the win rate's movement since a year ago is up: {own}."),
    ("win_rate_value", "year_ago", "worse"): N_("By value, the own part of the win rate's movement since a year ago is down: {own}."),
    ("average_deal_size", "peers", "better"): N_("Won deals are larger, {value} on average (n = {n}), than those of peers, {reference}."),
    ("average_deal_size", "peers", "worse"): N_("Won deals are smaller, {value} on average (n = {n}), than those of peers, {reference}."),
    ("average_deal_size", "previous", "better"): N_("Against the period before, won deals grew on the own part by {own}."),
    ("average_deal_size", "previous", "worse"): N_("Against the period before, won deals shrank on the own part: {own}."),
    ("average_deal_size", "year_ago", "better"): N_("Against a year ago, won deals grew on the own part by {own}."),
    ("average_deal_size", "year_ago", "worse"): N_("Against a year ago, won deals shrank on the own part: {own}."),
    ("cycle_days", "peers", "better"): N_("The sales cycle, {value} (n = {n}), is shorter than that of peers, {reference}."),
    ("cycle_days", "peers", "worse"): N_("The sales cycle, {value} (n = {n}), is longer than that of peers, {reference}."),
    ("cycle_days", "previous", "better"): N_("Against the period before, the sales cycle shortened on the own part: {own}."),
    ("cycle_days", "previous", "worse"): N_("Against the period before, the sales cycle lengthened on the own part: {own}."),
    ("cycle_days", "year_ago", "better"): N_("Against a year ago, the sales cycle shortened on the own part: {own}."),
    ("cycle_days", "year_ago", "worse"): N_("Against a year ago, the sales cycle lengthened on the own part: {own}."),
}  # fmt: skip

COMPARED = {
    "previous": N_("the period before"),
    "year_ago": N_("a year ago"),
    "peers": N_("peers"),
}


def metric_of(finding: Finding) -> Metric:
    """The registered definition behind a finding."""
    return MAIN[finding.metric]


def figure(value: float | None, unit: str) -> str:
    """A value in its unit: share, days, deals, or a currency code for minor units."""
    if value is None:
        return UNKNOWN
    if unit == "share":
        return percent(value)
    if unit == "days":
        return days(value)
    if unit == "deals":
        return number(value, 0 if float(value).is_integer() else 1)
    return money(value, unit, compact=True)


def change(value: float | None, unit: str) -> str:
    """A difference in its unit, signed; of shares in percentage points."""
    if value is None:
        return UNKNOWN
    return points(value) if unit == "share" else signed(figure(value, unit), value)


def spread(interval: Interval | None, unit: str) -> str:
    """An interval in its unit."""
    if interval is None:
        return UNKNOWN
    if unit == "days":
        return _("{low} to {high} days", low=number(interval.low), high=number(interval.high))
    return _("{low} to {high}", low=figure(interval.low, unit), high=figure(interval.high, unit))


def change_spread(interval: Interval | None, unit: str) -> str:
    """An interval of a difference in its unit."""
    if interval is None:
        return UNKNOWN
    if unit == "share":
        low, high = (signed(number(v * 100), v) for v in (interval.low, interval.high))
        return _("{low} to {high} pp", low=low, high=high)
    if unit == "days":
        low, high = (signed(number(v), v) for v in (interval.low, interval.high))
        return _("{low} to {high} days", low=low, high=high)
    return _("{low} to {high}", low=change(interval.low, unit), high=change(interval.high, unit))


def named(finding: Finding, against: With, direction: Direction) -> str:
    """The sentence of something singled out."""
    comparison = finding.against(against)
    assert comparison is not None
    own = comparison.split
    return _(
        NAMED[finding.metric, against, direction],
        value=figure(finding.value, finding.unit),
        n=finding.n,
        reference=figure(comparison.value, finding.unit),
        own=f"{change(own.own, finding.unit)} ({change_spread(own.interval, finding.unit)})"
        if own
        else UNKNOWN,
    )


def clear(finding: Finding, *, called: bool) -> str:
    """A difference that is clear of zero and worth acting on; only what is called out holds up among all looks."""
    if called:
        return _("yes, more than chance")
    if MAIN[finding.metric].singled_out:
        return _("clear of zero, but not once all looks are counted")
    return _("clear of zero; a volume follows the portfolio as well")


def verdict(finding: Finding, comparison: Comparison, *, called: bool) -> str:
    """A verdict in words; where the data cannot tell, the n that would be needed."""
    if comparison.verdict is True:
        return clear(finding, called=called)
    if comparison.verdict is False:
        return _("no difference worth acting on")
    if comparison.difference is None:
        return _("no comparison: {reason}", reason=reason(finding, comparison))
    if comparison.n_needed is None:
        return (
            _("cannot tell: {reason}", reason=reason(finding, comparison))
            if comparison.reason
            else _("cannot tell")
        )
    if comparison.n_needed > 9999:
        return _("cannot tell (more than 9,999 deals needed)")
    return _("cannot tell (about {n} deals needed)", n=number(comparison.n_needed))


def reason(finding: Finding, comparison: Comparison) -> str:
    """Why a comparison cannot be made, or judged; its n is that of the smaller side."""
    if not comparison.reason:
        return ""
    n = min(finding.n, comparison.n)
    return _(comparison.reason, n=n, needs=comparison.n_needed or 0, k=K_ANONYMOUS)


def text(finding: Finding) -> str:
    """The finding as one sentence."""
    title = _(metric_of(finding).title)
    if finding.value is None:
        return _(
            "{title}: not known, {reason}.", title=title, reason=_(finding.reason, **finding.reason_values)
        )
    if finding.interval is None:
        return _(
            "{title}: {value} (n = {n}; {reason}).",
            title=title, value=figure(finding.value, finding.unit), n=finding.n,
            reason=_(finding.reason, **finding.reason_values),
        )  # fmt: skip
    return _(
        "{title}: {value} (n = {n}; 95% interval {interval}).",
        title=title, value=figure(finding.value, finding.unit), n=finding.n,
        interval=spread(finding.interval, finding.unit),
    )  # fmt: skip
