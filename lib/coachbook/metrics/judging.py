"""From sides of three spans to findings: differences, their split into company, team and own, verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import special

from coachbook.metrics.metric import Metric
from coachbook.model.findings import (
    FDR,
    K_ANONYMOUS,
    LEVEL,
    Comparison,
    Finding,
    Interval,
    Named,
    Split,
    Verdict,
    With,
)
from coachbook.stats.intervals import Floats, percentiles
from coachbook.stats.multiplicity import discoveries
from coachbook.stats.sides import Flags, Ints, Side, Sides, p_value, standard_error
from coachbook.text import N_

POWER = 0.8
MOST_NEEDED = 1_000_000
"""No more is ever said to be needed."""
NOT_ENOUGH = N_("not enough data (n = {n}, needs {needs})")
NO_PEERS = N_("fewer than {k} other people have such deals")
NO_REFERENCE = N_("no such deals then")
BEFORE_DATA = N_("the data do not reach back that far")
SHARED_CUSTOMERS = N_("reps share customers, so the figure of many is another quantity than that of one")
NO_HISTORY = N_("the data hold no earlier state")


@dataclass(frozen=True)
class Worth:
    """The smallest difference worth acting on: `share` absolute, `relative` to the reference otherwise."""

    share: float
    relative: float

    def of(self, metric: Metric, reference: Floats) -> Floats:
        """In the metric's unit, per entity."""
        return (
            np.full(len(reference), self.share)
            if metric.unit == "share"
            else np.abs(reference) * self.relative
        )


@dataclass(frozen=True)
class Judged:
    """Differences with what can be said of them, one per entity."""

    estimate: Floats
    low: Floats
    high: Floats
    verdict: list[Verdict]
    n_needed: list[int | None]
    p: Floats

    def interval(self, e: int) -> Interval | None:
        """The interval of one entity's difference."""
        return None if np.isnan(self.low[e]) else Interval(float(self.low[e]), float(self.high[e]))


@dataclass(frozen=True)
class Look:
    """One test of a page: what might be singled out if it holds up among all looks."""

    named: Named
    p: float
    stands: bool


@dataclass
class Pages:
    """Findings and looks gathered per entity, metric by metric."""

    findings: list[list[Finding]] = field(default_factory=list)
    looks: list[list[Look]] = field(default_factory=list)

    def named(self, e: int) -> list[Named]:
        """What entity `e`'s page may single out: the false discovery rate is held over all its looks."""
        looks = self.looks[e]
        held = discoveries(np.array([look.p for look in looks]), FDR)
        return [look.named for look, holds in zip(looks, held, strict=True) if holds and look.stands]


def judge(estimate: Floats, draws: Floats, n: Floats, worth: Floats, enough: Flags) -> Judged:
    """Interval and verdict of each difference; where `enough` is 0 the data are too few to say."""
    said = enough & ~np.isnan(estimate)
    low, high = np.full((2, len(estimate)), np.nan)
    low[said], high[said] = percentiles(draws[said], n[said], LEVEL)
    moved = (low > 0) | (high < 0)
    small = (low >= -worth) & (high <= worth)
    acting = np.abs(estimate) >= worth
    verdict: list[Verdict] = [
        True if m and a and s else False if k and s else None
        for m, a, k, s in zip(moved, acting, small, said, strict=True)
    ]
    needed = _n_needed(np.abs(estimate), standard_error(draws), n, worth)
    n_needed = [
        int(k) if v is None and np.isfinite(k) else None for k, v in zip(needed, verdict, strict=True)
    ]
    p = np.where(said, p_value(estimate, draws, n), np.nan)
    return Judged(estimate, low, high, verdict, n_needed, p)


def _n_needed(size: Floats, spread: Floats, n: Floats, worth: Floats) -> Floats:
    """The n at which the verdict would fall if the difference stayed what it is.

    A difference worth acting on must clear 0 (with `POWER`); a smaller one must lie within what is not.
    """
    z, power = special.ndtri((1 + LEVEL) / 2), special.ndtri(POWER)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(size >= worth, (z + power) * spread / size, z * spread / (worth - size))
        needed: Floats = np.ceil(n * ratio**2)
    # Where the draws are skewed the approximation may fall below the n that was not enough; where a
    # difference is just worth acting on, no n tells, and the number grows without end.
    return np.minimum(np.maximum(needed, n + 1), MOST_NEEDED)


def add_metric(
    pages: Pages, metric: Metric, unit: str, spans: Mapping[str, Sides], worth: Worth, *,
    reasons: Mapping[With, str], compared: Flags,
) -> None:  # fmt: skip
    """Append the metric's finding to every entity's page, and its looks.

    `spans` holds `now` and, where the data reach, `previous` and `year_ago`; `reasons` says why one is
    missing. `compared` is False for entities without any deal: they are compared with nobody.
    """
    now = spans["now"]
    gathered: list[tuple[With, list[Comparison], list[Look | None]]] = []
    for against in ("previous", "year_ago"):
        then = spans.get(against)
        if then is None:
            missing = [_missing(against, reasons[against])] * len(compared)
            gathered.append((against, missing, [None] * len(compared)))
        else:
            gathered.append((against, *_movement(metric, against, now, then, worth)))
    gathered.append(("peers", *_peers(metric, now, worth)))
    for e, page in enumerate(pages.findings):
        comparisons = tuple(in_unit(c[e], metric) for _a, c, _looks in gathered) if compared[e] else ()
        page.append(_finding(metric, unit, now, e, comparisons))
        if metric.singled_out and compared[e]:
            pages.looks[e].extend(look for _a, _c, looks in gathered if (look := looks[e]))


def _finding(metric: Metric, unit: str, now: Sides, e: int, comparisons: tuple[Comparison, ...]) -> Finding:
    value, n = now.own.value[e], int(now.own.n[e])
    interval = Interval(float(now.low[e]), float(now.high[e]))
    has_interval = n >= metric.smallest_n and not np.isnan(now.low[e])
    return Finding(
        id=f"{metric.id}:{metric.variant}",
        metric=metric.id,
        variant=metric.variant,
        value=None if np.isnan(value) else float(value) if metric.unit in {"share", "days"} else round(value),
        unit=unit,
        n=n,
        interval=(_whole(interval) if metric.unit == "money" else interval) if has_interval else None,
        comparisons=comparisons,
        reason="" if has_interval else NOT_ENOUGH,
        reason_values={} if has_interval else {"n": n, "needs": metric.smallest_n},
    )


def _movement(
    metric: Metric, against: With, now: Sides, then: Sides, worth: Worth
) -> tuple[list[Comparison], list[Look | None]]:
    """Now against an earlier span: difference, and company + team + own."""
    n = np.minimum(now.own.n, then.own.n).astype(float)
    enough = n >= metric.smallest_n
    whole = judge(
        now.own.value - then.own.value, now.own.draws - then.own.draws, n, worth.of(metric, then.own.value), enough
    )  # fmt: skip
    company_known = _many(now.others.people) & _many(then.others.people)
    team_known = company_known & _separable(now) & _separable(then)
    reference = [_chosen(team_known, s.team, s.others) for s in (now, then)]
    own_part = _own_part(metric, now.own, then.own, *reference)
    acting = worth.of(metric, then.own.value)
    own = judge(*own_part, n, acting, enough & company_known & metric.pools)
    others = np.minimum(now.others.n, then.others.n)
    company_part = _company_part(metric, then.own, now.others, then.others)
    company = judge(
        *company_part, others.astype(float), acting, company_known & (others >= metric.smallest_n)
    )
    comparisons: list[Comparison] = []
    looks: list[Look | None] = []
    for e in range(len(n)):
        split: Split | None = None
        moved, all_moved, own_moved = (float(j.estimate[e]) for j in (whole, company, own))
        if company_known[e] and not np.isnan([all_moved, own_moved]).any():
            team = moved - all_moved - own_moved if team_known[e] else None
            split = Split(
                all_moved, team, own_moved, own.interval(e), own.verdict[e], company.verdict[e]
            )  # fmt: skip
        comparisons.append(
            _comparison(metric, against, whole, e, then.own.value[e], int(then.own.n[e]), split, now)
        )
        looks.append(_look(metric, against, own, e) if split else None)
    return comparisons, looks


def _own_part(metric: Metric, r1: Side, r0: Side, t1: Side, t0: Side) -> tuple[Floats, Floats]:
    """What is left of the movement once the reference's is taken out, with its draws."""
    if not metric.additive:
        return (r1.value - r0.value) - (t1.value - t0.value), (r1.draws - r0.draws) - (t1.draws - t0.draws)
    return r1.value - r0.value * _factor(t1.value, t0.value), r1.draws - r0.draws * _factor(
        t1.draws, t0.draws
    )


def _company_part(metric: Metric, r0: Side, c1: Side, c0: Side) -> tuple[Floats, Floats]:
    """What everybody else's movement alone would have done to the figure, with its draws."""
    if not metric.additive:
        return c1.value - c0.value, c1.draws - c0.draws
    return r0.value * (_factor(c1.value, c0.value) - 1), r0.value[:, None] * (_factor(c1.draws, c0.draws) - 1)


def _factor(now: Floats, then: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(then > 0, now / then, np.nan)


def _peers(metric: Metric, now: Sides, worth: Worth) -> tuple[list[Comparison], list[Look | None]]:
    """The entity beside all others: pooled, or per head where the metric adds up."""
    heads = max(now.entities - 1, 1) if metric.additive else 1
    value, draws = now.others.value / heads, now.others.draws / heads
    enough = (now.own.n >= metric.smallest_n) & _many(now.others.people) & metric.pools
    judged = judge(
        now.own.value - value, now.own.draws - draws, now.own.n.astype(float),
        worth.of(metric, value), enough,
    )  # fmt: skip
    comparisons: list[Comparison] = []
    looks: list[Look | None] = []
    for e in range(len(value)):
        if _many(now.others.people)[e]:
            n = int(now.others.n[e])
            beside = _comparison(metric, "peers", judged, e, value[e], n, None, now)
            comparisons.append(
                beside if metric.pools else replace(beside, n_needed=None, reason=SHARED_CUSTOMERS)
            )
            looks.append(_look(metric, "peers", judged, e))
        else:
            comparisons.append(_missing("peers", NO_PEERS))
            looks.append(None)
    return comparisons, looks


def _comparison(
    metric: Metric, against: With, judged: Judged, e: int, value: float, n: int, split: Split | None, now: Sides
) -> Comparison:  # fmt: skip
    interval = judged.interval(e)
    few = interval is None and not np.isnan(value)
    return Comparison(
        against=against,
        value=_rounded(value),
        n=n,
        difference=_rounded(judged.estimate[e]),
        interval=interval,
        split=split,
        verdict=judged.verdict[e],
        n_needed=max(judged.n_needed[e] or 0, metric.smallest_n) if judged.verdict[e] is None else None,
        reason=NO_REFERENCE
        if np.isnan(value)
        else NOT_ENOUGH
        if few or now.own.n[e] < metric.smallest_n
        else "",
    )


def _missing(against: With, reason: str) -> Comparison:
    return Comparison(against, None, 0, None, None, None, None, None, reason)


def _look(metric: Metric, against: With, judged: Judged, e: int) -> Look | None:
    if np.isnan(judged.p[e]) or metric.good is None:
        return None
    better = (judged.estimate[e] > 0) == (metric.good == "higher")
    return Look(
        Named(metric.id, against, "better" if better else "worse"),
        float(judged.p[e]),
        judged.verdict[e] is True,
    )


def _many(people: Ints) -> Flags:
    many: Flags = people >= K_ANONYMOUS
    return many


def _separable(side: Sides) -> Flags:
    """Whether team and company may both be shown: neither the team's others nor the rest beyond is few."""
    rest = side.others.people - side.team.people
    alone: Flags = rest == 0
    return _many(side.team.people) & (alone | _many(rest))


def _chosen(which: Flags, first: Side, second: Side) -> Side:
    """Per entity one of two sides."""
    return Side(
        np.where(which, first.value, second.value),
        np.where(which, first.n, second.n),
        np.where(which, first.people, second.people),
        np.where(which[:, None], first.draws, second.draws),
    )


def in_unit(comparison: Comparison, metric: Metric) -> Comparison:
    """Money in whole minor units, its parts still adding up to the difference; other units as they are."""
    if metric.unit != "money":
        return comparison
    split = comparison.split
    if split is not None:
        assert comparison.difference is not None
        company, own = round(split.company), round(split.own)
        rest = round(comparison.difference) - company - own
        # Without a team part the own part takes the rest.
        team, own = (rest, own) if split.team is not None else (None, own + rest)
        split = replace(split, company=company, team=team, own=own, interval=_whole(split.interval))
    return replace(
        comparison,
        value=_round(comparison.value),
        difference=_round(comparison.difference),
        interval=_whole(comparison.interval),
        split=split,
    )


def _whole(interval: Interval | None) -> Interval | None:
    return None if interval is None else Interval(round(interval.low), round(interval.high), interval.level)


def _round(value: float | None) -> int | None:
    return None if value is None else round(value)


def _rounded(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
