"""What is made from declarations in the code: the table reference, the preset `generic`, the power table: `make reference`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np

from coachbook.model.findings import LEVEL
from coachbook.model.tables import TABLES, Column, Kind, Table
from coachbook.sources.mapping import key_of
from coachbook.stats.power import Chance, n_needed, table

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/tables.md"
POWER = ROOT / "docs/power.md"
GENERIC = ROOT / "lib/coachbook/sources/presets/generic/mapping.toml"
TYPES = {
    Kind.TEXT: "text", Kind.DAY: "date", Kind.MOMENT: "date or instant", Kind.MINOR: "amount", Kind.COUNT: "whole number",
    Kind.NUMBER: "number", Kind.SHARE: "share (0.25 or 25%)", Kind.FLAG: "true or false", Kind.VALUE: "value of the field",
}  # fmt: skip
_HEAD = """# The tables

Made from `lib/coachbook/model/tables.py` by `make reference`.

Every source is mapped to these tables (see [mapping.md](mapping.md)), and every figure is computed from them.
`coachbook init DIR --templates` writes each as a blank CSV with these columns. **Bold** columns are needed in every
row; a row without one goes to quarantine. The columns of a table's *key* together identify a row; empty ones count as
equal. Amounts are written in major units (`1234.50`) and kept exactly, in minor units of their currency. An instant
without an offset is in the mapping's `time_zone`, else the workspace's; it is kept in UTC. A day alone is an instant's
start.
"""
_POWER = """# What can be told from how many deals

Made from `lib/coachbook/stats/power.py` by `make reference`.

A rep wins 9 of 60 deals where others win 20 %. Is that the rep, or chance? This table says how often a real fall of a
share is found, that is how often the 95 % interval of the difference excludes 0. In each cell first beside a reference of
as many deals (the rep's own earlier period), then beside a share that is known exactly (a large company's). The last
column is the number of deals at which such a fall is found four times out of five beside a known share: the "n needed"
of the pages. Chances are exact, summed over all outcomes; the interval is Newcombe's (1998, Statistics in Medicine 17,
873-890, method 10).

With 20 deals nearly nothing can be told, whatever the page; that is why it says so.

| share falls from, to | 20 deals | 60 deals | 200 deals | n needed |
| --- | --- | --- | --- | --- |
"""
_GENERIC = """# Files named after the tables, with the names of their columns as headers: what `coachbook init --templates` writes.
# Files and columns that are not there are left out. The language: docs/mapping.md; the tables: docs/tables.md.

source = "generic"
optional = true
"""


def reference() -> str:
    """docs/tables.md as the tables are now."""
    return _HEAD + "".join(map(_section, TABLES.values()))


def power_page() -> str:
    """docs/power.md: chances that the test which the pages use finds what is there."""
    rows = "".join(
        _chances(list(chances)) for _key, chances in groupby(table(LEVEL), lambda c: (c.base, c.drop))
    )
    return _POWER + rows


def _chances(chances: list[Chance]) -> str:
    """One row: what falls by how much, then for each number of deals both chances, then the n needed."""
    first = chances[0]
    lower = np.array(first.base * (1 - first.drop))
    needed = n_needed(lower, np.array(first.base), np.array(np.inf), LEVEL)
    cells = [f"{c.beside_equal:.0%} / {c.beside_known:.0%}" for c in chances]
    return f"| {first.base:.0%} to {lower:.1%} | {' | '.join(cells)} | {needed:.0f} |\n"


def generic() -> str:
    """The mapping of the preset `generic` as the tables are now."""
    return _GENERIC + "".join(map(_source, TABLES.values()))


def _section(table: Table) -> str:
    keys = ", ".join(f"`{name}`" for name in table.key)
    rows = "".join(map(_row, table.columns))
    return f"\n## `{table.name}`\n\n{table.meaning} Key: {keys}.\n\n| column | type | meaning |\n| --- | --- | --- |\n{rows}"


def _row(column: Column) -> str:
    name = f"**`{key_of(column)}`**" if column.required else f"`{key_of(column)}`"
    choices = ", ".join(f"`{choice}`" for choice in column.choices)
    meaning = column.meaning.replace("in minor units of `currency`", "in `currency`")
    return f"| {name} | {TYPES[column.kind]} | {meaning}{f' One of {choices}.' if choices else ''} |\n"


def _source(table: Table) -> str:
    columns = "".join(f"{key_of(column)} = {_origin(column)}\n" for column in table.columns)
    return f'\n[{table.name}]\nfile = "{table.name}.*"\n[{table.name}.columns]\n{columns}'


def _origin(column: Column) -> str:
    if column.name == "currency" and column.required:
        return '{ column = "currency", default = "workspace" }'
    return f'"{key_of(column)}"'


if __name__ == "__main__":
    POWER.write_text(power_page(), encoding="utf-8")
    GENERIC.parent.mkdir(exist_ok=True)
    GENERIC.write_text(generic(), encoding="utf-8")
    REFERENCE.write_text(reference(), encoding="utf-8")
