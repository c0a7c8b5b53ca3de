"""How the time of an import grows with the company: the exponent between 1,000, 5,000 and 20,000 reps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.bench.companies import imported
from tests.bench.yard import Row

SIZES = (1_000, 5_000, 20_000)


def measure(folder: Path) -> Row:
    """The slope of log seconds over log reps."""
    took = [imported(reps, folder / str(reps))[1] for reps in SIZES]
    slope = np.polyfit(np.log(SIZES), np.log(took), 1)[0]
    return Row("import_growth", float(slope), "exponent", target=1.1)
