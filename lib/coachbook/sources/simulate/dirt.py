"""Faults such as real exports have, sown into the rows of CSV files, each counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Row = list[str]
SHARE = 0.002
"""Share of a table's rows that get each of its faults."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault: what it does to a row, given as a dictionary by column."""

    table: str
    name: str
    spoil: Callable[[dict[str, str]], dict[str, str]]


def _sets(**values: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda row: row | values


def _grouped(row: dict[str, str]) -> dict[str, str]:
    """An amount as it is written in Germany: 1.234,50."""
    amount = float(row["amount"] or 1234.5)
    return row | {"amount": f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))}


def _in_ten_thousands(row: dict[str, str]) -> dict[str, str]:
    """An amount as it is written in China: ¥12.3万."""
    return row | {"amount": f"¥{float(row['amount'] or 12300) / 10_000:,.4f}万"}


def _named(text: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda row: row | {"name": text + row["name"]}


FAULTS = (
    Fault("deals", "won without a close date", _sets(status="won", close_on="")),
    Fault(
        "deals", "closed before created", _sets(status="lost", created_on="2026-06-02", close_on="2024-01-15")
    ),
    Fault("deals", "unreadable amount", _sets(amount="twelve thousand")),
    Fault("deals", "amount with comma and points", _grouped),
    Fault("deals", "amount in ten thousands", _in_ten_thousands),
    Fault("deals", "negative amount", _sets(amount="-500")),
    Fault("deals", "amount of nothing", _sets(amount="0")),
    Fault("deals", "unreadable date", _sets(close_on="31.02.2026")),
    Fault("deals", "unknown owner", _sets(rep_id="R-GONE")),
    Fault("deals", "unknown status", _sets(status="maybe")),
    Fault("deals", "blank currency", _sets(currency="")),
    Fault("deals", "formula as name", _named("=cmd|' /C calc'!A0 ")),
    Fault("deals", "markup as name", _named("</script><img src=x onerror=alert(1)> ")),
    Fault("deals", "control characters in name", _named("\x07\x1b[31m\u202e")),
    Fault("deals", "word for nothing as amount", _sets(amount="N/A")),
    Fault("deal_events", "unreadable instant", _sets(occurred_at="yesterday")),
    Fault("deal_events", "blank deal", _sets(deal_id="")),
    Fault("deal_events", "unknown field", _sets(field="mood")),
    Fault("activities", "unknown owner", _sets(rep_id="R-GONE")),
    Fault("activities", "unreadable minutes", _sets(minutes="long")),
    Fault("accounts", "blank name", _sets(name="")),
    Fault("quotas", "blank amount", _sets(amount="")),
)
SHORT, DUPLICATE = "row cut short", "repeated under a new id"


class Sower:
    """Sows faults into rows as they are written; a row gets one at most."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.counts: Counter[str] = Counter()
        """By table and fault."""

    def spoilt(self, table: str, header: Row, rows: list[Row]) -> list[Row]:
        """The rows of a table with their faults; rows repeated under a new id come last."""
        kinds = [fault for fault in FAULTS if fault.table == table]
        if not kinds:
            return rows
        each = min(max(1, round(len(rows) * SHARE)), len(rows) // (len(kinds) + 2))
        places = self.rng.permutation(len(rows))[: each * (len(kinds) + 2)].reshape(len(kinds) + 2, each)
        for fault, chosen in zip(kinds, places[2:], strict=True):
            for n in chosen:
                rows[n] = list(fault.spoil(dict(zip(header, rows[n], strict=True))).values())
            self.counts[f"{table}: {fault.name}"] += each
        repeated = [[f"{rows[n][0]}-2", *rows[n][1:]] for n in places[0]] if table == "deals" else []
        for n in places[1]:
            rows[n] = rows[n][: len(header) // 2]
        self.counts[f"{table}: {SHORT}"] += each
        if repeated:
            self.counts[f"{table}: {DUPLICATE}"] += len(repeated)
        return rows + repeated
