"""SQL that turns a file's text into the values of a canonical table and finds the rows that cannot be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from coachbook.model.tables import FIELDS, STATUSES, Column, Kind
from coachbook.sources.mapping import ANYTHING, WORKSPACE, Origin, key_of
from coachbook.sources.money import CONNECTED, CURRENCIES, codes
from coachbook.sources.plan import Bound, Reading
from coachbook.sources.transforms import transformed
from coachbook.sources.values import Clock, Number, case, day, is_number, literal, moment, native, parts
from coachbook.text import N_, _, listed

RATED = {"deals": "created_on", "collections": "collected_on", "costs": "incurred_on"}
"""Tables whose amounts need a rate, and the day on which."""
_PERIOD = r"\d{4}(-(0[1-9]|1[0-2])|-Q[1-4]|-W(0[1-9]|[1-4]\d|5[0-3]))?|FY\d{4}(-P(0[1-9]|1[0-2])|-Q[1-4])?"
_CODES = ("currency", "into")
"""Columns of currency codes."""
REASON_FIELDS = N_("{fields} fields where the first line has {expected}")
"""Said of a record with too few or too many fields."""


@dataclass(frozen=True)
class Fault:
    """Why a row cannot be used: where it holds, in which column of the file, and what is said."""

    predicate: str
    column: str
    raw: str
    reason: str
    """`{code}` and `{day}` stand for currency and day of the row."""


@dataclass(frozen=True)
class Judge:
    """Makes the query over one reading: texts, numbers taken apart, values, faults; one stage each."""

    reading: Reading
    currency: str
    """The currency that the workspace counts in."""
    clock: Clock
    nulls: tuple[str, ...]

    def query(self) -> tuple[str, list[Fault]]:
        """The query that gives every row judged, and the faults it numbers from 1.

        Its columns: `_line`, the table's own, `_drop` (name of the rule, or null), `_fault` (number of the
        first fault, or null), `_culprit` (the text as it stands in the file), `_code` and `_day` (currency and day of the row).
        """
        mapped = [(column, self.reading.bound[key_of(column)]) for column in self._columns()]
        faults = [fault for column, bound in mapped for fault in self._faults(column, bound)]
        faults += self._rateless()
        values = [f'{self._value(column, bound)} AS "{column.name}"' for column, bound in mapped]
        values += [
            f'NULL::{column.kind.duckdb} AS "{column.name}"'
            for column in self.reading.table.columns
            if key_of(column) not in self.reading.bound
        ]
        names = ", ".join(f'"{name}"' for name in self.reading.table.names)
        which = case([(f.predicate, str(number)) for number, f in enumerate(faults, 1)])
        culprit = case([(f"_fault = {number}", f.raw) for number, f in enumerate(faults, 1)])
        dated = RATED.get(self.reading.table.name, "")
        return (
            f"""
            WITH {self._stages()},
            taken AS (SELECT {", ".join(["texts.*", "_code", "_precision", "_symbols", *self._parts()])} FROM texts
                LEFT JOIN {CURRENCIES} ON _code = coalesce({self._code()}, {literal(self.currency)})),
            valued AS (SELECT *, {", ".join(values)} FROM taken)
            SELECT _line, {names}, _drop, {which} AS _fault, {culprit} AS _culprit,
                _code, {f'"{dated}"' if dated else "NULL::DATE"} AS _day
            FROM valued {self._join()}
            """,
            faults,
        )

    def _columns(self) -> Iterator[Column]:
        """Those that the source fills; amounts last, so that a wrong currency is told before a wrong amount."""
        for column in sorted(self.reading.table.columns, key=lambda c: c.kind is Kind.MINOR):
            if key_of(column) in self.reading.bound:
                yield column

    # The first stages: texts, column by column; a stage each, lest long expressions stand in longer ones

    def _stages(self) -> str:
        """`j_…` the text of the columns without nulls, `x_…` transformed, `b_…` looked up, `t_…` mapped."""
        table = self.reading.file.table
        bounds = {c: self.reading.bound[key_of(c)] for c in self._columns()}
        read = {c: bound for c, bound in bounds.items() if not self._native(c, bound)}
        nulled = [f'{self._nulled(bound)} AS "j_{c.name}"' for c, bound in read.items()]
        plain = [
            f"""{transformed(f'"j_{c.name}"', bound.origin.transform)} AS "x_{c.name}\""""
            for c, bound in read.items()
        ]
        found = [f'{self._found(c, bound)} AS "b_{c.name}"' for c, bound in read.items()]
        joins = "".join(
            f' LEFT JOIN {bound.lookup.relation} ON {bound.lookup.relation}.key = "x_{c.name}"'
            for c, bound in read.items()
            if bound.lookup
        )
        texts = [
            f'{self._native(c, bound) or self._text(c, bound)} AS "t_{c.name}"' for c, bound in bounds.items()
        ]
        return f"""
            nulled AS (SELECT {", ".join([f"{table}.*", f"{self._dropped()} AS _drop", *nulled])} FROM {table}),
            plain AS (SELECT {", ".join(["*", *plain])} FROM nulled),
            found AS (SELECT {", ".join(["plain.*", *found])} FROM plain{joins}),
            texts AS (SELECT {", ".join(["*", *texts])} FROM found)"""

    def _dropped(self) -> str:
        rules = []
        for rule, numbers in self.reading.drops:
            if numbers:
                word = "IN" if rule.equals else "NOT IN"
                among = _listed(rule.equals or rule.other_than)
                rules.append((f"coalesce({self._joined(numbers)}, '') {word} ({among})", literal(rule.rule)))
        return case(rules, "NULL::VARCHAR")

    def _raw(self, bound: Bound) -> str:
        """The text as it stands in the file."""
        return self._joined(bound.columns) if bound.columns else literal(bound.origin.constant or "")

    def _joined(self, numbers: tuple[int, ...]) -> str:
        texts = [self.reading.file.text(number) for number in numbers]
        return texts[0] if len(texts) == 1 else f"concat_ws(' ', {', '.join(texts)})"

    def _nulled(self, bound: Bound) -> str:
        """The text, or nothing where the file says so in a word."""
        texts = [self._unnulled(number) for number in bound.columns]
        if not texts:
            return self._raw(bound)
        if bound.origin.first:
            return f"coalesce({', '.join(texts)})"
        return texts[0] if len(texts) == 1 else f"nullif(concat_ws(' ', {', '.join(texts)}), '')"

    def _unnulled(self, number: int) -> str:
        text = self.reading.file.text(number)
        if not self.nulls or self.reading.file.type(number) != "VARCHAR":
            return text
        return f"CASE WHEN {text} NOT IN ({_listed(self.nulls)}) THEN {text} END"

    def _found(self, column: Column, bound: Bound) -> str:
        """The text before it is mapped."""
        text = f'"x_{column.name}"'
        if not bound.lookup:
            return text
        found = f"{bound.lookup.relation}.value"
        return f"coalesce({found}, {text})" if bound.lookup.keep else found

    def _text(self, column: Column, bound: Bound) -> str:
        """The text that becomes the value; null where the file has nothing or the map does not know it."""
        origin, before = bound.origin, f'"b_{column.name}"'
        text = f"nullif({before}, '')"
        if origin.map:
            exact = {key: value for key, value in origin.map.items() if key not in ("", ANYTHING)}
            branches = [(f"{before} = {literal(key)}", literal(value)) for key, value in exact.items()]
            other = "NULL" if column.choices else before
            other = literal(origin.map[ANYTHING]) if ANYTHING in origin.map else other
            nothing = (f"{before} IS NULL", literal(origin.map.get("", "")))
            text = f"nullif({case([nothing, *branches], other)}, '')"
        if origin.default is None:
            return text
        currency = column.name in _CODES and origin.default == WORKSPACE
        return f"coalesce({text}, nullif({literal(self.currency if currency else origin.default)}, ''))"

    def _native(self, column: Column, bound: Bound) -> str:
        """The value itself, where the file has it typed and nothing is done to it."""
        origin = bound.origin
        if len(bound.columns) != 1 or bound.lookup or origin.map or origin.transform or origin.default:
            return ""
        number = bound.columns[0]
        return native(column.kind, f"c{number}", self.reading.file.type(number), self.clock)

    # The second: numbers taken apart

    def _parts(self) -> Iterator[str]:
        for column in self._columns():
            bound = self.reading.bound[key_of(column)]
            if is_number(column.kind) and not self._native(column, bound):
                taken = parts(_t(column), bound.origin)
                only = (
                    f"CASE WHEN \"t_field\" = 'amount' THEN {taken} END"
                    if column.kind is Kind.VALUE
                    else taken
                )
                yield f'{only} AS "p_{column.name}"'

    def _code(self) -> str:
        """The currency of the row's amount."""
        return '"t_currency"' if "currency" in self.reading.bound else "NULL"

    # The third: values

    def _value(self, column: Column, bound: Bound) -> str:
        text, origin = _t(column), bound.origin
        if self._native(column, bound):
            return text
        if column.kind is Kind.DAY:
            return day(text, origin, self.clock)
        if column.kind is Kind.MOMENT:
            return moment(text, origin, self.clock)
        if column.kind is Kind.VALUE:
            return self._field_value(column, origin)
        if is_number(column.kind):
            return column.kind.cast.format(text=_number(column, origin))
        return column.kind.cast.format(text=text)

    def _field_value(self, column: Column, origin: Origin) -> str:
        """What a deal's field changed to, by the field: an amount in minor units, a day, a status, or text."""
        text = _t(column)
        statuses = _listed((*STATUSES, "deleted"))
        readings = {
            "amount": f"CAST(try_cast({_minor(column, origin)} AS BIGINT) AS VARCHAR)",
            "close_on": f"strftime({day(text, origin, self.clock)}, '%Y-%m-%d')",
            "status": f"CASE WHEN {text} IN ({statuses}) THEN {text} END",
        }
        branches = [
            (f'"t_field" = {literal(field)}', readings[field]) for field in FIELDS if field in readings
        ]
        return case(branches, text)

    # The fourth: faults

    def _faults(self, column: Column, bound: Bound) -> Iterator[Fault]:
        """Everything that can be wrong with a column, the most telling first."""
        for predicate, reason in self._complaints(column, bound):
            yield Fault(predicate, bound.label, self._raw(bound), reason)

    def _complaints(self, column: Column, bound: Bound) -> Iterator[tuple[str, str]]:
        origin, text, before = bound.origin, _t(column), f'"b_{column.name}"'
        known = [key for key in origin.map or column.choices if key]
        if bound.lookup and column.required and origin.default is None:
            file = origin.lookup.file[0] if origin.lookup else ""
            yield f"{self._raw(bound)} IS NOT NULL AND {before} IS NULL", _("not found in {file}", file=file)
        if column.choices and ANYTHING not in origin.map and not self._native(column, bound):
            among = _listed(["", *known])
            yield f"{before} NOT IN ({among})", _("not one of {known}", known=listed(known))
        if column.required:
            yield f"{text} IS NULL", _("empty, but needed")
        if column.name in _CODES:
            unknown = "_code IS NULL" if column.name == "currency" else f"{text} NOT IN ({_listed(codes())})"
            yield f"{text} IS NOT NULL AND {unknown}", _("not a currency code (ISO 4217)")
        if column.kind is Kind.MINOR:
            reason = _("more decimals than {currency} has", currency="{code}")
            places = (
                f"length({_digits(column, origin).fraction}) > _precision + {_digits(column, origin).places}"
            )
            yield f"{_digits(column, origin).sane} AND {places}", reason
        if column.name == "period":
            yield f"NOT regexp_full_match({text}, {literal(_PERIOD)})", _("not a period like 2026-Q3")
        if column.name == "rate":
            yield '"rate" <= 0', _("not more than 0")
        if column.kind.complaint:
            yield f'{text} IS NOT NULL AND "{column.name}" IS NULL', _(column.kind.complaint)

    def _join(self) -> str:
        if self.reading.table.name not in RATED or "currency" not in self.reading.bound:
            return ""
        return f"LEFT JOIN {CONNECTED} ON _rate_of = valued.currency"

    def _rateless(self) -> Iterator[Fault]:
        """The fault of an amount in a currency from which no rate leads to the workspace's by then."""
        dated = RATED.get(self.reading.table.name)
        bound = self.reading.bound.get("currency")
        if dated is None or bound is None:
            return
        late = f'(_rate_from IS NULL OR _rate_from > "{dated}")'
        foreign = f'amount_minor IS NOT NULL AND "t_currency" <> {literal(self.currency)}'
        yield Fault(
            f"{foreign} AND {late}", bound.label, self._raw(bound),
            _("no rate from {code} to {currency} on {day}", code="{code}", currency=self.currency, day="{day}"),
        )  # fmt: skip


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(map(literal, texts))


def _t(column: Column) -> str:
    return f'"t_{column.name}"'


def _digits(column: Column, origin: Origin) -> Number:
    return Number(f'"p_{column.name}"', origin.thousands)


def _minor(column: Column, origin: Origin) -> str:
    """The exact count of minor units as text: digits are moved, nothing is multiplied."""
    number = _digits(column, origin)
    known = " AND ".join(
        f"({number.parts}.{where} = '' OR list_contains(_symbols, {number.parts}.{where}))"
        for where in ("before", "after")
    )
    exact = f"length({number.fraction}) <= _precision + {number.places}"
    return f"CASE WHEN {number.sane} AND {known} AND {exact} THEN {number.shifted('_precision')} END"


def _number(column: Column, origin: Origin) -> str:
    """Any number as sign, digits, point and digits; null where it is none."""
    number = _digits(column, origin)
    if column.kind is Kind.MINOR:
        return _minor(column, origin)
    plain = f"CASE WHEN {number.sane} AND {number.bare} THEN {number.shifted('0')} END"
    if column.kind is not Kind.SHARE:
        return plain
    hundredth = f"CAST(try_cast({number.shifted('0')} AS DECIMAL(20, 10)) * 0.01 AS VARCHAR)"
    return f"CASE WHEN {number.sane} AND {number.parts}.before || {number.parts}.after = '%' THEN {hundredth} ELSE {plain} END"
