"""Words, numbers, money and dates in the reader's language.

Every text a person reads passes through `_`; message ids are the English texts themselves, with
`{name}` placeholders. Catalogues: `locales/<locale>/LC_MESSAGES/coachbook.po`.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from enum import StrEnum
from functools import cache
from importlib.resources import files

from babel.core import Locale as BabelLocale
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, get_currency_precision

UNKNOWN = "–"
_SHOWN = 80


class Locale(StrEnum):
    """A language that coachbook speaks, with each library's name for it."""

    EN = "en"
    ZH_CN = "zh_CN"

    @property
    def html(self) -> str:
        """Name in HTML and in browsers (BCP 47)."""
        return {Locale.EN: "en", Locale.ZH_CN: "zh-CN"}[self]

    @property
    def great_tables(self) -> str:
        """Name that great-tables takes (it raises on `zh_CN`)."""
        return {Locale.EN: "en", Locale.ZH_CN: "zh-Hans"}[self]

    @property
    def endonym(self) -> str:
        """The language's name in itself."""
        return {Locale.EN: "English", Locale.ZH_CN: "简体中文"}[self]


_speaking: ContextVar[Locale | None] = ContextVar("coachbook_locale", default=None)
_process = Locale.EN


def active() -> Locale:
    """The language that `_` and the formatters speak now."""
    return _speaking.get() or _process


def use(locale: Locale) -> None:
    """Speak `locale` from here on in this context (a request, a command)."""
    _speaking.set(locale)


def use_everywhere(locale: Locale) -> None:
    """Speak `locale` in this whole process: a kernel runs each cell in a context of its own."""
    global _process
    _process = locale


@contextmanager
def speaking(locale: Locale) -> Iterator[None]:
    """Speak `locale` inside the block, whatever others do at the same time."""
    token = _speaking.set(locale)
    try:
        yield
    finally:
        _speaking.reset(token)


@cache
def _catalogue(locale: Locale) -> gettext.NullTranslations:
    if locale is Locale.EN:
        return gettext.NullTranslations()
    return gettext.translation("coachbook", str(files("coachbook") / "locales"), [locale.value])


def _(message: str, /, **values: object) -> str:
    """The message in the active language, its placeholders filled."""
    translated = _catalogue(active()).gettext(message) if message else ""
    return translated.format(**values) if values else translated


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for "mark, translate later"
    """Mark a message for the catalogue; it is translated where it is shown."""
    return message


def shown(value: object) -> str:
    """A value as it may be printed anywhere: control characters escaped, cut at 80 characters."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _babel() -> BabelLocale:
    return BabelLocale.parse(active().value)


def number(value: float | None, digits: int = 0) -> str:
    """A number with grouping and a fixed count of decimals; unknown is a dash."""
    if value is None:
        return UNKNOWN
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    return format_decimal(round(value, digits) + 0.0, format=pattern, locale=_babel())


def percent(share: float | None, digits: int = 0) -> str:
    """A share in [0, 1] as a percentage."""
    return UNKNOWN if share is None else f"{number(share * 100, digits)}%"


def points(difference: float | None, digits: int = 0) -> str:
    """A difference of two shares, signed, in percentage points."""
    if difference is None:
        return UNKNOWN
    return _("{value} pp", value=signed(number(difference * 100, digits), difference))


def signed(formatted: str, value: float) -> str:
    """A formatted figure with an explicit sign; minus is the typographic one."""
    bare = formatted.lstrip("-−")
    if not any(c in "123456789" for c in bare):
        return bare
    return f"{'+' if value > 0 else '−'}{bare}"


def money(minor: float | None, currency: str, *, compact: bool = False) -> str:
    """An amount in minor units as money; `compact` uses M and B, or 万 and 亿, from a million."""
    if minor is None:
        return UNKNOWN
    major = minor / 10 ** get_currency_precision(currency)
    if not compact or abs(major) < 1_000_000:
        return format_currency(
            round(major), currency, format="¤#,##0", locale=_babel(), currency_digits=False
        ).replace("-", "−")
    chinese = active() is Locale.ZH_CN
    steps = ((1e8, "亿", 2), (1e4, "万", 1)) if chinese else ((1e9, "B", 2), (1e6, "M", 2))
    size, suffix, digits = next(s for s in steps if abs(major) >= s[0])
    pattern = "¤#,##0" + ("." + "0" * digits if digits else "")
    figure = format_currency(
        major / size, currency, format=pattern, locale=_babel(), currency_digits=False
    ).replace("-", "−")
    return f"{figure}{suffix}"


def days(value: float | None, digits: int = 0) -> str:
    """A duration in days."""
    return UNKNOWN if value is None else _("{days} days", days=number(value, digits))


def day(value: date | None) -> str:
    """A calendar day, written out."""
    return UNKNOWN if value is None else format_date(value, format="long", locale=_babel())


def told(sentences: list[str]) -> str:
    """Sentences one after the other."""
    return ("" if active() is Locale.ZH_CN else " ").join(sentences)


def listed(items: list[str]) -> str:
    """Items as one phrase, in the language's own separators."""
    return ("、" if active() is Locale.ZH_CN else ", ").join(items)
