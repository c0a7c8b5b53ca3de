"""A funnel review as data: what it singles out, its findings, and the whole of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import date
from math import isfinite
from typing import Any

from coachbook.facts import funnel_document
from coachbook.metrics.bottleneck import METRIC, AtStage
from coachbook.metrics.funnel import SMALLEST_SHARE, Figure, Stage
from coachbook.model.findings import K_ANONYMOUS, Comparison, Finding
from coachbook.model.periods import Span
from coachbook.model.quality import Sentence
from coachbook.text import _, number, percent, points
from coachbook.workbooks import emitted
from coachbook.workbooks.funnel_review import deals, sentences, words, worth
from coachbook.workbooks.funnel_review.reading import Reading

MOST_EVIDENCE = 5


def named(review: Reading) -> list[dict[str, str]]:
    """Everything that the page singles out; `with` stages: where everybody sticks."""
    return [
        {"metric": METRIC, "variant": at.stage, "with": against, "direction": direction, "text": text}
        for at in review.page.places
        for against, direction, text in [
            *(
                (n.against, n.direction, words.named(n, review.title(at.stage), at.pooled, days=review.company.terms.onward_days))
                for n in at.named
            ),
            *([("stages", "worse", _sticks(review, at))] if at.decision == "fix" else []),
        ]
    ] + [_named_member(review, member, cell) for member in review.page.members for cell in member.cells if cell.named]  # fmt: skip


def _named_member(review: Reading, member: funnel_document.Row, cell: funnel_document.Cell) -> dict[str, str]:
    """What the map of a team's members colours."""
    gap = cell.gap or 0.0
    text = _(
        "{name}, at the stage {stage}: {value} of {n} deals got on, {gap} beside peers, more than chance.",
        name=member.name, stage=review.title(cell.stage), value=percent(cell.share), n=number(cell.n), gap=points(gap),
    )  # fmt: skip
    direction = "better" if gap > 0 else "worse"
    return {
        "metric": METRIC, "variant": cell.stage, "with": "peers", "direction": direction, "rep": member.rep_id, "text": text
    }  # fmt: skip


def _sticks(review: Reading, at: AtStage) -> str:
    return _(
        "At the stage {stage} everybody's deals stick: {value} of the others' {n} deals got on, {expected} are expected.",
        stage=review.title(at.stage), **words.others(at),
    )  # fmt: skip


def findings(review: Reading) -> list[Finding]:
    """Every figure of a stage: conversion, deals there, customers, flow, days of a stay."""
    found = [finding for at in review.page.places for finding in (at.pooled, at.now)]
    for stage in review.used:
        before = review.before(stage.stage)
        if there := stage.there:
            past = before.there if before else None
            found += [
                _count("stage_deals", "deals", stage, there.deals, past.deals if past else None),
                _count("stage_customers", "customers", stage, there.customers, past.customers if past else None),
                _value(review, stage, there.deals, past.deals if past else None),
            ]  # fmt: skip
        if stage.moves:
            found.append(_figure("stage_flow", "deals per week", stage, stage.moves.per_week))
        found += [_figure("stage_dwell", "working days", stage, dwell.median) for dwell in stage.dwells[:1]]
    return found


def _figure(metric: str, unit: str, stage: Stage, figure: Figure) -> Finding:
    reason = (figure.reason.message, figure.reason.values) if figure.reason else ("", {})
    return Finding(
        f"{metric}:{stage.stage}", metric, stage.stage, figure.value, unit, figure.n, figure.interval, (), *reason
    )  # fmt: skip


def _value(review: Reading, stage: Stage, n: int, n_before: int | None) -> Finding:
    """In minor units of the reporting currency."""
    now, before = review.value(stage.stage), review.value(stage.stage, "previous")
    compared: tuple[Comparison, ...] = ()
    if now is not None and before is not None and n_before is not None:
        compared = (
            Comparison("previous", before, n_before, now - before, None, None, None, None, words.COUNTED),
        )
    name = f"stage_value:{stage.stage}"
    return Finding(name, "stage_value", stage.stage, now, review.currency, n, None, compared, words.COUNTED)


def _count(metric: str, unit: str, stage: Stage, value: int, before: int | None) -> Finding:
    compared: tuple[Comparison, ...] = ()
    if before is not None:
        compared = (
            Comparison("previous", before, before, value - before, None, None, None, None, words.COUNTED),
        )
    name = f"{metric}:{stage.stage}"
    return Finding(name, metric, stage.stage, value, unit, value, None, compared, words.COUNTED)


def to_dict(review: Reading) -> dict[str, Any]:
    """The whole review as plain data, schema `coachbook.review/1`."""
    page = review.page
    return {
        **emitted.head("funnel_review", review.slice),
        "findings": _findings(review),
        "named": named(review),
        "looked_at": page.looked_at,
        "verdicts": [
            {
                "stage": at.stage,
                "decision": at.decision,
                "n_needed": at.n_needed,
                "text": words.verdict(at, is_team=review.is_team),
            }
            for at in page.places
        ],
        "sentences": list(sentences.sentences(review).sentences),
        "created": list(page.created),
        "stages": [_stage(stage) for stage in page.now],
        "bridge": {"window": "period", **page.bridge.to_dict()},
        "bridge_of_all": {"window": "all", **page.bridge_of_all.to_dict()},
        "since": review.since.isoformat(),
        "changes": _plain(review.changes),
        "clean_up": [{"deal_id": c.deal_id, "why": list(c.why)} for c in review.candidates],
        "decided": _plain(page.decided),
        "at_risk": _plain(deals.at_risk_first(review)),
        "flags": [{**_plain(r), "lift": r.lift, "holds": r.holds} for r in review.company.records],
        "criteria": [{**_plain(c), "share": _plain(c.share)} for c in page.criteria],
        "slippage": page.slippage
        and {
            **_plain(page.slippage),
            "effective_n": page.slippage.effective_n,
            "due": _plain(page.slippage.due),
            "share": page.slippage.share,
            "interval": _plain(page.slippage.interval),
            "share_of_value": page.slippage.share_of_value,
            "interval_of_value": _plain(page.slippage.interval_of_value),
        },
        "velocity": _plain(page.velocity),
        "coverage": page.coverage
        and {
            **_plain(page.coverage),
            "period": review.company.terms.covered,
            "is_enough": page.coverage.is_enough,
        },
        "process": {"now": _plain(page.process), "before": _plain(page.process_before)},
        "what_if": _plain(worth.improvements(review)),
        "members": _plain(page.members),
        "partial": page.partial,
    }


def _findings(review: Reading) -> list[dict[str, Any]]:
    """With the largest deals behind each: those that came when its cohort did, or were there on its days."""
    terms, span = review.company.terms, review.period.span
    of_stay = _largest(review, _IS_THERE, span)
    of_end = _largest(review, _IS_THERE, Span(span.after, span.after))
    of_metric = {
        "stage_deals": of_end,
        "stage_customers": of_end,
        "stage_value": of_end,
        METRIC: _largest(review, _CAME, terms.came),
    }
    of_pooled = _largest(review, _CAME, terms.pooled)
    return [
        _finding_dict(review, finding, behind.get(finding.variant, []) if finding.n else [])
        for finding in findings(review)
        for behind in [
            of_pooled if finding.id.endswith(":pooled") else of_metric.get(finding.metric, of_stay)
        ]
    ]


def _stage(stage: Stage) -> dict[str, Any]:
    """All that is known of a stage; curves are for pictures."""
    without = replace(stage, dwells=tuple(replace(dwell, curve=()) for dwell in stage.dwells))
    plain: dict[str, Any] = _plain(without)
    return plain


def _finding_dict(review: Reading, finding: Finding, largest: Sequence[str]) -> dict[str, Any]:
    plain = finding.to_dict()
    values = plain.pop("reason_values")
    plain["reason"] = str(Sentence(finding.reason, values)) if finding.reason else ""
    for comparison in plain["comparisons"]:
        reason = comparison["reason"]
        comparison["reason"] = (
            _(
                reason,
                n=finding.n if comparison["with"] == "expected" else min(finding.n, comparison["n"]),
                needs=SMALLEST_SHARE,
                k=K_ANONYMOUS,
            )
            if reason
            else ""
        )
    return {
        **_plain(plain),
        "text": words.text(finding, review.title(finding.variant)),
        "evidence": {"deals": finding.n, "largest": largest},
    }


_CAME = "entered_on >= $first AND entered_on < $after"
_IS_THERE = "entered_on < $after AND coalesce(left_on >= $first, true)"


def _largest(review: Reading, which: str, span: Span | None) -> Mapping[str, Sequence[str]]:
    """By stage the largest deals of those visits in a span; what took no longer than a second is none."""
    if span is None or not review.is_detailed:
        return {}
    found = review.slice.connection.execute(
        f"""
        SELECT stage, list(DISTINCT deal_id) FROM visits
        WHERE {which} AND coalesce(left_at - entered_at > INTERVAL 1 SECOND, true) GROUP BY stage
        """,
        {"first": span.first, "after": span.after},
    ).fetchall()
    by_id: dict[str, set[str]] = {}
    for stage, visited in found:
        setting = review.company.configured.find(stage)
        by_id.setdefault(setting.id if setting else stage, set()).update(visited)
    return {
        stage: sorted(visited, key=lambda d: (-review.worth.get(d, 0), d))[:MOST_EVIDENCE]
        for stage, visited in by_id.items()
    }


def _plain(value: Any) -> Any:
    """As JSON has it: reasons in the active language, an open end of an interval as None."""
    if isinstance(value, Sentence):
        return str(value)
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, date):
        return value.isoformat()
    return None if isinstance(value, float) and not isfinite(value) else value
