"""SQL that turns a file's text into the values of a canonical table and finds the rows that cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from coachbook.model.tables import Column, Kind, Table
from coachbook.sources.mapping import Drop, Origin, Source, key_of
from coachbook.text import N_, _, listed


@dataclass(frozen=True)
class Fault:
    """Why a row cannot be used: where it holds, in which column of the file, and what is said."""

    predicate: str
    column: str
    raw: str
    reason: str


@dataclass(frozen=True)
class Terms:
    """What the SQL of one source is made of. `raw` gives a file's column, `found` a look-up's value."""

    raw: Callable[[str], str]
    found: Callable[[Origin], str]
    currency: str
    """The currency that the workspace counts in."""
    precision: int
    """Its decimals."""


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def judged(table: Table, source: Source, terms: Terms, relation: str) -> tuple[str, list[Fault]]:
    """The query over `relation` that gives every row judged, and the faults it numbers from 1.

    Its columns: `_line`, the table's own, `_drop` (name of the rule, or null), `_fault` (number of the
    first fault, or null) and `_culprit` (the text as it stands in the file).
    """
    faults: list[Fault] = []
    values = []
    for column in sorted(table.columns, key=lambda c: c.kind is Kind.MINOR):  # no rate comes before no amount
        origin = source.columns.get(key_of(column))
        if origin is None:
            values.append(f'NULL::{column.kind.duckdb} AS "{column.name}"')
            continue
        text = _text(column, origin, terms)
        value = _value(column, origin, text, terms)
        values.append(f'{value} AS "{column.name}"')
        faults += _faults(column, origin, text, value, terms)
    which = _case([(f.predicate, str(number)) for number, f in enumerate(faults, 1)])
    culprit = _case([(f"_fault = {number}", f.raw) for number, f in enumerate(faults, 1)])
    return (
        f"SELECT _line, {', '.join(values)}, {_dropped(source.drop, terms)} AS _drop, "
        f"{which} AS _fault, {culprit} AS _culprit FROM {relation}",
        faults,
    )


def _case(branches: list[tuple[str, str]], otherwise: str = "NULL") -> str:
    if not branches:
        return otherwise
    return f"CASE {' '.join(f'WHEN {when} THEN {then}' for when, then in branches)} ELSE {otherwise} END"


def _dropped(rules: list[Drop], terms: Terms) -> str:
    def holds(rule: Drop) -> str:
        return f"coalesce({terms.raw(rule.column)}, '') IN ({', '.join(map(literal, rule.equals))})"

    return _case([(holds(rule), literal(rule.rule)) for rule in rules], "NULL::VARCHAR")


def _looked_up(origin: Origin, terms: Terms) -> str:
    if origin.constant is not None:
        return literal(origin.constant)
    return terms.found(origin) if origin.lookup else terms.raw(origin.column or "")


def _text(column: Column, origin: Origin, terms: Terms) -> str:
    """The text that becomes the value; null where the file has nothing or the map does not know it."""
    before = _looked_up(origin, terms)
    if not origin.map:
        return f"nullif({before}, '')"
    pairs = [
        (f"{before} = {literal(key)}" if key else f"{before} IS NULL", literal(value))
        for key, value in origin.map.items()
    ]
    return f"nullif({_case(pairs, 'NULL' if column.choices else before)}, '')"


def _value(column: Column, origin: Origin, text: str, terms: Terms) -> str:
    if column.kind is Kind.MINOR:
        return column.kind.cast.format(text=_minor(origin, text, terms.precision))
    if column.kind is Kind.DAY and origin.format:
        forms = ", ".join(map(literal, origin.format))
        text = f"strftime(try_strptime({text}, [{forms}]), '%Y-%m-%d')"
    return column.kind.cast.format(text=text)


def _faults(column: Column, origin: Origin, text: str, value: str, terms: Terms) -> list[Fault]:
    """Everything that can be wrong with a column, the most telling first."""
    before, known = _looked_up(origin, terms), origin.map or column.choices
    raw = literal(origin.constant or "") if origin.column is None else terms.raw(origin.column)
    found = []
    if origin.lookup and column.required:
        reason = _("not found in {file}", file=origin.lookup.file)
        found.append((f"{raw} IS NOT NULL AND {before} IS NULL", reason))
    if column.choices:
        reason = _("not one of {known}", known=listed(list(known)))
        among = f"{before} NOT IN ({', '.join(map(literal, known))})"
        found.append((among, reason))
    if column.required:
        found.append((f"{text} IS NULL", _("empty, but needed")))
    if column.name == "currency":
        reason = _("no rate from {value} to {currency}", value="{value}", currency=terms.currency)
        found.append((f"{text} <> {literal(terms.currency)}", reason))
    if column.kind is Kind.MINOR:
        reason = _("more decimals than {currency} has", currency=terms.currency)
        found.append((f"length({_fraction(_plain(origin, text))}) > {terms.precision}", reason))
    if column.kind.complaint:
        found.append((f"{text} IS NOT NULL AND {value} IS NULL", _(column.kind.complaint)))
    return [Fault(predicate, origin.column or key_of(column), raw, reason) for predicate, reason in found]


def _plain(origin: Origin, text: str) -> str:
    """An amount's text as sign, digits, point and digits; null where it is not an amount."""
    point, comma = re.escape(origin.decimal), re.escape(origin.thousands)
    whole = rf"(?:\d{{1,3}}(?:{comma}\d{{3}})+|\d+)" if comma else r"\d+"
    amount = literal(rf"[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+)")
    ungrouped = f"replace(trim({text}), {literal(origin.thousands)}, '')" if comma else f"trim({text})"
    plain = f"replace({ungrouped}, {literal(origin.decimal)}, '.')"
    return f"CASE WHEN regexp_full_match(trim({text}), {amount}) THEN {plain} END"


def _fraction(plain: str) -> str:
    """The decimals that count of a plain amount."""
    return f"rtrim(regexp_extract({plain}, '[.](.*)', 1), '0')"


def _minor(origin: Origin, text: str, precision: int) -> str:
    """The exact count of minor units as text: digits are moved, nothing is multiplied."""
    plain = _plain(origin, text)
    sign = f"CASE WHEN starts_with({plain}, '-') THEN '-' ELSE '' END"
    whole, fraction = f"regexp_extract({plain}, '^[+-]?([0-9]*)', 1)", _fraction(plain)
    digits = f"({sign} || '0' || {whole} || rpad({fraction}, {precision}, '0'))"
    return f"CASE WHEN length({fraction}) <= {precision} THEN {digits} END"


REASON_FIELDS = N_("{fields} fields where the first line has {expected}")
"""Said of a record with too few or too many fields."""
