"""Facts by shards: some people's or teams' pages, made wherever there is a worker."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd

from coachbook.facts.plan import EARLIER, Plan
from coachbook.metrics import judging
from coachbook.metrics.judging import Pages, Worth, add_metric
from coachbook.metrics.metric import AT_AS_OF
from coachbook.metrics.registry import METRICS
from coachbook.model.findings import LEVEL, With
from coachbook.settings import Settings
from coachbook.stats import shards, sides
from coachbook.stats.sides import Flags, Ints, Observations

ENTITIES = 250
"""Most pages of a shard, but for a larger team: a few hundred MB, and work for seconds."""
RANKED = {metric.id for metric in METRICS if metric.estimate is sides.medians}


@dataclass(frozen=True)
class Shard:
    """Everything that the pages of some entities are made of; plain data, to be sent anywhere.

    `rows` by metric and span; `compared`: who has deals at all; `shown`: what else each page says.
    """

    number: int
    rows: Mapping[str, Mapping[str, Observations]]
    compared: Flags
    shown: list[dict[str, Any]]
    missing: Mapping[With, str]
    worth: Worth
    currency: str


def cut(
    rows: Mapping[str, Mapping[str, Observations]], who: pd.DataFrame, plan: Plan, settings: Settings, *,
    compared: Flags, shown: list[dict[str, Any]],
) -> Iterator[tuple[Ints, Shard]]:  # fmt: skip
    """Shards of whole teams, each with its entities' codes."""
    shard_of, count = _packed(who["team"].to_numpy(np.int64))
    parts = {
        metric: {
            span: shards.split(found, shard_of, count, ranked=metric in RANKED)
            for span, found in spans.items()
        }
        for metric, spans in rows.items()
    }
    worth = Worth(settings.worth_acting.share, settings.worth_acting.relative)
    for s in range(count):
        mine = np.flatnonzero(shard_of == s)
        of_shard = {m: {span: part[s] for span, part in spans.items()} for m, spans in parts.items()}
        yield (
            mine,
            Shard(
                s, of_shard, compared[mine], [shown[e] for e in mine], plan.missing, worth, settings.currency
            ),
        )


def _packed(team: Ints) -> tuple[Ints, int]:
    """The shard of each entity, and how many shards there are: whole teams, in order, until a shard is full."""
    shard_of, shard, held = np.zeros(len(team), dtype=np.int64), 0, 0
    alone = np.where(team < 0, team.max(initial=-1) + 1 + np.arange(len(team)), team)
    for members in pd.Series(np.arange(len(team))).groupby(alone).indices.values():
        if held and held + len(members) > ENTITIES:
            shard, held = shard + 1, 0
        shard_of[members], held = shard, held + len(members)
    return shard_of, shard + 1


def pages(shard: Shard) -> list[str]:
    """The document of each page, as JSON."""
    made = Pages([[] for _ in shard.shown], [[] for _ in shard.shown])
    for metric in METRICS:
        spans = {}
        for span, rows in shard.rows[metric.id].items():
            if metric.basis != AT_AS_OF or span == "now":
                seed = sha256(f"{metric.id} {metric.variant} {span} {shard.number}".encode()).digest()[:8]
                spans[span] = metric.estimate(rows, np.random.default_rng(int.from_bytes(seed)), LEVEL)
        missing = dict.fromkeys(EARLIER, judging.NO_HISTORY) if metric.basis == AT_AS_OF else shard.missing
        unit = shard.currency if metric.unit == "money" else metric.unit
        add_metric(made, metric, unit, spans, shard.worth, reasons=missing, compared=shard.compared)
    return [
        json.dumps(
            {
                "findings": [f.to_dict() for f in made.findings[e]],
                "named": [asdict(n) for n in made.named(e)],
                "looked_at": sum(1 for look in made.looks[e] if not np.isnan(look.p)),
                **shown,
            },
            allow_nan=False,
        )
        for e, shown in enumerate(shard.shown)
    ]
