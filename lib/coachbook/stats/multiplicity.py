"""Many looks at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def discoveries(p_values: NDArray[np.float64], rate: float) -> NDArray[np.bool_]:
    """Which of the looks may be called findings at that false discovery rate; NaN never.

    References
    ----------
    Benjamini, Hochberg (1995), JRSS B 57(1), 289-300.
    """
    found = np.zeros(len(p_values), dtype=bool)
    looks = np.flatnonzero(~np.isnan(p_values))
    order = looks[np.argsort(p_values[looks], kind="stable")]
    passing = np.flatnonzero(p_values[order] <= rate * np.arange(1, len(order) + 1) / max(len(order), 1))
    if passing.size:
        found[order[: passing[-1] + 1]] = True
    return found
