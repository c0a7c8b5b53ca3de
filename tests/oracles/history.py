"""Deal histories worked out by hand: observations in order, one at a time. Never imports coachbook.

An export is (day, {deal: row}, complete); an event is a dict of the canonical table `deal_events` with the day of
the export that brought it. Everything is at the grain of a day, in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

FIELDS = ("stage", "status", "amount", "close_on", "owner")
COLUMNS = {
    "stage": "stage",
    "status": "status",
    "amount": "amount_minor",
    "close_on": "close_on",
    "owner": "rep_id",
}
END = timedelta(days=1) - timedelta(microseconds=1)


@dataclass
class Export:
    day: date
    rows: dict[str, dict[str, Any]]
    complete: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)


def start(day: date) -> datetime:
    return datetime.combine(day, time())


def end(day: date) -> datetime:
    return start(day) + END


def observations(exports: Iterable[Export], deal: str, known_on: date) -> list[tuple[Any, ...]]:
    """(instant, place, seq, {field: value}) of one deal, as known at the end of a day, in order."""
    exports = sorted(exports, key=lambda export: export.day)
    explicit = [
        event for export in exports for event in export.events
        if event["deal_id"] == deal and recorded(event, export, exports) <= known_on
    ]  # fmt: skip
    explicit.sort(key=lambda event: (event["occurred_at"], event["seq"]))
    found: list[tuple[Any, ...]] = [
        (event["occurred_at"], 1, event["seq"], {event["field"]: event["new"]}) for event in explicit
    ]
    begun = min((export.day for export in exports if export.events), default=date.max)
    ever = [
        event for export in exports for event in export.events
        if event["deal_id"] == deal and export.day <= max(known_on, begun)
    ]  # fmt: skip
    ever.sort(key=lambda event: (event["occurred_at"], event["seq"]))
    first = {name: next((e for e in ever if e["field"] == name), None) for name in FIELDS}
    base = exports[0].day
    shown = False
    last_seen: date | None = None
    for before, export in zip([None, *exports], exports, strict=False):
        row = export.rows.get(deal)
        if row is not None and before and before.rows.get(deal) == row:
            last_seen = export.day
            continue  # a list that says what it said before tells nothing new, whatever its source recorded
        if row is None:
            if shown and export.complete and last_seen is not None and export.day <= known_on:
                found.append((end(export.day), 3, 0, {"status": "deleted"}))
                last_seen = None
            continue
        values = {name: row.get(COLUMNS[name]) for name in FIELDS}
        modified = row.get("modified_at")
        told = modified is not None and seen_before(exports, deal, export) < modified.date() <= export.day
        stamp = modified.date() if told else export.day
        if export.day != base and stamp > known_on:
            continue
        if not shown:
            found += created(row, values, first, ever)
            if ever:
                found.append((end(export.day), 2, 0, {name: values[name] for name in FIELDS if first[name]}))
        else:
            found.append((modified if told else end(export.day), 2, 0, values))
        shown, last_seen = True, export.day
    return sorted(found, key=lambda o: (o[0], o[1], o[2]))


def seen_before(exports: list[Export], deal: str, export: Export) -> date:
    """The last export before that one in which the deal was; the beginning of time if none."""
    return max((e.day for e in exports if e.day < export.day and deal in e.rows), default=date.min)


def created(
    row: dict[str, Any], values: dict[str, Any], first: dict[str, Any], ever: list[dict[str, Any]]
) -> list[tuple[Any, ...]]:
    """The day of creation, and that of the decision where only the list tells it."""
    is_open = row["status"] == "open"
    at = start(row["created_on"])
    if ever and ever[0]["occurred_at"].date() <= row["created_on"]:
        at = ever[0]["occurred_at"]
    initial = {
        "stage": values["stage"] if is_open else None, "status": "open", "amount": values["amount"],
        "close_on": values["close_on"] if is_open else None, "owner": values["owner"],
    }  # fmt: skip
    for name in ("stage", "amount", "close_on", "owner"):
        if first[name]:
            initial[name] = first[name]["old"]
    found: list[tuple[Any, ...]] = [(at, 0, 0, initial)]
    if not is_open and not first["status"]:
        closing = {"status": values["status"]}
        closing |= {name: values[name] for name in ("stage", "close_on") if not first[name]}
        when = max(end(values["close_on"]), at) if values["close_on"] else at
        found.append((when, 2, 0, closing))
    return found


def recorded(event: dict[str, Any], export: Export, exports: list[Export]) -> date:
    if event.get("recorded_at"):
        return event["recorded_at"].date()
    with_events = [e.day for e in exports if e.events]
    return event["occurred_at"].date() if export.day == min(with_events) else export.day


def state(exports: Iterable[Export], deal: str, *, on: date, known_on: date) -> dict[str, Any] | None:
    """The deal's fields at the end of a day, as known at the end of another; None before it was there."""
    current: dict[str, Any] | None = None
    told = observations(exports, deal, known_on)
    if all(place != 0 for _instant, place, *_rest in told):
        return None  # no list has shown it yet
    for instant, _place, _seq, values in told:
        if instant.date() > on:
            break
        current = {**(current or dict.fromkeys(FIELDS)), **values}
    return current
