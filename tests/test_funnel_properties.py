"""What a funnel review says of a day, whatever is recorded afterwards, in whatever order, place or currency.

That the funnel never rises, that won, lost and staying make one, that reps add up to teams and the company, and the bridge's
order, scale and place are shown on random logs in test_funnel.py and test_bridge.py.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from duckdb import DuckDBPyConnection
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from coachbook.metrics.bottleneck import cohorts
from coachbook.metrics.bridge import bridges
from coachbook.metrics.changes import changes
from coachbook.metrics.funnel import Funnel, funnel
from coachbook.metrics.risk import risk
from coachbook.metrics.slippage import OUTCOMES, slippage
from coachbook.metrics.visits import lay_out
from coachbook.model.periods import Span
from coachbook.warehouse import Snapshot
from tests.warehouse import Desk

BORN, TODAY, LATER = date(2025, 9, 1), date(2026, 2, 13), date(2026, 3, 6)
PERIOD = Span(date(2026, 1, 12), date(2026, 2, 9))
STAGES = ("A", "B", "C", "D")
REPS = {f"r{nr}": f"t{1 + nr % 2}" for nr in range(6)}
MOVED = ("r3", date(2026, 1, 20), "t1")
"""Changes teams within the period."""
WITHIN = 5
Row = dict[str, Any]


# A made-up company


@dataclass
class Deal:
    """What its source recorded: events that it knew by `TODAY`, and those that it came to know later."""

    name: str
    created: date
    customer: str
    events: list[Row] = field(default_factory=list)
    later: list[Row] = field(default_factory=list)
    is_gone: bool = False

    def row(self, *, later: bool) -> Row:
        """As a list shows it."""
        now: dict[str, str | None] = {}
        events = {key(event): event for event in self.events}
        if later:
            events |= {key(event): event for event in self.later}
        for event in sorted(events.values(), key=lambda e: (e["occurred_at"], e["seq"])):
            now[event["field"]] = event["new"]
        return {
            "deal_id": self.name, "created_on": self.created, "account_id": self.customer, "rep_id": now.get("owner"),
            "stage": now.get("stage"), "status": now.get("status") or "open", "currency": "EUR",
            "amount_minor": None if now.get("amount") is None else int(str(now["amount"])),
            "close_on": date.fromisoformat(str(now["close_on"])) if now.get("close_on") else None,
        }  # fmt: skip


def key(event: Row) -> tuple[Any, ...]:
    return event["occurred_at"], event["field"], event["seq"]


def lived(random: Random, name: str, *, is_whole: bool) -> Deal:
    """It skips, goes back, hops, is put off, handed on, decided, deleted and taken up again, told late or otherwise at first.

    Not whole: of one in ten the first days come to be known later.
    """
    at = datetime(2025, 9, 1, 8) + timedelta(days=random.randrange(165), hours=random.randrange(10))
    deal, now, seq, pushes = Deal(name, at.date(), random.choice("uvwxyz")), dict[str, str | None](), 0, 0

    def tell(*, is_late: bool = False, **new: str | None) -> None:
        for name, value in new.items():
            event = {
                "deal_id": deal.name,
                "occurred_at": at,
                "field": name,
                "seq": seq,
                "old": now.get(name),
                "new": value,
            }
            if name == "amount":
                event["currency"] = "EUR"
            is_future = at.date() > TODAY
            (deal.later if is_future or is_late else deal.events).append(event)
            if not is_late:
                now[name] = value

    due = random.choice(
        ["2026-01-20", "2026-02-05", str(at.date() + timedelta(days=random.choice([30, 60, 90])))]
    )
    tell(stage=random.choice("AAAB"), status="open", owner=random.choice([*REPS, "r9"]), close_on=due)
    tell(amount=random.choice([None, "0", "99", "1250", "98765"]))
    for _step in range(random.randrange(2, 18)):
        wait = random.choice([0, 0.5, 1, 2, 3600, 1e5, 3e5, 9e5, 9e5, 15e5])
        at, seq = at + timedelta(seconds=wait), seq + 1
        if at.date() > LATER:
            break
        what = random.choice(
            ["stage", "stage", "stage", "close_on", "close_on", "owner", "amount", "status", "status"]
        )
        if now["status"] != "open":
            if random.random() < 0.5:
                break
            tell(status=random.choice(["open", "open", "lost"]))
        elif what == "stage":
            tell(stage=random.choice([stage for stage in "ABBCCDX" if stage != now["stage"]]))
        elif what == "close_on":
            pushes += 1
            tell(close_on=random.choice([str(at.date() + timedelta(days=random.choice([3, 20, 50]))), ""]))
        elif what == "owner":
            tell(owner=random.choice([*REPS, "r9"]))
        elif what == "amount":
            tell(amount=random.choice(["0", "500", "77777"]))
        else:  # who puts off is seldom won
            ends = (
                ["lost", "lost", "lost", "deleted"]
                if pushes > 1
                else ["won", "won", "won", "lost", "deleted"]
            )
            tell(status=random.choice(ends), close_on=str(at.date()))
        if random.random() < 0.1 and at.date() <= TODAY:  # known only later, or known otherwise then
            at += timedelta(seconds=7)
            tell(is_late=True, stage=random.choice("ABCD"), owner=random.choice([*REPS]), status="open")
        if random.random() < 0.1 and deal.events:
            again = random.choice(deal.events)
            if again["field"] in ("stage", "amount"):
                deal.later.append({**again, "new": "D" if again["field"] == "stage" else "4242"})
    first = deal.events[0]["occurred_at"] if deal.events else None
    since = [event for event in deal.events if event["occurred_at"] != first]
    if random.random() < 0.1 and since and not is_whole:
        deal.later += [event for event in deal.events if event["occurred_at"] == first]
        deal.events = since
    deal.is_gone = random.random() < 0.1
    return deal


def bygone(nr: int) -> Deal:
    """Put off twice and lost, or won without: so that being put off is a sign."""
    deal, is_pushed = Deal(f"p{nr:02}", date(2025, 9, 3), "v"), nr % 2 == 0
    told: list[tuple[int, str, str]] = [
        (0, "stage", "B"), (0, "status", "open"), (0, "owner", f"r{nr % 6}"), (0, "close_on", "2025-10-30"), (0, "amount", "300"),
        *([(5, "close_on", "2025-11-15"), (10, "close_on", "2025-11-30")] if is_pushed else []),
        (20, "stage", "C"), (60, "status", "lost" if is_pushed else "won"),
    ]  # fmt: skip
    for seq, (days, name, new) in enumerate(told):
        at = datetime(2025, 9, 3, 9) + timedelta(days=days)
        event = {
            "deal_id": deal.name,
            "occurred_at": at,
            "field": name,
            "seq": 0 if days == 0 else seq,
            "old": None,
            "new": new,
        }
        deal.events.append({**event, "currency": "EUR"} if name == "amount" else event)
    return deal


@dataclass(frozen=True)
class Company:
    """Everything that there is to import, by `TODAY` and by `LATER`."""

    deals: list[Deal]
    unborn: list[Deal]

    @classmethod
    def of(cls, seed: int, size: int, *, is_whole: bool = True) -> Company:
        random = Random(seed)
        deals = [
            *map(bygone, range(50)),
            *(lived(random, f"d{nr:03}", is_whole=is_whole) for nr in range(size)),
        ]
        unborn = [
            Deal(f"n{nr}", TODAY - timedelta(days=nr), "u", [
                {"deal_id": f"n{nr}", "occurred_at": datetime(2026, 1, 20), "field": name, "seq": 0, "old": None, "new": new}
                for name, new in (("stage", "C"), ("status", "open"), ("owner", "r1"), ("close_on", "2026-02-01"))
            ])
            for nr in range(3)
        ]  # fmt: skip
        return cls([deal for deal in deals if deal.events], unborn)

    def tables(self) -> dict[str, list[Row]]:
        events = [event for deal in self.deals for event in deal.events]
        people = [{"rep_id": rep, "name": rep, "team_id": team, "role": "rep"} for rep, team in REPS.items()]
        rep, day, team = MOVED
        people.append({**people[3], "rep_id": rep, "effective_on": day, "team_id": team})
        rates = [
            {"currency": "EUR", "into": "USD", "from_on": since, "rate": rate}
            for since, rate in ((date(2025, 8, 1), "1.1"), (date(2026, 1, 1), "1.25"))
        ]
        deals = [deal.row(later=False) for deal in self.deals]
        return {"deals": deals, "deal_events": events, "reps": people, "fx_rates": rates}

    def later_tables(self) -> dict[str, list[Row]]:
        """Late and corrected events, deals from before that nobody knew of, other teams, other rates; some deals are gone."""
        told, stay = self.tables(), [deal for deal in self.deals if not deal.is_gone]
        events = [event for deal in [*stay, *self.unborn] for event in deal.events + deal.later]
        events = list({(event["deal_id"], *key(event)): event for event in events}.values())
        deals = [deal.row(later=True) for deal in [*stay, *self.unborn]]
        moved = [
            {"rep_id": rep, "name": rep, "team_id": "t3", "role": "rep", "effective_on": date(2026, 1, 14)} for rep in ("r2", "r9")
        ]  # fmt: skip
        rates = [
            {**told["fx_rates"][1], "rate": "9"},
            {**told["fx_rates"][1], "from_on": date(2026, 1, 12), "rate": "5"},
        ]
        return {
            "deals": deals, "deal_events": events, "reps": told["reps"] + moved, "fx_rates": [told["fx_rates"][0], *rates],
        }  # fmt: skip


def shown(company: Company, folder: Path, shuffle: Random | None = None) -> Desk:
    desk, tables = Desk(folder), company.tables()
    for rows in tables.values():
        if shuffle:
            shuffle.shuffle(rows)
    desk.export(TODAY, **tables)
    return desk


# What a review says


def figures(snapshot: Snapshot, zone: str = "UTC") -> dict[str, Any]:
    """Everything that depends on the log, as plain data."""
    with snapshot.known(TODAY) as connection:
        connection.execute(f"SET TimeZone = '{zone}'")
        found = funneled(connection)
        visits = found.visits
        reps = list(visits.entities["id"][visits.entities["kind"] == "rep"])
        counted = [cohorts(connection, visits, PERIOD, reps, within_days=days) for days in (0, WITHIN)]
        frames = {name: getattr(found, name) for name in ("counts", "created", "cohorts", "dwells")}
        return {
            **{name: frame.sort_index().to_csv() for name, frame in frames.items()},
            "entities": visits.entities.to_csv(),
            "beginning": (visits.since, visits.others, visits.unused),
            "cohort counts": [(c.n.tolist(), c.onward.tolist()) for c in counted],
            "bridges": [
                asdict(bridges(connection, PERIOD, TODAY, window=window)) for window in ("period", "all")
            ],
            "slippage": {scope: asdict(one) for scope, one in slippage(connection, PERIOD, TODAY).items()},
            "changes": changes(connection, since=PERIOD.first, as_of=TODAY),
            "risk": asdict(risk(connection, TODAY)),
        }


def funneled(connection: DuckDBPyConnection, since: date = BORN) -> Funnel:
    visits = lay_out(connection, STAGES, TODAY, since=since)
    return funnel(connection, visits, PERIOD, onward_days=WITHIN, won_days=10)


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    differ = [name for name in one if one[name] != other[name]]
    assert not differ, {name: (one[name], other[name]) for name in differ}


def any_company(examples: int) -> Any:
    def decorate(test: Any) -> Any:
        patient = settings(
            max_examples=examples, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )  # fmt: skip
        made = st.builds(Company.of, st.integers(0, 2**32), st.integers(1, 120))
        return patient(given(company=made)(test))

    return decorate


def check_day_after_more_is_recorded(company: Company) -> None:
    with TemporaryDirectory() as folder:
        desk = shown(company, Path(folder))
        before = figures(desk.snapshots.current())
        desk.export(LATER, complete=True, **company.later_tables())
        same(before, figures(desk.snapshots.current()))


@any_company(3)
def test_what_is_recorded_later_changes_nothing_of_a_day(company: Company) -> None:
    check_day_after_more_is_recorded(company)


@pytest.mark.verify
@any_company(40)
def test_more_that_is_recorded_later_changes_nothing_of_a_day(company: Company) -> None:
    check_day_after_more_is_recorded(company)


@any_company(2)
def test_what_a_source_itself_came_to_know_later_changes_nothing_of_a_day(company: Company) -> None:
    """One export of everything, long afterwards, beside one without what was entered, or happened, after the day."""
    tables, later = company.tables(), list[Row]()
    for deal in company.deals:
        told = {key(event) for event in deal.events}
        more = [event for event in deal.later if key(event) not in told]
        later += [{**event, "recorded_at": datetime(2026, 2, 25)} for event in more]
    deals, found = [deal.row(later=True) for deal in company.deals], []
    for events in (tables["deal_events"], tables["deal_events"] + later):
        with TemporaryDirectory() as folder:
            desk = Desk(Path(folder))
            desk.export(LATER, **{**tables, "deals": deals, "deal_events": events})
            found.append(figures(desk.snapshots.current()))
    same(*found)


def test_first_days_that_come_to_be_known_later_change_nothing_of_a_day() -> None:
    check_day_after_more_is_recorded(Company.of(2, 60, is_whole=False))


@any_company(2)
def test_neither_the_order_of_rows_nor_the_machines_place_matters(company: Company) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        plain = figures(shown(company, Path(one)).snapshots.current())
        with on_a_machine_in("Pacific/Kiritimati"):
            desk = shown(company, Path(other), shuffle=Random(len(company.deals)))
            same(plain, figures(desk.snapshots.current(), "Pacific/Kiritimati"))


@contextmanager
def on_a_machine_in(place: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", place)
        time.tzset()
        yield
    time.tzset()


@any_company(2)
def test_money_of_another_currency_that_is_worth_the_same_is_the_same(company: Company) -> None:
    """Amounts a hundred times as large in a currency worth a hundredth: what is converted stays, all else but them too."""
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        plain = figures(shown(company, Path(one)).snapshots.current())
        tables = company.tables()
        for row in tables["fx_rates"]:
            row |= {"currency": "GBP", "rate": f"0.0{row['rate'].replace('.', '')}"}
        for row in tables["deals"]:
            row |= {"currency": "GBP", "amount_minor": row["amount_minor"] and 100 * row["amount_minor"]}
        tables["deal_events"] = [
            {**event, "currency": "GBP", **{side: event[side] and str(100 * int(event[side])) for side in ("old", "new")}}
            if event["field"] == "amount" else event
            for event in tables["deal_events"]
        ]  # fmt: skip
        desk = Desk(Path(other))
        desk.export(TODAY, **tables)
        found = figures(desk.snapshots.current())
        same(in_euro(plain), in_euro(found))
        same({"bridges": plain["bridges"], "slippage": plain["slippage"]}, found)


def in_euro(told: dict[str, Any]) -> dict[str, Any]:
    """Own amounts of deals in EUR."""

    def euro(row: Row) -> Row:
        if row["currency"] != "GBP":
            return row
        return row | {"currency": "EUR", "amount_minor": row["amount_minor"] and row["amount_minor"] // 100}

    moved = [
        asdict(change)
        | {side: (state := getattr(change, side)) and euro(asdict(state)) for side in ("then", "now")}
        for change in told["changes"]
    ]
    return told | {
        "changes": moved,
        "risk": told["risk"] | {"deals": [euro(deal) for deal in told["risk"]["deals"]]},
    }


@any_company(3)
def test_reps_add_up(company: Company) -> None:
    """Slippage of teams and the company, and counts of followed deals, whoever has them."""
    with (
        TemporaryDirectory() as folder,
        shown(company, Path(folder)).snapshots.current().known(TODAY) as connection,
    ):
        connection.execute("CREATE TEMP TABLE true_history AS FROM known_history")
        parts = [counts(connection)]
        deal_to(connection, "CASE WHEN owner_id = 'r9' THEN 'r1' ELSE owner_id END")  # r9 is on no roster
        total: dict[str, Counter[Any]] = {kind: Counter() for kind in ("rep", "team", "org")}
        teams: Counter[Any] = Counter()
        for (kind, id_), one in slippage(connection, PERIOD, TODAY).items():
            for name in OUTCOMES:
                minor, count = one.outcomes[name].minor, one.outcomes[name].count
                total[kind].update({(name, "count"): count, (name, "minor"): minor})
                sign = {"rep": 1, "team": -1, "org": 0}[kind]
                teams[REPS.get(id_, id_), name] += sign * count
            total[kind].update({"pushes": one.pushes, "days": one.push_days})
        assert total["rep"] == total["team"] == total["org"]
        assert not any(teams.values())
        parts = [counts(connection)]
        deal_to(connection, "'r1'")
        parts.append(counts(connection))
        assert parts[0] == parts[1]


def deal_to(connection: DuckDBPyConnection, owner: str) -> None:
    replaced = f"{owner} AS owner_id, {owner} AS rep_id"
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW known_history AS SELECT * REPLACE ({replaced}) FROM true_history"
    )


def counts(connection: DuckDBPyConnection) -> list[Any]:
    """Of all reps together: deals that were followed, those that got beyond, and those of the funnel's cohort."""
    found = funneled(connection)
    reps = [*found.visits.entities["id"][found.visits.entities["kind"] == "rep"]]
    whole, followed = (
        cohorts(connection, found.visits, PERIOD, reps, within_days=days) for days in (0, WITHIN)
    )
    everybody = found.visits.codes["all", ""]
    held = [
        int(found.cohorts["n"].get(("onward", everybody, place), 0))
        if stage not in found.visits.unused
        else 0
        for place, stage in enumerate(STAGES)
    ]
    assert whole.n.sum(axis=0).tolist() == held
    assert (followed.n <= whole.n).all()
    assert (whole.onward <= followed.n.clip(min=whole.onward)).all()
    return [followed.n.sum(axis=0).tolist(), followed.onward.sum(axis=0).tolist()]


def test_the_logs_hold_every_trap() -> None:
    """Else the properties would hold of nothing."""
    happened, kinds, outcomes, worn = Counter[str](), Counter[str](), Counter[str](), 0
    late = Counter[str]()
    for seed in range(3):
        company = Company.of(seed, 120)
        for deal in company.deals:
            late["future"] += any(event["occurred_at"].date() > TODAY for event in deal.later)
            late["late"] += any(event["occurred_at"].date() <= TODAY for event in deal.later)
            late["corrected"] += bool({key(e) for e in deal.later} & {key(e) for e in deal.events})
            late["gone"] += deal.is_gone
        with TemporaryDirectory() as folder:
            snapshot = shown(company, Path(folder)).snapshots.current()
            with snapshot.known(TODAY) as connection:
                found = funneled(connection)
                hops = connection.execute("SELECT count(*) FROM visits WHERE hops > 1").fetchall()[0][0]
                happened["hops"] += hops
            everybody = found.counts.loc[found.visits.codes["all", ""]].xs("times", axis=1, level=1).sum()
            happened.update(everybody.to_dict())
            said = figures(snapshot)
            kinds.update(kind for change in said["changes"] for kind in change.kinds)
            outcomes.update({name: a["count"] for name, a in said["slippage"]["org", ""]["outcomes"].items()})
            worn += len(said["risk"]["deals"])
    expected = ("skipped", "back", "aside", "reopened", "taken_over", "deleted", "won", "lost", "hops")
    assert all(happened[name] >= 2 for name in expected), happened
    assert all(
        kinds[name] >= 2
        for name in ("new", "reopened", "won", "lost", "deleted", "moved", "pushed", "grown", "quiet")
    ), kinds
    assert all(outcomes[name] >= 1 for name in ("won", "lost", "slipped", "overdue")), outcomes
    assert all(late[name] >= 5 for name in ("future", "late", "corrected", "gone")), late
    assert worn
