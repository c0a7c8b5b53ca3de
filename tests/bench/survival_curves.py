"""Seconds for survival curves with intervals of 60,000 groups, against a loop of statsmodels' `SurvfuncRight`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np
from statsmodels.duration.survfunc import SurvfuncRight  # type: ignore[import-untyped]

from coachbook.stats import survival
from coachbook.stats.survival import Spells
from tests.bench.yard import Row, say

GROUPS, LOOPED = 60_000, 3_000
TARGET_SECONDS = 5.0


def measure(_folder: Path) -> Row:
    """Ours over all groups; theirs over a twentieth of them, grouped beforehand, times twenty."""
    rng = np.random.default_rng(1)
    group = np.sort(rng.integers(0, GROUPS, GROUPS * 20))
    stay, followed = (
        rng.geometric(0.1, len(group)).astype(float),
        rng.integers(1, 60, len(group)).astype(float),
    )
    exit_, cause = np.minimum(stay, followed), (stay <= followed).astype(np.int64)
    began = perf_counter()
    curves = survival.curves(
        Spells(group, np.zeros(len(group)), exit_, cause), groups=GROUPS, causes=1, level=0.95
    )
    bounds = curves.staying_interval(), curves.quantile(0.5)
    ours = perf_counter() - began
    assert len(bounds[0][0]) == len(curves.time)
    edges = np.searchsorted(group, np.arange(LOOPED + 1))
    parts = [(exit_[a:b], cause[a:b]) for a, b in pairwise(edges) if b > a]
    began = perf_counter()
    for times, ended in parts:
        fitted = SurvfuncRight(times, ended)
        if ended.any():
            fitted.quantile_ci(0.5)
    theirs = (perf_counter() - began) * GROUPS / LOOPED
    say(f"  a loop of SurvfuncRight over {LOOPED} groups, times {GROUPS // LOOPED}: {theirs:.1f} s")
    return Row("survival_curves", ours, "s", against=theirs, target=TARGET_SECONDS)
