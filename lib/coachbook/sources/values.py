"""SQL that reads numbers, amounts, dates and instants as people and programs write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from coachbook.model.tables import Kind
from coachbook.sources.mapping import Origin

_NUMBERS = (Kind.MINOR, Kind.NUMBER, Kind.SHARE, Kind.COUNT, Kind.VALUE)
_WIDE, _NARROW = "０１２３４５６７８９．，（）％￥＋－−萬億\u2009\u202f\u00a0", "0123456789.,()%¥+--万亿   "
_FIELDS = "['open', 'sign', 'before', 'sign2', 'whole', 'fraction', 'unit', 'after', 'close']"
_SYMBOL = r"[^\d\s.,()+'-]*?"
_DATE = r"(19|20|21)\d\d([-/.]\d\d?[-/.]\d\d?|年\d\d?月\d\d?日)"
_TIME = r"[ T]*\d\d?:\d\d(:\d\d([.]\d+)?)?"
_OFFSET = r" *(Z|[+-]\d\d(:?\d\d)?)"


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def case(branches: list[tuple[str, str]], otherwise: str = "NULL") -> str:
    """The value of the first branch that holds."""
    if not branches:
        return otherwise
    return f"CASE {' '.join(f'WHEN {when} THEN {then}' for when, then in branches)} ELSE {otherwise} END"


@dataclass(frozen=True)
class Clock:
    """Where naive times are, and where a day ends: the file's time zone and the workspace's."""

    file: str
    """Empty: as the workspace's, and days of naive times are taken as they stand."""
    workspace: str


def is_number(kind: Kind) -> bool:
    """Whether `parts` are needed to read a column of that kind."""
    return kind in _NUMBERS


def parts(text: str, origin: Origin) -> str:
    """A number's text taken apart: a struct of sign, symbols, digits and unit; no digits where it is none."""
    point, comma = re.escape(origin.decimal), re.escape(origin.thousands)
    whole = rf"\d{{1,3}}(?:{comma}\d{{3}})+|\d+" if comma else r"\d+"
    form = rf"^(\(?)([+-]?) ?({_SYMBOL}) ?([+-]?)({whole}|)(?:{point}(\d*))? ?([万亿]?) ?({_SYMBOL})(\)?)$"
    tidy = f"trim(translate({text}, {literal(_WIDE)}, {literal(_NARROW)}))"
    return f"regexp_extract({tidy}, {literal(form)}, {_FIELDS})"


@dataclass(frozen=True)
class Number:
    """The parts of a number, in a query."""

    parts: str
    thousands: str

    @property
    def sane(self) -> str:
        """Whether it is a number at all: digits, at most one sign, brackets in pairs."""
        p = self.parts
        return (
            f"({p}.whole <> '' OR {p}.fraction <> '') AND ({p}.open = '') = ({p}.close = '')"
            f" AND length({p}.open || {p}.sign || {p}.sign2) <= 1"
        )

    @property
    def bare(self) -> str:
        """Whether no symbol stands before or after it."""
        return f"{self.parts}.before = '' AND {self.parts}.after = ''"

    @property
    def fraction(self) -> str:
        """The decimals that count."""
        return f"rtrim({self.parts}.fraction, '0')"

    @property
    def places(self) -> str:
        """By how many digits its unit moves the point."""
        return f"CASE {self.parts}.unit WHEN '万' THEN 4 WHEN '亿' THEN 8 ELSE 0 END"

    def shifted(self, digits: str) -> str:
        """Its digits with the point moved to the right, as text; digits left over follow a point."""
        p, moved = self.parts, f"({digits} + {self.places})"
        sign = f"CASE WHEN {p}.open <> '' OR {p}.sign || {p}.sign2 = '-' THEN '-' ELSE '' END"
        whole = f"replace({p}.whole, {literal(self.thousands)}, '')" if self.thousands else f"{p}.whole"
        left = f"substr({self.fraction}, {moved} + 1)"
        tail = f"CASE WHEN {left} <> '' THEN '.' || {left} ELSE '' END"
        return f"({sign} || '0' || {whole} || rpad(left({self.fraction}, {moved}), {moved}, '0') || {tail})"


def day(text: str, origin: Origin, clock: Clock) -> str:
    """The calendar day of a text; of an instant, the workspace's day."""
    if origin.format:
        dates, times = _formats(text, origin.format)
        return f"coalesce(CAST({dates} AS DATE), {_local(times, clock)})"
    return (
        f"CASE WHEN {text} IS NULL THEN NULL WHEN regexp_full_match({text}, {literal(_DATE)}) "
        f"THEN try_cast({_iso(text, '')} AS DATE) "
        f"WHEN regexp_full_match({text}, {literal(_DATE + _TIME + _OFFSET)}) "
        f"THEN CAST({_zoned(_aware(text), clock.workspace)} AS DATE) "
        f"WHEN regexp_full_match({text}, {literal(_DATE + _TIME)}) "
        f"THEN {_local(f'try_cast({_iso(text)} AS TIMESTAMP)', clock)} END"
    )


def moment(text: str, origin: Origin, clock: Clock) -> str:
    """The instant of a text in UTC; a day alone is its start in the workspace's time zone."""
    zone, empty = clock.file or clock.workspace, ""
    if origin.format:
        dates, times = _formats(text, origin.format)
        return f"coalesce({_utc(dates, clock.workspace)}, {_utc(times, zone)})"
    return (
        f"CASE WHEN {text} IS NULL THEN NULL WHEN regexp_full_match({text}, {literal(_DATE + _TIME)}) "
        f"THEN {_utc(f'try_cast({_iso(text)} AS TIMESTAMP)', zone)} "
        f"WHEN regexp_full_match({text}, {literal(_DATE + _TIME + _OFFSET)}) "
        f"THEN {_zoned(_aware(text), 'UTC')} "
        f"WHEN regexp_full_match({text}, {literal(_DATE)}) "
        f"THEN {_utc(f'CAST(try_cast({_iso(text, empty)} AS DATE) AS TIMESTAMP)', clock.workspace)} END"
    )


def native(kind: Kind, column: str, type_: str, clock: Clock) -> str:
    """A typed column as the kind's value, where no text is needed between; else empty."""
    zone = clock.file or clock.workspace
    if kind is Kind.DAY:
        local = _local(f"CAST({column} AS TIMESTAMP)", clock)
        zoned = f"CAST({_zoned(column, clock.workspace)} AS DATE)"
        return {"DATE": column, "TIMESTAMP": local, "TIMESTAMP WITH TIME ZONE": zoned}.get(type_, "")
    if kind is Kind.MOMENT:
        return {"TIMESTAMP": _utc(column, zone), "TIMESTAMP WITH TIME ZONE": _zoned(column, "UTC")}.get(
            type_, ""
        )
    if kind is Kind.FLAG:
        return column if type_ == "BOOLEAN" else ""
    return column if kind is Kind.COUNT and type_ in ("BIGINT", "INTEGER", "SMALLINT", "TINYINT") else ""


def _formats(text: str, formats: list[str]) -> tuple[str, str]:
    """What the forms of days, and those with a time, read."""

    def read(forms: list[str]) -> str:
        found = f"try_strptime({text}, [{', '.join(map(literal, forms))}])"
        return (
            f"CASE WHEN year({found}) BETWEEN 1900 AND 2199 THEN {found} END" if forms else "NULL::TIMESTAMP"
        )

    timed = [form for form in formats if re.search(r"%-?[HIcs]", form)]
    return read([form for form in formats if form not in timed]), read(timed)


def _iso(text: str, gap: str = " ") -> str:
    """The date in front as ISO has it, `gap` before what follows."""
    return rf"regexp_replace({text}, '^(\d{{4}})[-/.年](\d\d?)[-/.月](\d\d?)日?[ T]*', '\1-\2-\3{gap}')"


def _aware(text: str) -> str:
    """The text as an instant; DuckDB wants no space before the offset."""
    tight = rf"regexp_replace({_iso(text)}, ' +(Z|[+-]\d\d:?(\d\d)?)$', '\1')"
    return rf"try_cast(regexp_replace({tight}, '([+-]\d\d)$', '\1:00') AS TIMESTAMPTZ)"


def _zoned(instant: str, zone: str) -> str:
    return f"timezone({literal(zone)}, {instant})"


def _utc(naive: str, zone: str) -> str:
    return naive if zone == "UTC" else f"timezone('UTC', timezone({literal(zone)}, {naive}))"


def _local(naive: str, clock: Clock) -> str:
    """The workspace's day of a naive time of the file."""
    if not clock.file or clock.file == clock.workspace:
        return f"CAST({naive} AS DATE)"
    return f"CAST({_zoned(f'timezone({literal(clock.file)}, {naive})', clock.workspace)} AS DATE)"
