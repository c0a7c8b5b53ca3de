"""Texts in cells of a spreadsheet: none is taken for a formula, and each can be read back."""

from __future__ import annotations

from decimal import Decimal

from babel.numbers import get_currency_precision

_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_BEFORE = "' \t\r\n\u00a0\u3000"
"""What a program may pass over before it looks for a sign."""


def inert(text: str) -> str:
    """The text as a cell may hold it: with an apostrophe before what a spreadsheet would calculate.

    >>> inert("=1+1"), inert("Call Anna")
    ("'=1+1", 'Call Anna')
    """
    return f"'{text}" if _calculates(text) else text


def plain(text: str) -> str:
    """What `inert` was given.

    >>> plain("'=1+1"), plain("'tis so")
    ('=1+1', "'tis so")
    """
    return text[1:] if text.startswith("'") and _calculates(text) else text


def major(minor: int | str, currency: str) -> str:
    """An amount in major units, as digits; decimals only where there are any.

    >>> major(8000050, "USD"), major(8000000, "USD"), major(80000, "JPY")
    ('80000.50', '80000', '80000')
    """
    amount = Decimal(minor).scaleb(-get_currency_precision(currency))
    return f"{int(amount)}" if amount == int(amount) else f"{amount:f}"


def _calculates(text: str) -> bool:
    return text.lstrip(_BEFORE).startswith(_SIGNS) or text.lstrip("'").startswith(("\t", "\r"))
