"""What it would be worth if one stage of a funnel let more deals on: arithmetic on one funnel, with what is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from coachbook.metrics.funnel import Figure
from coachbook.metrics.judging import NOT_ENOUGH
from coachbook.model.findings import LEVEL, Interval
from coachbook.model.quality import Sentence
from coachbook.stats.intervals import Floats
from coachbook.text import N_

Target = Literal["expected", "peers", "points"]
POINTS = 0.05
"""How much better a stage may get, where nothing else is said."""
SMALLEST_N = 10
"""Fewest deals that tell a conversion, or the chance to win after it."""
DRAWS = 4000
SEED = 20_261_125

NOT_KNOWN = N_("the stage's conversion is not known")
NO_CHANCE = N_("what becomes of deals after the stage is not known")
NO_TARGET = N_("there is no conversion to compare with")
ALREADY = N_("the stage is there already")
NO_SIZE = N_("the average size of won deals is not known")


@dataclass(frozen=True)
class Shares:
    """Shares in [0, 1], one per stage, and how many deals tell each; NaN: not known, n infinite: given, not measured."""

    value: Sequence[float] | Floats
    n: Sequence[float] | Floats

    @classmethod
    def given(cls, value: Sequence[float] | Floats) -> Shares:
        """Set by somebody, like a workspace's expected conversions."""
        return cls(value, np.full(len(value), np.inf))


@dataclass(frozen=True)
class Size:
    """Average won deal in minor units; `error`: its standard error, in the same; `n` deals it comes from."""

    minor: float
    error: float = 0.0
    n: int = 0


@dataclass(frozen=True)
class WhatIf:
    """One stage with another conversion, everything before and after it unchanged.

    Attributes
    ----------
    conversion, to
        As it is, and as it would be; shares in [0, 1], None: not known.
    deals
        Won deals of the period that would come through this stage.
    more, more_minor
        How many more than now, and what they amount to in minor units; higher is better, and below 0 where the stage
        is beyond the target already. `n`: the fewest deals that any share in it comes from.
    n
        Deals that tell `conversion`.
    """

    stage: str
    target: Target
    n: int
    conversion: float | None
    to: float | None
    deals: Figure
    more: Figure
    more_minor: Figure

    @property
    def holds(self) -> bool:
        """Whether it would bring something, beyond chance."""
        return self.more.interval is not None and self.more.interval.low > 0


def what_if(
    stages: Sequence[str], *, entered: Sequence[float] | Floats, conversion: Shares, chance: Shares,
    size: Size | None, periods: float = 1.0, targets: Mapping[Target, Shares] | None = None, points: float = POINTS,
    level: float = LEVEL, seed: int = SEED,
) -> tuple[WhatIf, ...]:  # fmt: skip
    """Every stage with every target, stage by stage; `points` last.

    More won deals = entered / periods × (target − conversion) × chance after the stage. What is uncertain is drawn:
    how many deals come from Jeffreys' gamma of a count, own and peers' conversions and chances from his betas, each
    apart, the size from a gamma; what is given is not. `points` moves the drawn conversion itself, so that only the
    rest is uncertain. An interval always has the plain figure in it.

    Parameters
    ----------
    stages
        Names in the order of the funnel, winning not among them.
    entered
        Deals that first got to each stage or beyond (`Reached.n`), in all.
    periods
        In so many periods that was; above 0. Results are per period.
    conversion
        Share of them that got beyond, out of those of which it is known.
    chance
        Share won of the deals that got beyond the stage; of the last stage 1, given.
    size
        None: amounts are not told.
    targets
        Conversions to be had instead: expected ones, peers'. At most 1.

    References
    ----------
    Jeffreys' prior for a share: Brown, Cai, DasGupta (2001), Statistical Science 16(2), 101-133.

    Examples
    --------
    >>> found = what_if(["offer"], entered=[100], conversion=Shares([0.5], [80]), chance=Shares.given([1.0]), size=None)
    >>> round(found[0].more.value, 6), found[0].target
    (5.0, 'points')
    """
    rng = np.random.default_rng(seed)
    came = _Drawn.counted(entered, periods, rng)
    own, after = _Drawn.of(conversion, rng), _Drawn.of(chance, rng)
    sizes = _sizes(size, rng)
    others = {target: _Drawn.of(shares, rng) for target, shares in (targets or {}).items()}
    others["points"] = own.plus(points)
    return tuple(
        _one(stage, target, _Step(came.at(k), own.at(k), then.at(k), after.at(k)), size, sizes, level)
        for k, stage in enumerate(stages)
        for target, then in others.items()
    )


@dataclass(frozen=True)
class _Share:
    value: float
    n: float
    draws: Floats


@dataclass(frozen=True)
class _Drawn:
    """Shares with draws (stages × draws)."""

    value: Floats
    n: Floats
    draws: Floats

    @classmethod
    def of(cls, shares: Shares, rng: np.random.Generator) -> _Drawn:
        value, n = np.asarray(shares.value, dtype=float), np.asarray(shares.n, dtype=float)
        draws = np.repeat(value[:, None], DRAWS, axis=1)
        some = np.flatnonzero(np.isfinite(n) & ~np.isnan(value))
        share, told = value[some, None], n[some, None]
        draws[some] = rng.beta(share * told + 0.5, (1 - share) * told + 0.5, (len(some), DRAWS))
        return cls(value, n, draws)

    @classmethod
    def counted(cls, counts: Sequence[float] | Floats, periods: float, rng: np.random.Generator) -> _Drawn:
        """Per period; not shares, but likewise one per stage."""
        n = np.asarray(counts, dtype=float)
        return cls(n / periods, n, rng.gamma(n[:, None] + 0.5, 1 / periods, (len(n), DRAWS)))

    def plus(self, points: float) -> _Drawn:
        return _Drawn(np.minimum(self.value + points, 1.0), self.n, np.minimum(self.draws + points, 1.0))

    def at(self, k: int) -> _Share:
        return _Share(float(self.value[k]), float(self.n[k]), self.draws[k])


@dataclass(frozen=True)
class _Step:
    """One stage: what comes in, the conversion, the one instead, and the chance after it."""

    entered: _Share
    now: _Share
    then: _Share
    after: _Share

    @property
    def n(self) -> float:
        return min(self.now.n, self.then.n, self.after.n)

    @property
    def unknown(self) -> Sentence | None:
        missing = ((self.now, NOT_KNOWN), (self.then, NO_TARGET), (self.after, NO_CHANCE))
        return next((Sentence(message) for share, message in missing if np.isnan(share.value)), None)


def _sizes(size: Size | None, rng: np.random.Generator) -> Floats:
    if size is None:
        return np.full(DRAWS, np.nan)
    if size.error <= 0 or size.minor <= 0:
        return np.full(DRAWS, float(size.minor))
    return rng.gamma((size.minor / size.error) ** 2, size.error**2 / size.minor, DRAWS)


def _one(stage: str, target: Target, step: _Step, size: Size | None, sizes: Floats, level: float) -> WhatIf:
    conversion, to = (None if np.isnan(s.value) else s.value for s in (step.now, step.then))
    n = int(step.n) if np.isfinite(step.n) else int(step.entered.n)
    told_by = int(step.now.n) if np.isfinite(step.now.n) else 0
    unknown = step.unknown
    if unknown or step.n < SMALLEST_N:
        why = unknown or Sentence(NOT_ENOUGH, {"n": n, "needs": SMALLEST_N})
        none = Figure(None, None, n if unknown is None else 0, why, None if unknown else SMALLEST_N)
        return WhatIf(stage, target, told_by, conversion, to, none, none, none)
    deals = step.entered.value * step.then.value * step.after.value
    more = step.entered.value * (step.then.value - step.now.value) * step.after.value
    drawn = step.entered.draws * (step.then.draws - step.now.draws) * step.after.draws
    already = Sentence(ALREADY) if more <= 0 else None
    amount = Figure(None, None, n, Sentence(NO_SIZE))
    if size is not None:
        amount = _figure(more * size.minor, drawn * sizes, n, level, already)
    return WhatIf(
        stage, target, told_by, conversion, to,
        _figure(deals, step.entered.draws * step.then.draws * step.after.draws, n, level, None),
        _figure(more, drawn, n, level, already), amount,
    )  # fmt: skip


def _figure(value: float, draws: Floats, n: int, level: float, reason: Sentence | None) -> Figure:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Figure(value, Interval(min(float(low), value), max(float(high), value), level), n, reason)
