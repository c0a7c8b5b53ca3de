"""What a funnel review shows of the whole company, and to whom."""

from __future__ import annotations

import pandas as pd

from coachbook.facts.funnel_document import CompanyStage, Criterion, FunnelCompany, Terms
from coachbook.metrics.funnel import CLOCKS, Funnel, Stage
from coachbook.metrics.risk import Risk
from coachbook.model.stages import Stages


def document(
    stages: Stages,
    now: Funnel,
    before: Funnel | None,
    risk: Risk,
    criteria: tuple[Criterion, ...],
    *,
    terms: Terms,
    fewest: int,
) -> FunnelCompany:
    """The company's figures, each only if at least `fewest` people stand behind it, or nobody does.

    `before`: the same of the period before, if the data reach back.
    """
    return FunnelCompany(
        stages,
        terms,
        _created(now, fewest),
        _created(before, fewest) if before else None,
        tuple(_stage(now, code, stage, fewest) for code, stage in enumerate(now.stages("all"))),
        tuple(c for c in criteria if c.people >= fewest),
        tuple(r for r in risk.records if _may_show(r.people, fewest) and _may_show(r.without_people, fewest)),
    )


def _created(funnel: Funnel, fewest: int) -> tuple[int, ...] | None:
    """Nothing where few got beyond some stage: the steps between stages would tell of them."""
    if funnel.seen is None:
        return None
    shown = all(_may_show(_people(funnel, rows > 0), fewest) for _position, rows in funnel.created.items())
    return funnel.created_and_reached("all") if shown else None


def _stage(funnel: Funnel, code: int, stage: Stage, fewest: int) -> CompanyStage:
    at = funnel.counts[funnel.counts.index.get_level_values("code") == code].droplevel("code")

    def told(what: str) -> int | None:
        """Deals to which it happened."""
        if stage.moves is None and not (what == "there" and stage.there):
            return None
        deals = at[what, "deals"]
        everybody = funnel.visits.codes["all", ""]
        return int(deals.get(everybody, 0)) if _may_show(_people(funnel, deals > 0), fewest) else None

    stays = _people(funnel, _with_stays(funnel, code))
    dwell = stage.dwells[0] if stage.dwells and stays >= fewest else None
    return CompanyStage(
        stage.stage, told("came_in"), told("moved_on"), told("lost"), told("there"),
        dwell.median.value if dwell else None, dwell.median.n if dwell else 0, dwell.curve if dwell else (),
    )  # fmt: skip


def _with_stays(funnel: Funnel, code: int) -> pd.Series[bool]:
    """By code of entity: it has deals whose stay in a stage is known."""
    index = funnel.dwells.index
    if not len(index):
        return pd.Series(dtype=bool)
    there = (index.get_level_values("clock") == CLOCKS[0]) & (index.get_level_values("code") == code)
    entities = index.get_level_values("entity")[there]
    return pd.Series([True] * len(entities), index=entities)


def _may_show(people: int, fewest: int) -> bool:
    return people == 0 or people >= fewest


def _people(funnel: Funnel, has: pd.Series[bool]) -> int:
    """How many reps; `has` by code of entity."""
    return int(has[has.index.isin(_reps(funnel))].sum())


def _reps(funnel: Funnel) -> pd.Index[int]:
    entities = funnel.visits.entities
    return entities.index[(entities["kind"] == "rep") & (entities["id"] != "")]  # '' is nobody
