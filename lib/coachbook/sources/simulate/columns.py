"""Numbers as columns of a file: ids, words, amounts, days, instants; a negative number is an empty field."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from coachbook.model.tables import TABLES
from coachbook.sources.simulate.world import Ints


def keys(name: str) -> list[str]:
    """The columns of a table as a mapping calls them: amounts are in major units."""
    return [column.removesuffix("_minor") for column in TABLES[name].names]


def picked(choices: Sequence[str], index: Ints) -> pa.Array:
    """The choice of each index."""
    return pa.array(choices).take(pa.array(index, mask=index < 0))


def numbered(prefix: str, numbers: Ints, width: int = 0) -> pa.Array:
    """Ids: prefix and number."""
    digits = pc.cast(pa.array(numbers, mask=numbers < 0), pa.string())
    return pc.binary_join_element_wise(prefix, pc.utf8_lpad(digits, width, "0"), "")


def money(minor: Ints) -> pa.Array:
    """Amounts, given in hundredths, as text in major units; whole ones without decimals."""
    whole = numbered("", np.where(minor < 0, minor, minor // 100))
    cents = np.where(minor < 0, 0, minor % 100)
    return pc.binary_join_element_wise(whole, numbered(".", cents, 2), "") if cents.any() else whole


def days(ordinals: Ints) -> pa.Array:
    """Days since 1970 as days."""
    return pa.array(ordinals.astype(np.int32), mask=ordinals < 0).cast(pa.date32())


def moments(seconds: Ints) -> pa.Array:
    """Seconds since 1970 as instants (UTC)."""
    return pa.array(seconds, mask=seconds < 0).cast(pa.timestamp("s"))
