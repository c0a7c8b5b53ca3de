"""Everybody's rows cut into shards of entities that can be estimated apart."""

from __future__ import annotations

import numpy as np

from coachbook.stats.intervals import Floats
from coachbook.stats.sides import Ints, Observations, Pooled, Rest


def split(rows: Observations, shard_of: Ints, count: int, *, ranked: bool) -> list[Observations]:
    """Rows of each shard, with what is beyond it as its `rest`.

    `shard_of` has the shard of each entity, a whole group in one; rows of nobody's go to the first. `ranked`: the
    rests keep their values, as medians need.
    """
    shard = np.append(shard_of, 0)[rows.entity]
    sums = _sums(rows, shard, count)
    whole = {name: values.sum() for name, values in sums.items()}
    made = []
    for s in range(count):
        beyond = {name: whole[name] - values[s] for name, values in sums.items()}
        values = np.sort(rows.x[rows.peer & (shard != s)]) if ranked else np.empty(0)
        rest = Rest(
            entities=int(np.sum(shard_of != s)), n=round(beyond.pop("n")), people=round(beyond.pop("people")),
            values=values, **{name: float(value) for name, value in beyond.items()},
        )  # fmt: skip
        made.append(_part(rows, np.flatnonzero(shard == s), np.flatnonzero(shard_of == s), rest))
    return made


def _part(rows: Observations, mine: Ints, entities: Ints, rest: Rest) -> Observations:
    """Some rows and entities, numbered anew."""
    number = np.full(len(rows.team) + 1, -1)
    number[entities] = np.arange(len(entities))
    pooled = (rows.pooled.in_team, rows.pooled.in_all, rows.pooled.leaves_team, rows.pooled.leaves_all)
    return Observations(
        entity=number[rows.entity[mine]],
        team=_dense(rows.team[entities]),
        person=_dense(rows.person[mine]),
        peer=rows.peer[mine],
        unit=_dense(rows.unit[mine]),
        x=rows.x[mine],
        y=rows.y[mine],
        pooled=Pooled(*(values[mine] for values in pooled)),
        rest=rest,
    )


def _dense(codes: Ints) -> Ints:
    """The same codes without gaps; -1 stays."""
    known = np.unique(codes[codes >= 0])
    return np.where(codes >= 0, np.searchsorted(known, codes), -1)


def _sums(rows: Observations, shard: Ints, count: int) -> dict[str, Floats]:
    """What peers add to each shard, by name as in `Rest`."""
    peers = np.flatnonzero(rows.peer)
    at, x, y = shard[peers], rows.x[peers], rows.pooled.in_all[peers]
    people_at, _which = _pairs(at, *_pairs(rows.person[peers], rows.entity[peers])[1:])
    unit_at, unit = _pairs(at, rows.unit[peers])
    by_unit = [np.bincount(unit, values, len(unit_at)).astype(float) for values in (x, y)]

    def per_shard(where: Ints, values: Floats | None = None) -> Floats:
        return np.bincount(where, values, count).astype(float)

    return {
        "n": per_shard(at),
        "people": per_shard(people_at),
        "x": per_shard(at, x),
        "y": per_shard(at, y),
        "xx": per_shard(unit_at, by_unit[0] ** 2),
        "xy": per_shard(unit_at, by_unit[0] * by_unit[1]),
        "yy": per_shard(unit_at, by_unit[1] ** 2),
    }


def _pairs(first: Ints, second: Ints) -> tuple[Ints, Ints]:
    """The first of each distinct pair, and which pair each one is."""
    width = int(second.max(initial=0)) + 2  # codes begin at -1
    known, which = np.unique((first + 1) * width + second + 1, return_inverse=True)
    return known // width - 1, which
