"""The pipeline bridge adds up, for everybody and to the last cent; each trap of METRICS.md by its name."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import chain, groupby, pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from duckdb import DuckDBPyConnection
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from coachbook.catalogue import shipped
from coachbook.metrics.bridge import FLOWS, Amount, Bridge, Bridges, Window, bridges
from coachbook.model.periods import Period, Span
from coachbook.settings import Settings, Workspace
from coachbook.warehouse import Snapshot, Snapshots
from coachbook.warehouse.database import in_memory
from tests.oracles import bridge as oracle
from tests.oracles.bridge import Company, Event, Scope
from tests.oracles.demo import day as read_day
from tests.oracles.demo import read
from tests.warehouse import Desk

D = [date(2026, 3, 1) + timedelta(days=n) for n in range(31)]
SPAN = Span(D[3], D[9])
TRANSFERS = ("transferred_in", "transferred_out")
WINDOWS: tuple[Window, ...] = ("period", "all")
TEAMS: list[tuple[str, date, str | None]] = [("a", date.min, "X"), ("b", date.min, "X"), ("c", date.min, "Y")]
Log = list[Event]


# What is known at a day, made of an event log without the warehouse

UNTOLD = {"status": "open", "amount": None, "currency": "USD", "close_on": None, "owner": None}
HISTORY = {
    "deal": "deal_id VARCHAR", "nr": "nr BIGINT", "owner": "owner_id VARCHAR", "status": "status VARCHAR",
    "amount": "amount_minor BIGINT", "currency": "currency VARCHAR", "close_on": "close_on DATE",
    "from_at": "from_at TIMESTAMP", "from_on": "from_on DATE", "until_at": "until_at TIMESTAMP", "until_on": "until_on DATE",
}  # fmt: skip
CONNECTION = in_memory()


def stretches(company: Company) -> Iterator[dict[str, Any]]:
    """A row for each (instant, seq) of a deal at which anything changed."""
    ordered = sorted(company.events, key=lambda e: (e.deal, e.at, e.seq))
    for deal, events in groupby(ordered, key=lambda e: e.deal):
        state, rows = UNTOLD, list[dict[str, Any]]()
        for (at, _seq), together in groupby(events, key=lambda e: (e.at, e.seq)):
            after = state | {e.field: e.value for e in together}
            if after != state or not rows:
                rows.append(
                    {**after, "deal": deal, "nr": len(rows), "from_at": at, "from_on": company.day(at)}
                )
            state = after
        for row, then in zip(rows, [*rows[1:], {}], strict=True):
            yield {**row, "until_at": then.get("from_at"), "until_on": then.get("from_on")}


def put(table: str, columns: Iterable[str], rows: list[tuple[Any, ...]]) -> None:
    named = [column.split() for column in columns]
    unnested = ", ".join(f"unnest(${name}::{kind}[]) AS {name}" for name, kind in named)
    values = {name: [row[nr] for row in rows] for nr, (name, _kind) in enumerate(named)}
    CONNECTION.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {unnested}", values)


def known(company: Company, shuffle: Random | None = None) -> DuckDBPyConnection:
    history = [tuple(row[key] for key in HISTORY) for row in stretches(company)]
    if shuffle:
        shuffle.shuffle(history)
    rates = [
        (currency, since, rate.numerator, rate.denominator)
        for currency, quoted in company.rates.items() for since, rate in quoted
    ]  # fmt: skip
    put("known_history", HISTORY.values(), history)
    put("known_roster", ("rep_id VARCHAR", "from_on DATE", "team_id VARCHAR"), list(company.teams))
    put("known_rates", ("currency VARCHAR", "from_on DATE", "num HUGEINT", "den HUGEINT"), rates)
    return CONNECTION


def made(company: Company, window: Window = "period", *, as_of: date = D[30], span: Span = SPAN) -> Bridges:
    return bridges(known(company), span, as_of, window=window)


def of(found: Bridges, scope: Scope) -> Bridge:
    kind, id_ = scope
    return {"rep": found.reps, "team": found.teams, "org": {"": found.org}}[kind][id_]


def everybody(found: Bridges) -> Iterator[Bridge]:
    yield found.org
    yield from found.reps.values()
    yield from found.teams.values()


def parts(bridge: Bridge) -> dict[str, tuple[int, int]]:
    """What is not 0 in it, as plain pairs."""
    said = {"start": bridge.start, **bridge.flows, "end": bridge.end}
    return {name: (amount.count, amount.minor) for name, amount in said.items() if amount != Amount()}


def summed(of_them: Iterable[Bridge], *, without: tuple[str, ...] = ()) -> Counter[tuple[str, str]]:
    total: Counter[tuple[str, str]] = Counter()
    for one in of_them:
        for name, (count, minor) in parts(one).items():
            if name not in without:
                total["count", name] += count
                total["minor", name] += minor
    return Counter({key: value for key, value in total.items() if value})


# Any event log

INSTANTS = [datetime(2026, 3, 1) + timedelta(days=n, hours=hour) for n in range(12) for hour in (0, 9, 16)]
OWNERS = ("a", "b", "c", "d", "e", "z", None)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "amount": st.sampled_from([None, 0, 100, 333, 901, -250]),
        "close_on": st.sampled_from([None, D[1], D[3], D[6], D[8], D[9], D[20]]),
        "owner": st.sampled_from(OWNERS),
        "status": st.sampled_from(["open", "open", "won", "won", "lost", "deleted"]),
    },
)
FIRST = st.fixed_dictionaries(
    {
        "close_on": st.sampled_from([None, D[6], D[6], D[20]]),
        "owner": st.sampled_from(OWNERS),
        "amount": st.sampled_from([None, 100, 901]),
    }
)
MOMENTS = st.lists(
    st.tuples(st.sampled_from(INSTANTS), st.integers(0, 2)), min_size=1, max_size=7, unique=True
)
RATED = {
    "USD": [(date.min, Fraction(1))],
    "EUR": [(D[0], Fraction(11, 10)), (D[2], Fraction(129, 100)), (D[5], Fraction(2))],
    "GBP": [(D[5], Fraction(3))],
}


@st.composite
def companies(draw: st.DrawFn, *, currencies: tuple[str, ...] = ("USD", "EUR", "GBP", "XXX")) -> Company:
    events: Log = []
    for number in range(draw(st.integers(1, 6))):
        currency = draw(st.sampled_from(currencies))
        moments = draw(MOMENTS)
        for nr, (at, seq) in enumerate(sorted(moments)):
            values: dict[str, Any] = {**(draw(FIRST) if nr == 0 else {}), **draw(CHANGES)}
            values |= {"currency": currency} if nr == 0 or "amount" in values else {}
            events += [Event(f"deal{number}", at, name, value, seq) for name, value in values.items()]
    moved = draw(st.sampled_from([D[2], D[3], D[5], D[8], D[9]]))
    joined = draw(st.sampled_from([D[0], D[4], D[6]]))
    teams = [*TEAMS, ("d", date.min, "X"), ("d", moved, "Y"), ("e", joined, None), ("e", D[7], "Y")]
    return Company(events, teams, RATED, draw(st.sampled_from(["UTC", "Asia/Shanghai"])))


def any_log(examples: int) -> settings:
    return settings(
        max_examples=examples, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip


ANY_LOG = any_log(80)
FEWER = any_log(25)
FEW = any_log(10)


@ANY_LOG
@given(companies(), st.sampled_from(WINDOWS))
def test_whatever_the_log_the_residual_is_0_for_everybody_and_flows_are_those_of_the_oracle(
    company: Company, window: Window
) -> None:
    check_against_oracle(made(company, window), company, window)


def check_against_oracle(found: Bridges, company: Company, window: Window, span: Span = SPAN) -> None:
    days = (span.first, span.after)
    told = oracle.bridge(company, days, None if window == "all" else days)
    assert {("rep", rep) for rep in found.reps} | {("team", t) for t in found.teams} | {("org", "")} == set(
        oracle.scopes(company)
    )
    for scope in oracle.scopes(company):
        bridge = of(found, scope)
        assert told.residual(scope) == (0, 0)
        assert bridge.residual == Amount(0, 0), scope
        expected = {
            name: told.part(scope, name) for name in ("start", *oracle.INWARD, *oracle.OUTWARD, "end")
        }
        assert parts(bridge) == {name: sums for name, sums in expected.items() if sums != (0, 0)}, scope
        assert bridge.unvalued == len(told.unvalued[scope]), scope


@FEWER
@given(companies(), st.sampled_from(WINDOWS))
def test_the_won_flow_is_what_was_won_with_a_close_date_in_the_window(
    company: Company, window: Window
) -> None:
    days = (SPAN.first, SPAN.after)
    expected = oracle.won(company, days, None if window == "all" else days, SPAN.first)
    found = made(company, window)
    for scope in oracle.scopes(company):
        won = of(found, scope).flows["won"]
        assert (won.count, won.minor) == expected.get(scope, (0, 0))


@FEWER
@given(companies(), st.sampled_from(WINDOWS))
def test_reps_add_up_to_teams_and_teams_with_everybody_else_to_the_company(
    company: Company, window: Window
) -> None:
    """Whoever is in no team makes one here, so that nobody is left over."""
    full = replace(
        company,
        events=[
            replace(e, value="nobody") if e.field == "owner" and e.value is None else e
            for e in company.events
        ],
        teams=[(rep, since, team or "rest") for rep, since, team in company.teams]
        + [("e", date.min, "rest"), ("z", date.min, "rest"), ("nobody", date.min, "rest")],
    )
    plain, found = made(company, window), made(full, window)
    reps, teams = (summed(group.values(), without=TRANSFERS) for group in (found.reps, found.teams))
    assert reps == teams == summed([found.org])
    assert summed([found.org]) == summed([plain.org])
    for group in (found.reps.values(), found.teams.values()):
        total = summed(group)
        assert all(
            total[unit, "transferred_in"] == total[unit, "transferred_out"] for unit in ("count", "minor")
        )
    for team in ("X", "Y"):
        assert parts(found.teams[team]) == parts(plain.teams[team])
    assert not set(TRANSFERS) & set(parts(plain.org))


@FEWER
@given(companies(currencies=("USD",)), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_the_scale_of_the_currency_do_not_matter(
    company: Company, random: Random
) -> None:
    found = made(company)
    assert bridges(known(company, random), SPAN, D[30]) == found
    scaled = [
        replace(e, value=e.value * 1000) if e.field == "amount" and e.value else e for e in company.events
    ]
    for one, larger in zip(everybody(found), everybody(made(replace(company, events=scaled))), strict=True):
        assert {name: (n, minor * 1000) for name, (n, minor) in parts(one).items()} == parts(larger)


@FEW
@given(companies(currencies=("USD",)))
def test_one_periods_end_is_the_next_ones_start_and_the_days_of_it_add_up(company: Company) -> None:
    days = [made(company, "all", span=Span(one, after)) for one, after in pairwise(D[3:10])]
    whole = made(company, "all")
    for before, after in pairwise(days):
        assert [b.end for b in everybody(before)] == [b.start for b in everybody(after)]
    for one, *daily in zip(everybody(whole), *map(everybody, days), strict=True):
        assert one.start == daily[0].start
        assert one.end == daily[-1].end
        for name, flow in one.flows.items():
            assert flow.count == sum(day.flows[name].count for day in daily)
            assert flow.minor == sum(day.flows[name].minor for day in daily)


# Through a real import


def imported(company: Company, folder: Path) -> Snapshot:
    """The log as a source's history, beside the list as it stands at the end."""
    desk = Desk(folder, Settings(time_zone=company.zone, currency="USD"))
    last = {row["deal"]: row for row in stretches(company)}
    first = {e.deal: company.day(e.at) for e in sorted(company.events, key=lambda e: e.at, reverse=True)}
    deals = [
        {
            "deal_id": deal, "rep_id": row["owner"], "status": row["status"], "created_on": first[deal],
            "close_on": row["close_on"], "amount_minor": row["amount"], "currency": row["currency"],
        }
        for deal, row in last.items()
    ]  # fmt: skip
    events = [
        {
            "deal_id": e.deal, "occurred_at": e.at, "field": e.field, "seq": e.seq, "old": None,
            "new": None if e.value is None else str(e.value), "currency": last[e.deal]["currency"],
        }
        for e in company.events if e.field != "currency"
    ]  # fmt: skip
    people = [
        {"rep_id": rep, "name": rep, "team_id": team, "role": "rep", "effective_on": since if since > date.min else None}
        for rep, since, team in company.teams
    ]  # fmt: skip
    rates = [
        {"currency": currency, "into": "USD", "from_on": since, "rate": str(float(rate))}
        for currency, quoted in company.rates.items() if currency != "USD" for since, rate in quoted
    ]  # fmt: skip
    return desk.export(D[20], deals=deals, deal_events=events, reps=people, fx_rates=rates)


@any_log(3)
@given(st.lists(companies(currencies=("USD", "EUR")), min_size=12, max_size=12))
def test_imported_logs_have_the_oracles_bridges_wherever_the_machine_is(logs: list[Company]) -> None:
    events = [replace(e, deal=f"{nr}-{e.deal}") for nr, log in enumerate(logs) for e in log.events]
    company = replace(logs[0], events=events)
    for place in ("UTC", "Pacific/Kiritimati"):
        with (
            on_a_machine_in(place),
            TemporaryDirectory() as folder,
            closing(imported(company, Path(folder)).known(D[20])) as connection,
        ):
            connection.execute(f"SET TimeZone = '{place}'")
            for window in WINDOWS:
                check_against_oracle(bridges(connection, SPAN, D[20], window=window), company, window)


@contextmanager
def on_a_machine_in(place: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", place)
        time.tzset()
        yield
    time.tzset()


def test_lists_without_a_history_have_bridges_too_and_each_day_its_own(tmp_path: Path) -> None:
    desk, seen = Desk(tmp_path), {"rep_id": "a", "amount_minor": 100, "close_on": D[6], "created_on": D[1]}
    x, y, z = ({**seen, "deal_id": deal} for deal in "xyz")
    person = {"rep_id": "a", "name": "a", "team_id": "X", "role": "rep"}
    desk.export(D[2], complete=True, deals=[x, y, z], reps=[person])
    desk.export(D[4], complete=True, deals=[{**x, "amount_minor": 130, "status": "won"}, y])
    desk.export(
        D[6], complete=True, deals=[{**x, "amount_minor": 130, "status": "won"}, {**y, "close_on": LATER}, z]
    )
    gone = {"start": (3, 300), "deleted": (1, 100), "increases": (0, 30), "won": (1, 130)}
    for as_of, expected in (
        (D[3], {"start": (3, 300), "end": (3, 300)}),
        (D[4], gone | {"end": (1, 100)}),
        (D[6], gone | {"reopened": (1, 100), "pushed_out": (1, 100), "end": (1, 100)}),
    ):
        with closing(desk.snapshots.current().known(as_of)) as connection:
            found = bridges(connection, SPAN, as_of)
        assert parts(found.org) == parts(found.reps["a"]) == parts(found.teams["X"]) == expected
        assert found.org.residual == Amount(0, 0)


# One trap each; what is not named is 0


def log(deal: str, *told: tuple[int, dict[str, Any]], hour: int = 9) -> Log:
    """A deal's transactions, each on the day of that number."""
    return [
        Event(deal, datetime(2026, 3, 1 + n, hour), name, value)
        for n, values in told
        for name, value in values.items()
    ]


NEW: dict[str, Any] = {"amount": 100, "close_on": D[6], "owner": "a"}
IN, EARLIER, LATER = D[6], D[1], D[20]


def one(
    *events: Event, scope: Scope = ("org", ""), teams: list[tuple[str, date, str | None]] = TEAMS, **more: Any
) -> dict[str, tuple[int, int]]:
    found = made(Company(list(events), teams, RATED), **more)
    assert all(bridge.residual == Amount(0, 0) for bridge in everybody(found))
    return parts(of(found, scope))


START = {"start": (1, 100)}
END = {"end": (1, 100)}
CASES: dict[str, tuple[list[tuple[int, dict[str, Any]]], dict[str, Any]]] = {
    "nothing happens": ([(1, NEW)], START | END),
    "created on the first day": ([(3, NEW)], {"created": (1, 100)} | END),
    "created on the day after": ([(9, NEW)], {}),
    "created and won inside": ([(4, NEW), (5, {"status": "won"})], {"created": (1, 100), "won": (1, 100)}),
    "created already won": ([(4, {**NEW, "status": "won"})], {"created": (1, 100), "won": (1, 100)}),
    "created already lost": ([(4, {**NEW, "status": "lost"})], {"created": (1, 100), "lost": (1, 100)}),
    "won on the last day": ([(1, NEW), (8, {"status": "won"})], START | {"won": (1, 100)}),
    "won after the end": ([(1, NEW), (9, {"status": "won"})], START | END),
    "pulled in": ([(1, {**NEW, "close_on": LATER}), (4, {"close_on": IN})], {"pulled_in": (1, 100)} | END),
    "pushed in": ([(1, {**NEW, "close_on": EARLIER}), (4, {"close_on": IN})], {"pushed_in": (1, 100)} | END),
    "dated in": ([(1, {**NEW, "close_on": None}), (4, {"close_on": IN})], {"dated_in": (1, 100)} | END),
    "pushed out": ([(1, NEW), (4, {"close_on": LATER})], START | {"pushed_out": (1, 100)}),
    "pulled out": ([(1, NEW), (4, {"close_on": EARLIER})], START | {"pulled_out": (1, 100)}),
    "dated out": ([(1, NEW), (4, {"close_on": None})], START | {"dated_out": (1, 100)}),
    "pushed within the window": ([(1, NEW), (4, {"close_on": D[8]})], START | END),
    "the day after the window is not in it": ([(1, NEW), (4, {"close_on": D[9]})], START | {"pushed_out": (1, 100)}),
    "grown": ([(1, NEW), (4, {"amount": 130})], START | {"increases": (0, 30), "end": (1, 130)}),
    "shrunk": ([(1, NEW), (4, {"amount": 80})], START | {"decreases": (0, 20), "end": (1, 80)}),
    "grown, then pushed out, at once": (
        [(1, NEW), (4, {"close_on": LATER, "amount": 130})], START | {"increases": (0, 30), "pushed_out": (1, 130)},
    ),
    "deleted": ([(1, NEW), (4, {"status": "deleted"})], START | {"deleted": (1, 100)}),
    "lost ones cleaned up": ([(1, {**NEW, "status": "lost"}), (4, {"status": "deleted"})], {}),
    "deleted and back": (
        [(1, NEW), (4, {"status": "deleted"}), (5, {"status": "open"})], START | {"deleted": (1, 100), "reopened": (1, 100)} | END,
    ),
    "reopened": ([(1, {**NEW, "status": "lost"}), (4, {"status": "open"})], {"reopened": (1, 100)} | END),
    "reopened with another amount, out of the window": (
        [(1, {**NEW, "status": "won"}), (4, {"status": "open", "amount": 80, "close_on": LATER})], {},
    ),
    "won, reopened and won again": (
        [(1, NEW), (4, {"status": "won"}), (5, {"status": "open"}), (6, {"status": "won", "amount": 120})],
        START | {"won": (2, 220), "reopened": (1, 100), "increases": (0, 20)},
    ),
    "lost, then won after all": (
        [(1, {**NEW, "status": "lost"}), (4, {"status": "won", "amount": 90})], {"reopened": (1, 90), "won": (1, 90)},
    ),
    "won, then lost after all": (
        [(1, NEW), (4, {"status": "won"}), (5, {"status": "lost", "amount": 7})],
        START | {"won": (1, 100), "reopened": (1, 100), "lost": (1, 100)},
    ),
    "amended after it was won": ([(1, NEW), (4, {"status": "won"}), (5, {"amount": 130})], START | {"won": (1, 100)}),
    "won with another amount and an earlier date": (
        [(1, {**NEW, "close_on": LATER}), (4, {"status": "won", "amount": 130, "close_on": IN})],
        {"pulled_in": (1, 130), "won": (1, 130)},
    ),
    "won with a date before the window": (
        [(1, NEW), (4, {"status": "won", "close_on": EARLIER})], START | {"pulled_out": (1, 100)},
    ),
    "lost with a date set at losing: no pull-in": (
        [(1, {**NEW, "close_on": LATER}), (4, {"status": "lost", "amount": 5, "close_on": IN})], {},
    ),
    "lost with a date moved out at losing": (
        [(1, NEW), (4, {"status": "lost", "amount": 5, "close_on": LATER})], START | {"lost": (1, 100)},
    ),
    "deleted with a date moved out at deleting": (
        [(1, NEW), (4, {"status": "deleted", "amount": 0, "close_on": LATER})], START | {"deleted": (1, 100)},
    ),
    "won without an amount": ([(1, {**NEW, "amount": None}), (4, {"status": "won"})], {"start": (1, 0), "won": (1, 0)}),
    "an amount of 0": ([(1, {**NEW, "amount": 0}), (4, {"status": "lost"})], {"start": (1, 0), "lost": (1, 0)}),
    "an amount comes, and goes": (
        [(1, {**NEW, "amount": None}), (4, {"amount": 70}), (5, {"amount": None})],
        {"start": (1, 0), "increases": (0, 70), "decreases": (0, 70), "end": (1, 0)},
    ),
    "a negative amount": (
        [(1, {**NEW, "amount": -50}), (4, {"amount": -80}), (5, {"status": "won"})],
        {"start": (1, -50), "decreases": (0, 30), "won": (1, -80)},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("told", "expected"), CASES.values(), ids=CASES)
def test_a_deal_of_which(told: list[tuple[int, dict[str, Any]]], expected: dict[str, Any]) -> None:
    found = made(Company(log("x", *told), TEAMS, RATED))
    for bridge in (found.org, found.reps["a"], found.teams["X"]):
        assert parts(bridge) == expected
        assert bridge.residual == Amount(0, 0)
    assert parts(found.teams["Y"]) == {}


def test_with_all_close_dates_no_date_moves_anything() -> None:
    told = [
        (1, {**NEW, "close_on": None}),
        (4, {"close_on": IN}),
        (5, {"close_on": LATER}),
        (6, {"close_on": None}),
    ]
    assert one(*log("x", *told), window="all") == START | END
    assert one(*log("x", *told)) == {"dated_in": (1, 100), "pushed_out": (1, 100)}


def test_an_owner_change_is_a_transfer_for_those_whom_it_takes_out_of_one_pipe_into_another() -> None:
    within, across, out = (log("x", (1, NEW), (4, {"owner": to, "amount": 110})) for to in ("b", "c", "z"))
    grown = START | {"increases": (0, 10)}
    leaves, arrives = {"transferred_out": (1, 110)}, {"transferred_in": (1, 110), "end": (1, 110)}
    for told in (within, across, out):
        assert one(*told) == grown | {"end": (1, 110)}
        assert one(*told, scope=("rep", "a")) == grown | leaves
    assert one(*within, scope=("rep", "b")) == one(*across, scope=("rep", "c")) == arrives
    assert one(*within, scope=("team", "X")) == grown | {"end": (1, 110)}
    assert one(*across, scope=("team", "X")) == one(*out, scope=("team", "X")) == grown | leaves
    assert one(*across, scope=("team", "Y")) == arrives
    assert one(*out, *log("y", (1, {**NEW, "owner": None}), (4, {"owner": "c"})), scope=("team", "Y")) == {
        "transferred_in": (1, 100), "end": (1, 100),
    }  # fmt: skip


@pytest.mark.parametrize(("on", "before"), [(3, (1, 100)), (5, (2, 150)), (8, (2, 150))])
def test_whoever_changes_teams_takes_the_pipe_of_that_morning_along(on: int, before: tuple[int, int]) -> None:
    teams = [*TEAMS, ("d", date.min, "X"), ("d", D[on], "Y")]
    told = log("x", (1, {**NEW, "owner": "d"})) + log("y", (3, {**NEW, "owner": "d", "amount": 50}))
    told += log("z", (on, {**NEW, "owner": "d", "amount": 7}), hour=0)  # made in the first moment of the day
    taken = {"transferred_out": before}
    created = {"created": (1, 50)} if on > 3 else {}
    assert one(*told, scope=("team", "X"), teams=teams) == START | created | taken
    later = {"created": (1, 7)} if on > 3 else {"created": (2, 57)}
    assert one(*told, scope=("team", "Y"), teams=teams) == {"transferred_in": before} | later | {
        "end": (3, 157)
    }
    assert one(*told, scope=("rep", "d"), teams=teams) == START | {"created": (2, 57), "end": (3, 157)}


def test_a_winning_transaction_is_applied_amount_date_owner_status() -> None:
    told = log(
        "x",
        (1, {**NEW, "close_on": LATER}),
        (4, {"owner": "c", "status": "won", "close_on": IN, "amount": 130}),
    )
    assert one(*told, scope=("rep", "a")) == {"pulled_in": (1, 130), "transferred_out": (1, 130)}
    assert one(*told, scope=("rep", "c")) == {"transferred_in": (1, 130), "won": (1, 130)}
    assert one(*told) == {"pulled_in": (1, 130), "won": (1, 130)}


def test_what_a_source_recorded_in_one_instant_is_one_transaction_whatever_its_order() -> None:
    won = [("status", "won"), ("owner", "c"), ("close_on", IN), ("amount", 130)]
    lost = [("close_on", IN), ("amount", 5), ("status", "lost")]
    for values, expected in ((won, {"pulled_in": (1, 130), "won": (1, 130)}), (lost, {})):
        at_once = [
            Event("x", datetime(2026, 3, 5, 9), name, value, seq) for seq, (name, value) in enumerate(values)
        ]
        assert one(*log("x", (1, {**NEW, "close_on": LATER})), *at_once) == expected


def test_a_whole_life_in_one_second_is_created_and_won() -> None:
    lives: list[dict[str, Any]] = [
        NEW,
        {"amount": 90},
        {"status": "lost"},
        {"status": "open", "amount": 120},
        {"status": "won"},
    ]
    told = [
        Event("x", datetime(2026, 3, 5, 9), name, value, seq)
        for seq, values in enumerate(lives) for name, value in values.items()
    ]  # fmt: skip
    assert one(*told) == {"created": (1, 120), "won": (1, 120)}


def test_all_is_converted_at_the_first_days_rate_each_state_once() -> None:
    euros = {**NEW, "currency": "EUR"}
    cent = [
        log(f"x{n}", (1, {**euros, "amount": 1}), (4, {"amount": 2}), (6, {"amount": 3})) for n in range(3)
    ]
    assert one(*chain(*cent)) == {
        "start": (3, 3),
        "increases": (0, 9),
        "end": (3, 12),
    }  # 1.29, 2.58, 3.87 cents
    assert one(*log("x", (1, {**euros, "amount": -50}))) == {"start": (1, -65), "end": (1, -65)}
    assert one(*log("x", (1, euros), (6, {"amount": 100, "currency": "USD"}))) == {
        "start": (1, 129), "decreases": (0, 29), "end": (1, 100),
    }  # fmt: skip


def test_deals_without_an_amount_or_a_rate_count_and_are_flagged() -> None:
    told = log("empty", (1, {**NEW, "amount": None}), (5, {"status": "won"}))
    told += log("no rate that day", (4, {**NEW, "currency": "GBP"})) + log("zero", (1, {**NEW, "amount": 0}))
    told += log("elsewhere", (1, {**NEW, "amount": None, "close_on": LATER}))
    found = made(Company(told, TEAMS, RATED))
    assert parts(found.org) == {"start": (2, 0), "created": (1, 0), "won": (1, 0), "end": (2, 0)}
    assert [
        found.org.unvalued,
        found.reps["a"].unvalued,
        found.teams["X"].unvalued,
        found.reps["b"].unvalued,
    ] == [2, 2, 2, 0]


def test_an_as_of_inside_the_period_ends_the_walk_and_not_the_window() -> None:
    told = log("x", (1, {**NEW, "close_on": D[8]}), (6, {"status": "won"})) + log("y", (5, NEW))
    assert one(*told, as_of=D[5]) == {"start": (1, 100), "created": (1, 100), "end": (2, 200)}
    assert one(*told, as_of=D[6]) == {
        "start": (1, 100),
        "created": (1, 100),
        "won": (1, 100),
        "end": (1, 100),
    }
    assert one(*told, as_of=D[1]) == START | END
    assert one(*log("x", (1, NEW), (2, {"status": "won"})), as_of=D[1]) == START | END


def test_a_review_holds_all_flows_in_their_order_zeros_too() -> None:
    found = made(Company(log("x", (1, NEW), (4, {"amount": 130})), TEAMS, RATED)).reps["a"].to_dict()
    assert list(found) == ["start", "end", "flows", "residual", "cleanup"]
    assert list(found["flows"]) == [*oracle.INWARD, *oracle.OUTWARD]
    assert found["start"] == {"count": 1, "minor": 100}
    assert found["flows"]["increases"] == {"count": 0, "minor": 30}
    assert found["flows"]["won"] == found["residual"] == {"count": 0, "minor": 0}


def test_a_residual_is_computed() -> None:
    flows = {name: Amount(1, 10) for name in FLOWS}
    assert Bridge(Amount(2, 20), Amount(5, 9), flows).residual == Amount(2 + 7 - 8 - 5, 20 + 70 - 80 - 9)


def test_without_any_deal_everybody_has_a_bridge_of_zeros() -> None:
    found = made(Company([], TEAMS, RATED))
    assert [*found.reps] == ["a", "b", "c"]
    assert [*found.teams] == ["X", "Y"]
    assert all(parts(bridge) == {} for bridge in everybody(found))


# The made-up company


def told_by_files(folder: Path) -> Company:
    """The company's log out of its CSVs; deals that no list shows are unknown to everybody."""
    listed = {row["deal_id"] for row in read(folder / "deals.csv")}
    events: Log = []
    for row in read(folder / "deal_events.csv"):
        if row["deal_id"] not in listed or row["field"] == "stage":
            continue
        at, name, new = datetime.fromisoformat(row["occurred_at"]), row["field"], row["new"] or None
        value: Any = new
        if name == "amount":
            value = None if new is None else round(Fraction(new) * 100)
            events.append(Event(row["deal_id"], at, "currency", row["currency"], int(row["seq"])))
        elif name == "close_on" and new:
            value = read_day(new)
        events.append(Event(row["deal_id"], at, name, value, int(row["seq"])))
    teams = [
        (row["rep_id"], max(read_day(row["effective_on"]), read_day(row["start_on"])), row["team_id"] or None)
        for row in read(folder / "reps.csv")
    ]
    quoted = [
        row for row in read(folder / "fx_rates.csv") if (row["currency"], row["into"]) == ("CNY", "USD")
    ]
    rates = [(read_day(row["from_on"]), Fraction(row["rate"])) for row in quoted]
    return Company(events, teams, {"USD": [(date.min, Fraction(1))], "CNY": rates})


def test_the_made_up_company_adds_up_in_every_month_and_is_as_its_files_say(demo: Workspace) -> None:
    snapshot = Snapshots(demo.store).current()
    company, seen = told_by_files(shipped("sample_data") / "demo"), Counter[str]()
    with closing(snapshot.known(snapshot.as_of)) as connection:
        for period in ("2025-Q4", *(f"2026-{month:02}" for month in range(1, 10)), "2026-Q3", "2026"):
            span = Period.parse(period).span
            for window in WINDOWS:
                found = bridges(connection, span, snapshot.as_of, window=window)
                assert {bridge.residual for bridge in everybody(found)} == {Amount(0, 0)}, (period, window)
                seen.update(name for bridge in everybody(found) for name in parts(bridge))
        for period, window in (("2026-Q3", "period"), ("2025-Q4", "all")):
            span = Period.parse(period).span
            check_against_oracle(
                bridges(connection, span, snapshot.as_of, window=window), company, window, span
            )
    assert set(FLOWS) - set(seen) <= {"dated_in", "dated_out", "pulled_out", "deleted"}
