"""The made-up company: what its files promise, what each knob does, and that its long run is what it says."""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import grimp
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from coachbook import cli
from coachbook.catalogue import shipped
from coachbook.errors import Invalid, Refused
from coachbook.model.tables import TABLES, Kind
from coachbook.settings import Workspace
from coachbook.sources.simulate import Company, Format, World, company, deal_list, write
from coachbook.sources.simulate.company import opened
from coachbook.sources.simulate.truth import truth
from coachbook.text import Locale

DEMO = shipped("sample_data") / "demo"
SMALL = World(reps=24, seed=5)
HOSTILE = "</script><script>"
Rows = list[dict[str, str]]


@cache
def made(world: World) -> Company:
    return company(world)


@cache
def frames(world: World) -> dict[str, pd.DataFrame]:
    """All tables as text, as a reader of the CSV files has them; empty fields are empty."""
    return Texts(made(world))


class Texts(dict[str, pd.DataFrame]):
    """Tables as text, each made when it is asked for."""

    def __init__(self, made: Company) -> None:
        self._tables = made.tables

    def __missing__(self, name: str) -> pd.DataFrame:
        self[name] = texts(self._tables[name])
        return self[name]


def texts(table: pa.Table) -> pd.DataFrame:
    """A table as a reader of its CSV file has it."""
    columns = {name: pc.cast(table[name], pa.string()).fill_null("") for name in table.column_names}
    return pa.table(columns).to_pandas()


def read(file: Path) -> Rows:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, strict=True))


@pytest.fixture(scope="module")
def demo() -> dict[str, Rows]:
    return {name: read(DEMO / f"{name}.csv") for name in TABLES}


# The files


READABLE: dict[Kind, str] = {
    Kind.TEXT: r"(?s).+", Kind.VALUE: r"(?s).+", Kind.FLAG: r"true|false", Kind.COUNT: r"-?\d+", Kind.MINOR: r"\d+(\.\d\d)?",
    Kind.NUMBER: r"\d+(\.\d+)?", Kind.SHARE: r"0(\.\d+)?|1(\.0+)?", Kind.DAY: r"20\d\d-[01]\d-[0-3]\d",
    Kind.MOMENT: r"20\d\d-[01]\d-[0-3]\d [0-2]\d:[0-5]\d:[0-5]\d",
}  # fmt: skip


def faults(name: str, rows: Rows) -> list[str]:
    """What of a table is not as declared: an independent reading of `model/tables.py`."""
    found = []
    for column in TABLES[name].columns:
        key = "amount" if column.name == "amount_minor" else column.name
        for row in rows:
            value = row[key]
            if not value:
                found += [f"{key} is empty"] * column.required
            elif not re.fullmatch(READABLE[column.kind], value) or (
                column.choices and value not in column.choices
            ):
                found.append(f"{key} = {value}")
            elif column.kind is Kind.DAY:
                date.fromisoformat(value)
    keys = Counter(tuple(row[key] for key in TABLES[name].key) for row in rows)
    return found + [f"{key} twice" for key, count in keys.items() if count > 1]


@pytest.mark.parametrize("name", TABLES)
def test_the_demo_is_as_the_tables_are_declared(demo: dict[str, Rows], name: str) -> None:
    expected = ["amount" if c == "amount_minor" else c for c in TABLES[name].names]
    assert demo[name]
    assert list(demo[name][0]) == expected
    assert faults(name, demo[name]) == []


@pytest.mark.parametrize(
    "world", [SMALL, World(reps=230, teams=30, months=3), World(reps=1, teams=1, months=1)]
)
@pytest.mark.parametrize("name", TABLES)
def test_any_company_is_as_the_tables_are_declared(world: World, name: str) -> None:
    assert faults(name, frames(replace(world, locale=Locale.ZH_CN))[name].to_dict("records")) == []


REFERENCES = [
    ("accounts", "merged_into", "accounts", "account_id"), ("contacts", "account_id", "accounts", "account_id"),
    ("leads", "rep_id", "reps", "rep_id"), ("leads", "deal_id", "deals", "deal_id"), ("leads", "account_id", "accounts", "account_id"),
    ("deals", "rep_id", "reps", "rep_id"), ("deals", "account_id", "accounts", "account_id"),
    ("deals", "product_id", "products", "product_id"), ("deal_lines", "deal_id", "deals", "deal_id"),
    ("deal_lines", "product_id", "products", "product_id"), ("splits", "deal_id", "deals", "deal_id"),
    ("splits", "rep_id", "reps", "rep_id"), ("activities", "rep_id", "reps", "rep_id"), ("activities", "deal_id", "deals", "deal_id"),
    ("activities", "contact_id", "contacts", "contact_id"), ("activities", "lead_id", "leads", "lead_id"),
    ("collections", "deal_id", "deals", "deal_id"), ("costs", "rep_id", "reps", "rep_id"), ("costs", "deal_id", "deals", "deal_id"),
    ("reps", "manager", "reps", "rep_id"), ("deal_events", "actor", "reps", "rep_id"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column", "of", "key"), REFERENCES, ids=lambda v: v)
def test_what_is_named_is_there(table: str, column: str, of: str, key: str) -> None:
    there = frames(World(reps=230, teams=30, months=6))
    known = {*there[of][key], ""}
    assert set(there[table][column]) <= known
    assert set(there[table][column]) != {""}


def test_only_deleted_deals_have_a_history_without_a_row(demo: dict[str, Rows]) -> None:
    deleted = {e["deal_id"] for e in demo["deal_events"] if e["new"] == "deleted"}
    told = {e["deal_id"] for e in demo["deal_events"]}
    assert deleted
    assert told - {d["deal_id"] for d in demo["deals"]} == deleted


def folded(events: Rows, until: str = "9999") -> dict[str, dict[str, str]]:
    """State by the history as entered before an instant; each change must begin where the last one ended."""
    state: dict[str, dict[str, str]] = {}
    for event in sorted(events, key=lambda e: (e["deal_id"], e["occurred_at"], int(e["seq"]))):
        if event["recorded_at"] < until:
            deal = state.setdefault(event["deal_id"], {})
            assert deal.get(event["field"], "") == event["old"], event
            deal[event["field"]] = event["new"]
    return {deal: fields for deal, fields in state.items() if fields["status"] != "deleted"}


def listed(rows: Rows) -> dict[str, dict[str, str]]:
    columns = {
        "stage": "stage",
        "status": "status",
        "amount": "amount",
        "close_on": "close_on",
        "owner": "rep_id",
    }
    return {row["deal_id"]: {f: row[c] for f, c in columns.items() if row[c]} for row in rows}


def test_the_deal_list_is_what_the_history_ends_in(demo: dict[str, Rows]) -> None:
    assert listed(demo["deals"]) == folded(demo["deal_events"])


@pytest.mark.parametrize("day", [date(2025, 3, 31), date(2025, 8, 17), date(2026, 1, 30), date(2026, 9, 30)])
def test_a_days_deal_list_shows_what_was_entered_by_its_end(day: date) -> None:
    rows = texts(deal_list(made(SMALL), day)).to_dict("records")
    events = frames(SMALL)["deal_events"].to_dict("records")
    expected = folded(events, f"{day + timedelta(1)} 00:00:00")
    assert len(expected) > 100
    assert listed(rows) == expected


def test_a_decided_deal_closes_on_the_day_it_was_decided(demo: dict[str, Rows]) -> None:
    decided = {
        e["deal_id"]: e for e in demo["deal_events"] if e["field"] == "status" and e["new"] in ("won", "lost")
    }
    rows = [d for d in demo["deals"] if d["status"] != "open"]
    assert len(rows) > 1000
    for deal in rows:
        assert deal["close_on"] == decided[deal["deal_id"]]["occurred_at"][:10]
        assert (deal["stage"] == "Closed") == (deal["status"] == "won")
        assert deal["created_on"] <= deal["close_on"]


def test_the_files_begin_in_midstream_and_stay_level() -> None:
    world = World(reps=120, teams=12, turnover=0, seasonality=0)
    days = [world.start - timedelta(1), world.start + timedelta(270), world.end]
    open_deals = [(texts(deal_list(made(world), day))["status"] == "open").sum() for day in days]
    assert min(open_deals) > 0.8 * max(open_deals)
    events = frames(world)["deal_events"]
    last = events.groupby("deal_id")["occurred_at"].max()
    standing = frames(world)["deals"].set_index("deal_id")["status"] == "open"
    assert set(last.index[last < str(world.start)]) <= set(standing.index[standing])


def test_one_transaction_shares_instant_and_number() -> None:
    events = frames(SMALL)["deal_events"]
    events["nr"] = events["seq"].astype(int)
    instants = events.groupby(["deal_id", "nr"])["occurred_at"].nunique()
    assert (instants == 1).all()
    order = events.drop_duplicates(["deal_id", "nr"]).groupby("deal_id")[["occurred_at", "nr"]]
    assert order.apply(lambda deal: deal.sort_values("nr")["occurred_at"].is_monotonic_increasing).all()
    hops = events.groupby(["deal_id", "occurred_at"])["nr"].nunique()
    assert (hops > 1).sum() > 10


@pytest.mark.parametrize("locale", Locale)
def test_people_work_in_office_hours_of_their_own_time_zone(locale: Locale) -> None:
    zone = ZoneInfo({"en": "America/New_York", "zh_CN": "Asia/Shanghai"}[locale])
    there = frames(World(reps=24, months=12, locale=locale))
    texts = {
        *there["deal_events"]["occurred_at"],
        *there["deal_events"]["recorded_at"],
        *there["activities"]["occurred_at"],
    }
    moments = [datetime.fromisoformat(f"{text}+00:00").astimezone(zone) for text in texts]
    assert {moment.hour for moment in moments} == set(range(9, 18))
    assert {moment.weekday() for moment in moments} == set(range(5))
    assert all(str(moment.date()) == text[:10] for moment, text in zip(moments, texts, strict=True))


def test_revenue_splits_make_one_and_lines_make_the_amount(demo: dict[str, Rows]) -> None:
    splits = pd.DataFrame(demo["splits"]).astype({"share": float})
    shares = splits[splits.kind == "revenue"].groupby("deal_id")["share"].agg(["sum", "size"])
    assert np.allclose(shares["sum"], 1)
    assert set(shares["size"]) == {2}
    lines = pd.DataFrame(demo["deal_lines"]).astype({"amount": float}).groupby("deal_id")["amount"].sum()
    amounts = pd.DataFrame(demo["deals"]).set_index("deal_id")["amount"].loc[lines.index].astype(float)
    assert (lines == amounts).all()


def test_nobody_collects_more_than_was_won(demo: dict[str, Rows]) -> None:
    paid = pd.DataFrame(demo["collections"]).astype({"amount": float})
    paid = paid[paid.basis == "collected"].groupby("deal_id")["amount"].agg(["sum", "size"])
    amount = pd.DataFrame(demo["deals"]).set_index("deal_id")["amount"].loc[paid.index].astype(float)
    assert (paid["sum"] <= amount).all()
    assert (paid["sum"] < amount).sum() > 10
    assert (paid["size"] > 1).sum() > 10


def test_a_teams_quota_is_its_own_and_below_the_sum_of_its_peoples(demo: dict[str, Rows]) -> None:
    quotas = pd.DataFrame(demo["quotas"]).astype({"amount": float})
    sums = quotas.groupby(["holder", "period"])["amount"].sum().unstack("holder")
    assert len(sums) == 6
    assert (sums["org"] <= sums["team"]).all()
    assert (sums["team"] < sums["rep"]).all()
    assert (sums["rep"] < 1.2 * sums["org"]).all()


def test_there_is_a_rate_for_every_month_in_both_directions(demo: dict[str, Rows]) -> None:
    rates = pd.DataFrame(demo["fx_rates"])
    earliest = min(d["created_on"] for d in demo["deals"])
    for pair in (("CNY", "USD"), ("USD", "CNY")):
        days = sorted(rates[(rates.currency == pair[0]) & (rates.into == pair[1])]["from_on"])
        assert days[0] < earliest
        assert days[-1] == "2026-09-01"
        assert all(day.endswith("-01") for day in days)


# The demo


def test_the_demo_is_small_and_complete() -> None:
    assert {p.name for p in DEMO.iterdir()} == {
        *(f"{n}.csv" for n in TABLES),
        "mapping.toml",
        "truth.json",
        "README.md",
    }
    assert sum(p.stat().st_size for p in DEMO.iterdir()) < 8_000_000


def _roster(demo: dict[str, Rows], day: str) -> dict[str, dict[str, str]]:
    """Who sells on a day, by hand: each person's last row by then, if started and not gone."""
    rows = sorted((r for r in demo["reps"] if r["effective_on"] <= day), key=lambda r: r["effective_on"])
    latest = {r["rep_id"]: r for r in rows}
    return {
        rep: row for rep, row in latest.items()
        if row["role"] == "rep" and row["start_on"] <= day and (not row["end_on"] or row["end_on"] >= day)
    }  # fmt: skip


def test_the_demos_people(demo: dict[str, Rows]) -> None:
    days = [str(date(2026, 7, 1) + timedelta(n)) for n in range(92)]
    rosters = {day: _roster(demo, day) for day in days}
    everybody = {rep for roster in rosters.values() for rep in roster}
    assert len(everybody) >= 24
    assert {row["team_id"] for row in rosters[days[-1]].values()} == {"T01", "T02", "T03", "T04"}
    rows = pd.DataFrame(demo["reps"])
    assert rows["start_on"].between("2026-07-01", "2026-09-30").any()
    assert rows["start_on"].between("2025-04-02", "2026-06-30").any()
    assert rows["end_on"].between("2026-07-01", "2026-09-30").any()
    assert rows["end_on"].between("2025-04-02", "2026-06-30").any()
    assert any(row["presence"] == "leave" for roster in rosters.values() for row in roster.values())
    teams = rows[rows.role == "rep"].drop_duplicates(["rep_id", "team_id"])
    moved = teams[teams.duplicated("rep_id")]
    assert len(moved) >= 1
    assert (moved["effective_on"] < "2026-07-01").all()
    assert Counter(rows.drop_duplicates("rep_id")["role"]) == {
        "rep": 28,
        "manager": 4,
        "director": 1,
        "operations": 1,
    }
    assert everybody - {deal["rep_id"] for deal in demo["deals"]}, "somebody has no deal"


def test_the_demos_names(demo: dict[str, Rows]) -> None:
    names = {row["rep_id"]: row["name"] for row in demo["reps"]}
    assert len(set(names.values())) == len(names)
    chinese = [name for name in names.values() if re.search("[一-鿿]", name)]
    assert len(names) * 0.15 < len(chinese) < len(names) * 0.6
    assert sum(HOSTILE in name for name in names.values()) == 1
    assert sum(HOSTILE in deal["name"] for deal in demo["deals"]) == 1
    accounts = Counter(row["name"] for row in demo["accounts"])
    assert accounts.most_common(1)[0][1] == 1


def _command() -> list[str]:
    found = re.search("`(coachbook simulate [^`]*)`", (DEMO / "README.md").read_text(encoding="utf-8"))
    assert found
    return shlex.split(found[1])


def _demo_world() -> World:
    options = dict(zip(_command()[3::2], _command()[4::2], strict=True))
    assert options.pop("--format") == "csv"
    locale = Locale(options.pop("--locale"))
    return World(locale=locale, **{name.removeprefix("--"): int(value) for name, value in options.items()})


def test_the_demo_is_what_its_command_makes(tmp_path: Path) -> None:
    write(_demo_world(), tmp_path, deals_measured=1)
    for file in DEMO.iterdir():
        if file.name != "truth.json":
            assert (tmp_path / file.name).read_bytes() == file.read_bytes(), (
                f"{file.name}: {shlex.join(_command())}"
            )


@pytest.mark.verify
def test_the_demos_truth_is_what_its_command_measures() -> None:
    told = json.loads((DEMO / "truth.json").read_text(encoding="utf-8"))
    assert told.pop("dirt") == {}
    assert told["planted"].pop("hostile_deals")
    assert truth(opened(_demo_world())) == told


def test_the_demo_comes_in_whole(tmp_path: Path) -> None:
    from coachbook import sources

    workspace = Workspace.init(tmp_path / "workspace")
    accounting = sources.import_paths(workspace, [DEMO]).to_dict()
    loaded = {
        file["file"].removesuffix(".csv"): (file["loaded"], file["quarantined"])
        for file in accounting["files"]
    }
    assert loaded == {name: (len(read(DEMO / f"{name}.csv")), 0) for name in TABLES}


# The knobs


def _stages(there: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Stage changes, as numbers."""
    number = {
        name: n
        for n, name in enumerate(
            ("First contact", "Needs confirmed", "Proposal submitted", "Negotiation", "Closed")
        )
    }
    steps = there["deal_events"].query("field == 'stage' and old != ''")
    return steps.assign(step=steps["new"].map(number) - steps["old"].map(number))


def _winners_are_quick(there: dict[str, pd.DataFrame]) -> float:
    """How much more often deals that left the first stage quickly are won."""
    left = _stages(there).drop_duplicates("deal_id").set_index("deal_id")["occurred_at"]
    begun = (
        there["deal_events"].drop_duplicates("deal_id").set_index("deal_id")["occurred_at"].loc[left.index]
    )
    took = pd.to_datetime(left) - pd.to_datetime(begun)
    won = there["deals"].set_index("deal_id")["status"].reindex(left.index) == "won"
    quick = took < took.median()
    return float(won[quick].mean() - won[~quick].mean())


def _decided(there: dict[str, pd.DataFrame]) -> pd.DataFrame:
    deals = there["deals"].query("status != 'open'")
    return deals.assign(won=deals["status"] == "won")


def _reps_apart(there: dict[str, pd.DataFrame]) -> float:
    return float(_decided(there).groupby("rep_id")["won"].mean().std())


def _season(there: dict[str, pd.DataFrame]) -> float:
    month = there["deals"]["created_on"].str[:7].value_counts()
    return float(month["2025-11"] / month["2025-08"])


def _month_end(there: dict[str, pd.DataFrame]) -> float:
    closed = pd.to_datetime(there["deals"].query("status == 'won'")["close_on"])
    return float((closed.dt.days_in_month - closed.dt.day < 4).mean())


def _spells(there: dict[str, pd.DataFrame]) -> float:
    """Correlation of a team's new deals in a week with those of the week before."""
    team = there["reps"].drop_duplicates("rep_id").set_index("rep_id")["team_id"]
    deals = there["deals"].query("created_on >= '2025-04-07' and created_on < '2026-09-28'")
    week = (pd.to_datetime(deals["created_on"]) - pd.Timestamp("2025-04-07")).dt.days // 7
    counts = pd.crosstab(week, deals["rep_id"].map(team))
    return float(np.mean([np.corrcoef(counts[t][1:], counts[t][:-1])[0, 1] for t in counts]))


def _coming_and_going(there: dict[str, pd.DataFrame]) -> float:
    people = there["reps"].query("role == 'rep'")
    joined = people["start_on"].between("2025-04-02", "2026-09-10") & ~people.duplicated("rep_id")
    return float((people["end_on"] != "").sum() + joined.sum())


def _away(there: dict[str, pd.DataFrame]) -> float:
    return float((there["reps"]["presence"] == "leave").sum())


def _moved(there: dict[str, pd.DataFrame]) -> float:
    return float((there["reps"].groupby("rep_id")["team_id"].nunique() > 1).sum())


def _events(query: str) -> Callable[[dict[str, pd.DataFrame]], float]:
    return lambda there: float(len(there["deal_events"].query(query)))


def _steps(query: str) -> Callable[[dict[str, pd.DataFrame]], float]:
    return lambda there: float(len(_stages(there).query(query)))


def _hops(there: dict[str, pd.DataFrame]) -> float:
    return float(_stages(there).duplicated(["deal_id", "occurred_at"]).sum())


def _pushes(there: dict[str, pd.DataFrame]) -> float:
    """Changes of the close date to a later day, in which neither stage nor status changed."""
    events = there["deal_events"]
    others = {
        *zip(*events.query("field in ('stage', 'status')")[["deal_id", "seq"]].to_numpy().T, strict=True)
    }
    later = events.query("field == 'close_on' and old != '' and new > old")
    return float(sum(change not in others for change in zip(later["deal_id"], later["seq"], strict=True)))


def _repriced(there: dict[str, pd.DataFrame]) -> float:
    """Amounts that changed together with the stage, the winning change apart."""
    steps = _stages(there).query("new != 'Closed'")[["deal_id", "seq"]]
    return float(
        len(there["deal_events"].query("field == 'amount' and old != ''").merge(steps, on=["deal_id", "seq"]))
    )


def _default(there: dict[str, pd.DataFrame]) -> float:
    first = there["deal_events"].query("field == 'close_on' and seq == '1'")
    closing, created = pd.to_datetime(first["new"]), pd.to_datetime(first["occurred_at"])
    return float(
        ((closing.dt.day == closing.dt.days_in_month) & (closing.dt.month == created.dt.month)).mean()
    )


def _without_amount(there: dict[str, pd.DataFrame]) -> float:
    first = there["deal_events"].query("seq == '1'")
    return float((first["field"] == "status").sum() - (first["field"] == "amount").sum())


def _share(column: str, value: str) -> Callable[[dict[str, pd.DataFrame]], float]:
    return lambda there: float((there["deals"][column] == value).mean())


def _lately_won(there: dict[str, pd.DataFrame]) -> float:
    return float(_decided(there).query("created_on >= '2026-04-10'")["won"].mean())


PLENTY = World(reps=100, teams=10, seed=11)
KNOBS: dict[str, tuple[float, float, Callable[[dict[str, pd.DataFrame]], float], float]] = {
    # knob: low, high, what is measured, by how much the high one must be more
    "frailty": (0, 1.4, _winners_are_quick, 0.1),
    "skill_spread": (0, 0.6, _reps_apart, 0.03),
    "seasonality": (0, 0.4, _season, 0.6),
    "month_end_rush": (0, 0.6, _month_end, 0.3),
    "week_correlation": (0, 0.9, _spells, 0.15),
    "turnover": (0, 0.2, _coming_and_going, 30),
    "leaves": (0, 0.2, _away, 15),
    "team_changes": (0, 0.2, _moved, 15),
    "owner_changes": (0, 0.1, _events("field == 'owner' and old != ''"), 2000),
    "skips": (0, 0.2, _steps("step == 2"), 2000),
    "regressions": (0, 0.2, _steps("step == -1 and old != 'Closed'"), 2000),
    "hops": (0, 0.1, _hops, 1200),
    "reopenings": (0, 0.2, _events("field == 'status' and new == 'open' and old == 'lost'"), 1000),
    "pushes": (0, 2, _pushes, 3000),
    "amount_changes": (0, 0.6, _repriced, 9000),
    "late_entry": (0, 0.3, _events("recorded_at > occurred_at"), 30000),
    "default_dates": (0, 0.4, _default, 0.2),
    "empty_amounts": (0, 0.2, _without_amount, 2500),
    "deletions": (0, 0.05, _events("field == 'status' and new == 'deleted'"), 900),
    "renewals": (0, 0.5, _share("kind", "Renewal"), 0.4),
    "second_currency": (0, 0.5, _share("currency", "CNY"), 0.4),
    "coached": (0, 1, _lately_won, 0.05),
    "coaching": (0, 2, _lately_won, 0.03),
    "deals_per_month": (4, 12, lambda there: float(len(there["deals"])), 9000),
}  # fmt: skip
EXACT = {
    "turnover", "leaves", "team_changes", "skips", "regressions", "hops", "reopenings", "pushes", "amount_changes",
    "late_entry", "empty_amounts", "deletions", "renewals", "second_currency",
}  # fmt: skip
"""Turned off, these leave nothing."""
STILL: dict[str, dict[str, float]] = {
    "owner_changes": {"turnover": 0}, "coached": {"turnover": 0}, "coaching": {"turnover": 0},
    "week_correlation": {"seasonality": 0, "turnover": 0, "leaves": 0}, "seasonality": {"week_correlation": 0},
}  # fmt: skip
"""What is held still while a knob is turned."""


@pytest.mark.parametrize("knob", KNOBS)
def test_turning_a_knob_changes_the_data(knob: str) -> None:
    low, high, measure, least = KNOBS[knob]
    world = replace(PLENTY, **STILL.get(knob, {}))
    off, on = (measure(Texts(company(replace(world, **{knob: value})))) for value in (low, high))
    assert on - off > least, (off, on)
    if knob in EXACT:
        assert off == 0


def test_every_knob_has_its_test() -> None:
    scale = {"reps", "teams", "months", "seed", "locale", "end", "dirt"}
    assert {f.name for f in fields(World)} - scale == set(KNOBS)


def test_owners_change_only_by_hand_overs_when_the_knob_is_off() -> None:
    there = frames(World(reps=40, owner_changes=0, seed=3))
    passed = there["deal_events"].query("field == 'owner' and old != ''")
    people = there["reps"].query("end_on != ''").set_index("rep_id")["end_on"]
    assert set(passed["old"]) <= set(people.index)
    assert (passed["occurred_at"].str[:10] >= passed["old"].map(people)).all()
    assert len(passed) > 20
    assert set(passed["actor"].str[0]) == {"M"}


def test_reps_act_only_while_they_are_there(demo: dict[str, Rows]) -> None:
    people = pd.DataFrame(demo["reps"]).drop_duplicates("rep_id", keep="last").set_index("rep_id")
    acts = pd.DataFrame(demo["activities"])
    day = acts["occurred_at"].str[:10]
    assert (day >= acts["rep_id"].map(people["start_on"])).all()
    end = acts["rep_id"].map(people["end_on"])
    assert ((day <= end) | (end == "")).all()


# Size, seed, language


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    for name, seed in (("one", 7), ("two", 7), ("three", 8)):
        write(World(reps=6, teams=2, months=2, seed=seed, dirt=True), tmp_path / name, deals_measured=1)
    one, two, three = (
        {p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("one", "two", "three")
    )
    assert one == two
    assert {name for name in one if one[name] == three[name]} <= {"mapping.toml", "products.csv", "reps.csv"}


def test_parquet_holds_what_csv_holds(tmp_path: Path) -> None:
    world = World(reps=6, teams=2, months=2)
    written = write(world, tmp_path / "csv", deals_measured=1)
    write(world, tmp_path / "parquet", format=Format.PARQUET, deals_measured=1)
    for name in TABLES:
        typed = pd.read_parquet(tmp_path / "parquet" / f"{name}.parquet")
        plain = read(tmp_path / "csv" / f"{name}.csv")
        assert len(typed) == len(plain) == written.rows[name]
        assert [row[TABLES[name].key[0]] for row in plain] == list(typed[TABLES[name].key[0]])
    assert str(pd.read_parquet(tmp_path / "parquet/deal_events.parquet")["occurred_at"].dtype).startswith(
        "datetime64"
    )


MEMORY = """
import resource, sys
from pathlib import Path
from coachbook.sources.simulate import Format, World, write
reps = int(sys.argv[1])
write(World(reps=reps, teams=reps // 8), Path(sys.argv[2]), format=Format.PARQUET, deals_measured=1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.verify
def test_memory_does_not_grow_with_the_company(tmp_path: Path) -> None:
    peaks = [
        int(subprocess.run([sys.executable, "-c", MEMORY, str(reps), tmp_path / str(reps)], capture_output=True, text=True, check=True, timeout=120).stdout)
        for reps in (200, 800)
    ]  # fmt: skip
    sizes = [sum(p.stat().st_size for p in (tmp_path / str(reps)).iterdir()) for reps in (200, 800)]
    assert sizes[1] > 3 * sizes[0]
    assert peaks[1] < 1.5 * peaks[0], peaks


def test_a_chinese_company_speaks_chinese() -> None:
    there = frames(replace(SMALL, locale=Locale.ZH_CN))
    assert set(there["deals"]["stage"]) == {"初步接洽", "需求确认", "方案提交", "商务谈判", "成交签约"}
    assert set(there["deals"]["currency"]) == {"CNY", "USD"}
    assert (there["deals"]["currency"] == "CNY").mean() > 0.6
    assert set(there["quotas"]["currency"]) == {"CNY"}
    assert there["reps"]["name"].str.contains("[一-鿿]").mean() > 0.6


def test_the_simulator_knows_nothing_of_those_it_judges() -> None:
    graph = grimp.build_graph("coachbook", cache_dir=None)
    own = "coachbook.sources.simulate"
    used = {
        m
        for module in [own, *graph.find_children(own)]
        for m in graph.find_modules_directly_imported_by(module)
    }
    assert {m for m in used if not m.startswith(own)} <= {
        "coachbook.errors",
        "coachbook.model.tables",
        "coachbook.text",
    }
    users = {
        m for m in graph.modules if any(d.startswith(own) for d in graph.find_modules_directly_imported_by(m))
    }
    assert {m for m in users if not m.startswith(own)} == {"coachbook.cli.simulating"}


# The long run


def test_the_long_run_is_what_a_large_company_lives_through() -> None:
    """Won and lost by segment among deals old enough to be decided, counted in the files, against `truth.json`."""
    world = World(reps=300, teams=30, seed=21, coached=0, deletions=0)
    told = truth(opened(world), deals=200_000)
    there = frames(world)
    deals = there["deals"].query(
        "created_on >= '2025-04-01' and created_on < '2026-02-01' and status != 'open'"
    )
    segment = deals["account_id"].map(there["accounts"].set_index("account_id")["segment"])
    for name, group in deals.groupby(segment):
        n, rate = len(group), told["segments"][name]["win_rate_count"]
        # A season's weather moves teams together: three binomial errors, and one point for the weather.
        assert abs((group["status"] == "won").mean() - rate) < 3 * (rate * (1 - rate) / n) ** 0.5 + 0.01
    won = deals[deals.status == "won"]
    days = (pd.to_datetime(won["close_on"]) - pd.to_datetime(won["created_on"])).dt.days
    assert abs(days.median() - told["company"]["cycle_days"]["median"]) <= 3


def test_the_demos_truth_tells_of_a_million_deals_and_of_what_was_planted(demo: dict[str, Rows]) -> None:
    told = json.loads((DEMO / "truth.json").read_text(encoding="utf-8"))
    assert told["deals_measured"] >= 1_000_000
    planted, coaching = told["planted"], told["planted"]["coaching"]
    assert coaching["win_rate_with"] > coaching["win_rate_without"] + 0.05
    names = {row["rep_id"]: row["name"] for row in demo["reps"]}
    assert HOSTILE in names[planted["hostile_rep"]]
    assert [d["deal_id"] for d in demo["deals"] if HOSTILE in d["name"]] == planted["hostile_deals"]
    assert set(planted["left"]) == {r["rep_id"] for r in demo["reps"] if r["end_on"]}
    assert set(planted["on_leave"]) == {r["rep_id"] for r in demo["reps"] if r["presence"] == "leave"}
    assert set(told["reps"]) == {r["rep_id"] for r in demo["reps"] if r["role"] == "rep"}
    decided = _decided({"deals": pd.DataFrame(demo["deals"])})
    rates = pd.Series(
        {rep: figures.get("win_rate_count") for rep, figures in told["reps"].items()}, dtype=float
    )
    assert decided.groupby("rep_id")["won"].mean().corr(rates) > 0.7


def test_the_product_never_reads_the_truth() -> None:
    rooms = Path(cli.__file__).parents[1]
    readers = [p for p in rooms.rglob("*.py") if "truth.json" in p.read_text(encoding="utf-8")]
    assert {p.relative_to(rooms).as_posix() for p in readers} == {"sources/simulate/files.py"}


# Dirt


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    folder = tmp_path_factory.mktemp("dirty")
    write(World(reps=20, dirt=True), folder, deals_measured=1)
    return folder, json.loads((folder / "truth.json").read_text(encoding="utf-8"))["dirt"]


RECOUNTED: dict[str, Callable[[dict[str, str]], bool]] = {
    "deals: unreadable amount": lambda d: d["amount"] == "twelve thousand",
    "deals: amount with comma and points": lambda d: bool(re.fullmatch(r"[\d.]+,\d\d", d["amount"] or "")),
    "deals: amount in ten thousands": lambda d: (d["amount"] or "").endswith("万"),
    "deals: unreadable date": lambda d: d["close_on"] == "31.02.2026",
    "deals: unknown owner": lambda d: d["rep_id"] == "R-GONE",
    "deals: unknown status": lambda d: d["status"] == "maybe",
    "deals: won without a close date": lambda d: d["status"] == "won" and d["close_on"] == "",
    "deals: closed before created": lambda d: bool(d["close_on"]) and d["close_on"] < (d["created_on"] or "") and d["status"] == "lost",
    "deals: formula as name": lambda d: d["name"].startswith("=cmd"),
    "deals: markup as name": lambda d: "<img" in d["name"],
    "deals: control characters in name": lambda d: "\x07" in d["name"],
    "deals: blank currency": lambda d: d["currency"] == "",
    "deals: row cut short": lambda d: d["modified_at"] is None,
    "deals: repeated under a new id": lambda d: d["deal_id"].endswith("-2"),
    "deal_events: blank deal": lambda d: d["deal_id"] == "",
    "deal_events: unreadable instant": lambda d: d["occurred_at"] == "yesterday",
    "deal_events: unknown field": lambda d: d["field"] == "mood",
    "activities: unreadable minutes": lambda d: d["minutes"] == "long",
    "accounts: blank name": lambda d: d["name"] == "",
}  # fmt: skip


@pytest.mark.parametrize("fault", RECOUNTED)
def test_dirt_is_as_much_as_the_truth_says(dirty: tuple[Path, dict[str, int]], fault: str) -> None:
    folder, counts = dirty
    rows = read(folder / f"{fault.split(':')[0]}.csv")
    assert sum(map(RECOUNTED[fault], rows)) == counts[fault] > 0


def test_dirt_leaves_the_rest_as_it_is(dirty: tuple[Path, dict[str, int]], tmp_path: Path) -> None:
    folder, counts = dirty
    write(World(reps=20), tmp_path, deals_measured=1)
    assert json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))["dirt"] == {}
    for name in TABLES:
        clean, spoilt = (
            Counter((f / f"{name}.csv").read_text(encoding="utf-8").splitlines()) for f in (tmp_path, folder)
        )
        assert sum((spoilt - clean).values()) == sum(
            n for fault, n in counts.items() if fault.startswith(f"{name}:")
        )


def test_parquet_cannot_hold_dirt(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="--format csv"):
        write(World(dirt=True), tmp_path / "new", format=Format.PARQUET)
    assert not (tmp_path / "new").exists()


# The command


def test_the_command_writes_a_company(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made"
    words = "--reps 3 --teams 2 --months 1 --seed 4 --locale zh_CN --format parquet --json"
    assert cli.run(["simulate", str(folder), *words.split()]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["folder"] == str(folder)
    assert {p.name for p in folder.iterdir()} == {
        *(f"{n}.parquet" for n in TABLES),
        "mapping.toml",
        "truth.json",
        "README.md",
    }
    assert said["rows"]["deals"] == len(pd.read_parquet(folder / "deals.parquet"))


def test_a_folder_in_use_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    assert cli.run(["simulate", str(tmp_path)]) == 2
    assert "made-up-company" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_more_teams_than_people_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="3 reps cannot fill 4 teams"):
        World(reps=3)
    assert cli.run(["simulate", str(tmp_path / "new"), "--reps", "3"]) == 2
