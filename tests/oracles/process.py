"""Activities and leads by hand, in pandas and plain Python; deals as in `velocity`. Never imports coachbook."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from tests.oracles.velocity import BEGIN, Company, Deal, Scope, days

Row = dict[str, Any]


def local(at: datetime, zone: str) -> date:
    return pd.Timestamp(at, tz="UTC").tz_convert(ZoneInfo(zone)).date()


def effective(
    company: Company,
    activities: Sequence[Row],
    customers: dict[str, str],
    days: tuple[date, date],
    zone: str,
    minutes: int,
) -> Counter[Scope]:
    """`customers`: of each deal and account, and of each account that was merged, where it went."""
    met: dict[Scope, set[tuple[str, date]]] = defaultdict(set)
    for a in activities:
        day = local(a["occurred_at"], zone)
        held = a["kind"] == "visit" and a["held"] is not False
        long = (a["minutes"] or 0) >= minutes or a["checked_in"] is True
        if not held or not long or not a["outcome"] or not a["contact_id"] or not days[0] <= day < days[1]:
            continue
        account = a["account_id"] or customers.get(a["deal_id"] or "") or a["contact_id"]
        for scope in company.scopes(a["rep_id"], day):
            met[scope].add((customers.get(account, account), day))
    return Counter({scope: len(pairs) for scope, pairs in met.items()})


def followed(
    company: Company, activities: Sequence[Row], first: date, after: date, zone: str, kinds: Collection[str]
) -> dict[Scope, tuple[int, int, int]]:
    """By scope: touches, deal-days at risk, deals. A day counts for who has the deal at its end, or had it to its end."""
    on_day: Counter[tuple[str, date]] = Counter(
        (a["deal_id"], local(a["occurred_at"], zone)) for a in activities
        if a["kind"] in kinds and a["held"] is not False and a["deal_id"]
    )  # fmt: skip
    found: dict[Scope, list[Any]] = defaultdict(lambda: [0, 0, set()])
    for deal in company.deals:
        for day in days(first, after):
            owner = _holder(deal, day)
            if owner is None:
                continue
            for scope in company.scopes(owner[0], day):
                found[scope][0] += on_day[deal.id, day]
                found[scope][1] += 1
                found[scope][2].add(deal.id)
    return {scope: (touches, at_risk, len(deals)) for scope, (touches, at_risk, deals) in found.items()}


def _holder(deal: Deal, day: date) -> tuple[str] | None:
    """Who has it in the evening, if it is open; else who had it when it was last decided on this day."""
    state = deal.evening(day)
    if state and state["status"] == "open":
        return (state["owner"],)
    last = None
    start = deal.evening(day - timedelta(days=1))
    if start and start["status"] == "open":
        last = start["owner"]
    for when, _values in deal.steps:
        now = deal.at(when)
        if when.date() == day and now and now["status"] == "open":
            last = now["owner"]
    return None if last is None else (last,)


def leads(
    company: Company, rows: Sequence[Row], first: date, after: date, horizon: int, now: date
) -> pd.DataFrame:
    """By scope: leads, aged, in_time, undated."""
    made = {deal.id: deal.created for deal in company.deals}
    table = []
    for row in rows:
        if not first <= row["created_on"] < after:
            continue
        aged = (now - row["created_on"]).days >= horizon
        won = row["status"] == "converted"
        day = row["decided_on"] or made.get(row["deal_id"])
        counted = {
            "leads": 1, "aged": aged, "undated": aged and won and day is None,
            "in_time": aged and won and day is not None and (day - row["created_on"]).days <= horizon,
        }  # fmt: skip
        table += [{"scope": scope, **counted} for scope in company.scopes(row["rep_id"], row["created_on"])]
    columns = ["leads", "aged", "in_time", "undated"]
    frame = pd.DataFrame(table, columns=["scope", *columns])
    return frame.groupby("scope")[columns].sum().astype(int)


def entered(company: Company, stage: str, first: date, after: date) -> Counter[Scope]:
    """Deals that came into a stage, by who had them then."""
    found: dict[Scope, set[str]] = defaultdict(set)
    for deal in company.deals:
        before: Row | None = None
        for when, _values in deal.steps:
            state = deal.at(when)
            assert state
            there = state["status"] == "open" and state["stage"] == stage
            was = before is not None and before["status"] == "open" and before["stage"] == stage
            if there and not was and first <= when.date() < after:
                for scope in company.scopes(state["owner"], when.date()):
                    found[scope].add(deal.id)
            before = state
    return Counter({scope: len(deals) for scope, deals in found.items()})


def documents(
    company: Company, activities: Sequence[Row], first: date, after: date, zone: str
) -> Counter[Scope]:
    sent: dict[Scope, set[str]] = defaultdict(set)
    for a in activities:
        day = local(a["occurred_at"], zone)
        if a["kind"] == "document" and a["held"] is not False and first <= day < after:
            for scope in company.scopes(a["rep_id"], day):
                sent[scope].add(a["deal_id"] or a["activity_id"])
    return Counter({scope: len(things) for scope, things in sent.items()})


def made_up(company: Company, seed: int, count: int = 500) -> tuple[list[Row], list[Row]]:
    """Activities around the deals, and leads."""
    rng = Random(seed)

    def some(*values: Any) -> Any:
        return rng.choice(values)

    activities = []
    for n in range(count):
        deal = rng.choice(company.deals)
        day = deal.created + timedelta(days=rng.choice([-3, 0, 0, 1, 2, 4, 8, 15, 30, 50]))
        state = deal.evening(day) or deal.steps[0][1]
        kind = some("call", "email", "visit", "visit", "visit", "document", "note")
        visit = kind == "visit"
        activities.append(
            {
                "activity_id": f"x{n}", "rep_id": some(state["owner"], state["owner"], *"abcde"), "kind": kind,
                "occurred_at": datetime.combine(day, time(rng.randrange(24), rng.randrange(60))),
                "deal_id": some(deal.id, deal.id, None), "account_id": some(None, "k1", "k2", "k3"),
                "contact_id": some(None, "p1", "p2", "p3"), "held": some(None, None, True, True, False) if visit else None,
                "outcome": some(None, "", "agreed", "agreed"), "minutes": some(None, 10, 30, 45) if visit else None,
                "checked_in": some(None, None, True, False) if visit else None, "lead_id": None,
            }
        )  # fmt: skip
    found = []
    for n in range(count // 4):
        created = BEGIN + timedelta(days=rng.randrange(150))
        status = some("open", "converted", "converted", "dropped")
        decided = None if status == "open" else created + timedelta(days=rng.randrange(60))
        found.append(
            {
                "lead_id": f"l{n}", "rep_id": some(*"aabcdez", None), "status": status, "created_on": created,
                "decided_on": some(decided, decided, None) if status == "converted" else decided,
                "deal_id": some(None, *(d.id for d in company.deals[:3])) if status == "converted" else None,
            }
        )  # fmt: skip
    return activities, found
