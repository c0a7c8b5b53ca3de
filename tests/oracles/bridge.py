"""The pipeline bridge by hand: one deal, one transaction, one field at a time. Never imports coachbook.

Written from METRICS.md: a deal is in a scope's pipe while it is open, its close date is in the window and its owner
is in the scope; whatever a change of one field does to that is a flow, named by the field. Nothing is known here of
which scopes a change concerns: every scope that has the deal before or after is looked at.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

Scope = tuple[str, str]
"""`("rep", id)`, `("team", id)` or `("org", "")`."""
Sums = tuple[int, int]
"""Deals, and minor units of the reporting currency."""
Days = tuple[date, date]
"""First day, and the day after the last."""

INWARD = ("created", "pulled_in", "pushed_in", "dated_in", "reopened", "transferred_in", "increases")
OUTWARD = (
    "decreases", "won", "lost", "pushed_out", "pulled_out", "dated_out", "transferred_out", "deleted",
)  # fmt: skip
NOT_YET = "not yet"
MORNING = datetime(1, 1, 1)


@dataclass(frozen=True)
class Event:
    """One change of one field: `amount` (minor units), `currency`, `close_on`, `owner` or `status`; `at` is UTC."""

    deal: str
    at: datetime
    field: str
    value: Any
    seq: int = 0


@dataclass(frozen=True)
class Deal:
    """What counts of a deal at an instant."""

    status: str = NOT_YET
    amount: int | None = None
    currency: str = "USD"
    close_on: date | None = None
    owner: str | None = None


@dataclass
class Company:
    """An event log; who is in which team from which day on; rates into reporting minor units, by currency and day."""

    events: list[Event]
    teams: Sequence[tuple[str, date, str | None]]
    rates: Mapping[str, Sequence[tuple[date, Fraction]]] = field(
        default_factory=lambda: {"USD": [(date.min, Fraction(1))]}
    )
    zone: str = "UTC"

    def day(self, at: datetime) -> date:
        return at.replace(tzinfo=UTC).astimezone(ZoneInfo(self.zone)).date()

    def team(self, owner: str | None, day: date) -> str | None:
        begun = [(since, team) for rep, since, team in self.teams if rep == owner and since <= day]
        return max(begun, key=lambda stretch: stretch[0])[1] if begun else None

    def worth(self, deal: Deal, rated_on: date) -> int | None:
        begun = [rate for since, rate in sorted(self.rates.get(deal.currency, [])) if since <= rated_on]
        if deal.amount is None or not begun:
            return None
        minor = int(abs(deal.amount) * begun[-1] + Fraction(1, 2))
        return minor if deal.amount > 0 else -minor


@dataclass
class Told:
    """The bridges of one company, span and window (None: any close date): by scope and part, deals and minor units."""

    company: Company
    days: Days
    window: Days | None
    rated_on: date
    sums: dict[Scope, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    unvalued: dict[Scope, set[str]] = field(default_factory=lambda: defaultdict(set))

    def part(self, scope: Scope, name: str) -> Sums:
        found = self.sums.get(scope, Counter())
        return found["count", name], found["minor", name]

    def residual(self, scope: Scope) -> Sums:
        signs = dict.fromkeys(("start", *INWARD), 1) | dict.fromkeys(("end", *OUTWARD), -1)
        parts = [(sign, self.part(scope, name)) for name, sign in signs.items()]
        return sum(sign * part[0] for sign, part in parts), sum(sign * part[1] for sign, part in parts)


def bridge(company: Company, days: Days, window: Days | None, *, rated_on: date | None = None) -> Told:
    """All bridges of a span of days."""
    told = Told(company, days, window, rated_on or days[0])
    ordered = sorted(company.events, key=lambda e: (e.deal, e.at))
    for name, events in groupby(ordered, key=lambda e: e.deal):
        _walk(told, name, list(events))
    return told


def _walk(told: Told, name: str, events: list[Event]) -> None:
    """One deal from its first event to the end of the span."""
    first, after = told.days
    deal, started = Deal(), False
    for day, transaction in _timeline(told, events):
        if day >= after:
            break
        if day >= first and not started:
            started = True
            _stand(told, name, "start", deal, first - timedelta(days=1))
        if transaction is None:
            _note(told, name, "team", (deal, day - timedelta(days=1)), (deal, day))
            continue
        for change, changed in _applied(deal, transaction):
            _note(told, name, change, (deal, day), (changed, day))
            deal = changed
    if not started:
        _stand(told, name, "start", deal, first - timedelta(days=1))
    _stand(told, name, "end", deal, after - timedelta(days=1))


def _timeline(told: Told, events: list[Event]) -> Iterator[tuple[date, dict[str, Any] | None]]:
    """By day: None for a morning on which somebody changes teams, then the transactions as field → value."""
    first, after = told.days
    entries: list[tuple[date, datetime, dict[str, Any] | None]] = [
        (since, MORNING, None) for since in {since for _rep, since, _team in told.company.teams}
        if first <= since < after
    ]  # fmt: skip
    for at, together in groupby(events, key=lambda e: e.at):
        values = {e.field: e.value for e in sorted(together, key=lambda e: e.seq)}
        entries.append((told.company.day(at), at, values))
    for day, _at, transaction in sorted(entries, key=lambda entry: entry[:2]):
        yield day, transaction


def _applied(deal: Deal, told: dict[str, Any]) -> Iterator[tuple[str, Deal]]:
    """Field after field, in the order of METRICS.md: the change, and the deal after it."""
    status = told.get("status", "open" if deal.status == NOT_YET else deal.status)
    is_new = deal.status == NOT_YET
    facts = [("amount", told), ("close_on", told)]
    late = status in ("lost", "deleted") and not is_new
    for name, source in () if late else facts:
        deal = _with(deal, name, source)
        yield name, deal
    if "owner" in told:
        deal = replace(deal, owner=told["owner"])
        yield "owner", deal
    if status != deal.status:
        if deal.status != "open" and status != "deleted":
            deal = replace(deal, status="open")
            yield "created" if is_new else "reopened", deal
        if status != "open":
            deal = replace(deal, status=status)
            yield status, deal
    for name, source in facts if late else ():
        deal = _with(deal, name, source)
        yield name, deal


def _with(deal: Deal, name: str, source: dict[str, Any]) -> Deal:
    """An amount comes with its currency."""
    fields = ("amount", "currency") if name == "amount" else (name,)
    return replace(deal, **{f: source[f] for f in fields if f in source})


def _scopes(told: Told, deal: Deal, day: date) -> set[Scope]:
    """In whose pipe it is."""
    due = told.window is None or (
        deal.close_on is not None and told.window[0] <= deal.close_on < told.window[1]
    )
    if deal.status != "open" or not due:
        return set()
    found = {("org", "")}
    if any(deal.owner == rep for rep, _since, _team in told.company.teams):
        found.add(("rep", str(deal.owner)))
    if team := told.company.team(deal.owner, day):
        found.add(("team", team))
    return found


def _note(told: Told, name: str, change: str, before: tuple[Deal, date], after: tuple[Deal, date]) -> None:
    """What one change does to every scope's pipe, if it lies in the span."""
    if after[1] < told.days[0]:
        return
    was, now = (_scopes(told, *moment) for moment in (before, after))
    old, new = (told.company.worth(deal, told.rated_on) for deal in (before[0], after[0]))
    for scope in was | now:
        if scope in was and scope in now:
            difference = (new or 0) - (old or 0)
            _add(told, scope, "increases" if difference > 0 else "decreases", (0, abs(difference)))
        else:
            _add(told, scope, _flow(change, before[0], after[0], is_in=scope in now), (1, new or 0))
        if new is None:
            told.unvalued[scope].add(name)


def _flow(change: str, before: Deal, after: Deal, *, is_in: bool) -> str:
    way = "in" if is_in else "out"
    if change in ("owner", "team"):
        return f"transferred_{way}"
    if change != "close_on":
        return change
    if before.close_on is None or after.close_on is None:
        return f"dated_{way}"
    return f"{'pulled' if after.close_on < before.close_on else 'pushed'}_{way}"


def _stand(told: Told, name: str, part: str, deal: Deal, evening: date) -> None:
    worth = told.company.worth(deal, told.rated_on)
    for scope in _scopes(told, deal, evening):
        _add(told, scope, part, (1, worth or 0))
        if worth is None:
            told.unvalued[scope].add(name)


def _add(told: Told, scope: Scope, part: str, sums: Sums) -> None:
    told.sums[scope]["count", part] += sums[0]
    told.sums[scope]["minor", part] += sums[1]


def won(company: Company, days: Days, window: Days | None, rated_on: date) -> dict[Scope, Sums]:
    """What was won in the span with a close date in the window, by who owned it when it was won; no pipe involved."""
    sums: dict[Scope, Sums] = defaultdict(lambda: (0, 0))
    for _name, events in groupby(
        sorted(company.events, key=lambda e: (e.deal, e.at, e.seq)), key=lambda e: e.deal
    ):
        last: dict[str, Any] = {"currency": "USD"}
        for at, together in groupby(events, key=lambda e: e.at):
            was = last.get("status")
            last = last | {e.field: e.value for e in together}
            close_on, day = last.get("close_on"), company.day(at)
            inside = window is None or (close_on is not None and window[0] <= close_on < window[1])
            if last.get("status") != "won" or was == "won" or not inside or not days[0] <= day < days[1]:
                continue
            owner = last.get("owner")
            minor = company.worth(Deal("won", last.get("amount"), last["currency"]), rated_on) or 0
            for scope in (("org", ""), ("rep", owner or ""), ("team", company.team(owner, day) or "")):
                sums[scope] = sums[scope][0] + 1, sums[scope][1] + minor
    return dict(sums)


def scopes(company: Company) -> Iterator[Scope]:
    """Everybody's."""
    yield "org", ""
    yield from {("rep", rep) for rep, _since, _team in company.teams}
    yield from {("team", team) for _rep, _since, team in company.teams if team}
