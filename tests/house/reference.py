"""What is made from `model/tables.py`: the table reference and the preset `generic`: `make reference`."""

from __future__ import annotations

from pathlib import Path

from coachbook.model.tables import TABLES, Column, Kind, Table
from coachbook.sources.mapping import key_of

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/tables.md"
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
_GENERIC = """# Files named after the tables, with the names of their columns as headers: what `coachbook init --templates` writes.
# Files and columns that are not there are left out. The language: docs/mapping.md; the tables: docs/tables.md.

source = "generic"
optional = true
"""


def reference() -> str:
    """docs/tables.md as the tables are now."""
    return _HEAD + "".join(map(_section, TABLES.values()))


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
    GENERIC.parent.mkdir(exist_ok=True)
    GENERIC.write_text(generic(), encoding="utf-8")
    REFERENCE.write_text(reference(), encoding="utf-8")
