"""Figures of the made-up company, from its raw CSVs by hand. Never imports coachbook."""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import date
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

Row = dict[str, str]


class Demo:
    """Who won what, in whole cents of the reporting currency USD; everything entered by the last day counts."""

    def __init__(self, folder: Path) -> None:
        self.deals = {row["deal_id"]: row for row in read(folder / "deals.csv")}
        self.rates = sorted((day(r["from_on"]), Fraction(r["rate"])) for r in read(folder / "fx_rates.csv"))
        self.owners: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
        for row in read(folder / "deal_events.csv"):
            if row["field"] == "owner":
                self.owners[row["deal_id"]].append((row["occurred_at"], int(row["seq"]), row["new"]))
        self.splits: dict[str, dict[str, Fraction]] = defaultdict(dict)
        for row in read(folder / "splits.csv"):
            if row["kind"] == "revenue":
                self.splits[row["deal_id"]][row["rep_id"]] = Fraction(row["share"])

    def figures(self, rep: str, first: date, after: date) -> dict[str, Any]:
        """Of deals with a close date from `first` up to, not including, `after`."""
        mine = [d for d in self.decided(first, after) if self.credited(d) == rep]
        won = [d for d in mine if d["status"] == "won"]
        sizes = [self.cents(d) for d in won]
        cycles = [(day(d["close_on"]) - day(d["created_on"])).days for d in won]
        return {
            "deals_won": len(won),
            "won_amount": sum(self.part(d, rep) for d in self.decided(first, after) if d["status"] == "won"),
            "win_rate_count": len(won) / len(mine) if mine else None,
            "average_deal_size": round(sum(sizes) / len(sizes)) if sizes else None,
            "cycle_days": median(cycles) if cycles else None,
        }

    def decided(self, first: date, after: date) -> list[Row]:
        return [
            d for d in self.deals.values()
            if d["status"] != "open" and d["close_on"] and first <= day(d["close_on"]) < after
        ]  # fmt: skip

    def credited(self, deal: Row) -> str:
        """Whoever owned the deal on its close date."""
        changes = sorted(self.owners[deal["deal_id"]])
        until = [new for at, _seq, new in changes if at[:10] <= deal["close_on"]]
        return until[-1] if until else changes[0][2]

    def part(self, deal: Row, rep: str) -> int:
        """What of a won deal is a person's: by splits, the cents that are left over to the largest remainders."""
        shares, whole, owner = self.splits.get(deal["deal_id"], {}), self.cents(deal), self.credited(deal)
        if not shares:
            return whole if owner == rep else 0
        exact = {who: whole * share / sum(shares.values()) for who, share in shares.items()}
        cents = {who: int(part) for who, part in exact.items()}
        left = whole - sum(cents.values())
        for who in sorted(exact, key=lambda w: (-(exact[w] - cents[w]), w != owner, w))[:left]:
            cents[who] += 1
        return cents.get(rep, 0)

    def cents(self, deal: Row) -> int:
        """The amount in US cents at the rate of the close date, half a cent up."""
        if not deal["amount"]:
            return 0
        amount = Fraction(deal["amount"])
        if deal["currency"] == "CNY":
            amount /= [rate for since, rate in self.rates if since <= day(deal["close_on"])][-1]
        return int(amount * 100 + Fraction(1, 2))


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def day(text: str) -> date:
    return date.fromisoformat(text)
