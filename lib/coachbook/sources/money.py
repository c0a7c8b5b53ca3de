"""Currencies, their decimals and symbols; and from which day on a rate connects one with the workspace's."""

from __future__ import annotations

from functools import cache

import pyarrow as pa  # type: ignore[import-untyped]
from babel.core import Locale as BabelLocale
from babel.numbers import get_currency_precision, get_currency_symbol, list_currencies
from duckdb import DuckDBPyConnection

from coachbook.text import Locale

CURRENCIES = "currencies"
CONNECTED = "connected"
_ALSO = {
    "CNY": ("元", "人民币", "RMB", "CN¥", "元人民币"), "JPY": ("円", "日元"), "USD": ("美元",), "EUR": ("欧元",),
    "HKD": ("港元", "港币"), "GBP": ("英镑",), "TWD": ("NT$", "新台币"),
}  # fmt: skip


@cache
def codes() -> tuple[str, ...]:
    """Every ISO 4217 code."""
    return tuple(sorted(list_currencies()))


@cache
def _symbols(code: str) -> tuple[str, ...]:
    """What may stand before or after an amount of a currency."""
    said = {code, *(get_currency_symbol(code, locale) for locale in _locales()), *_ALSO.get(code, ())}
    short = {symbol[-1] for symbol in said if not symbol[-1].isalnum()}
    return tuple(sorted(said | short))


@cache
def _locales() -> list[BabelLocale]:
    """Read once: Babel looks at every locale there is whenever it is given a name."""
    return [BabelLocale.parse(locale) for locale in Locale]


def tabulate(connection: DuckDBPyConnection) -> None:
    """Make the temporary table `currencies`: `_code`, `_precision` (decimals) and `_symbols` of each."""
    table = pa.table(
        {
            "_code": codes(),
            "_precision": pa.array([get_currency_precision(code) for code in codes()], pa.int32()),
            "_symbols": [list(_symbols(code)) for code in codes()],
        }
    )
    connection.register("_currencies", table)
    connection.execute(f"CREATE TEMP TABLE {CURRENCIES} AS FROM _currencies")
    connection.unregister("_currencies")


def connect(connection: DuckDBPyConnection, relations: list[str], currency: str) -> None:
    """Make the temporary table `connected`: each currency (`_rate_of`) with the first day (`_rate_from`) on which a rate leads to `currency`.

    Rates connect directly, else inversely, else through a currency into which both have one, as the snapshot
    takes them. `relations` have the columns of `fx_rates`.
    """
    rates = " UNION ALL ".join(f'SELECT currency, "into", from_on FROM {relation}' for relation in relations)
    connection.execute(
        f"""
        CREATE TEMP TABLE {CONNECTED} AS
        WITH rates AS (SELECT currency, "into", min(from_on) AS from_on FROM ({rates}) GROUP BY ALL),
        mine AS (SELECT "into", from_on FROM rates WHERE currency = $currency),
        paths AS (
            SELECT currency, from_on, '1' AS way FROM rates WHERE "into" = $currency
            UNION ALL
            SELECT "into", from_on, '2' FROM mine
            UNION ALL
            SELECT rates.currency, greatest(rates.from_on, mine.from_on), '3' || "into" FROM rates JOIN mine USING ("into")
        )
        SELECT currency AS _rate_of, arg_min(from_on, way) AS _rate_from FROM paths GROUP BY currency
        """,
        {"currency": currency},
    )
