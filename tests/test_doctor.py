"""The checks of the data: each finds what was planted, exactly, and nothing in a clean company."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coachbook import sources
from coachbook.catalogue import shipped
from coachbook.errors import Invalid, NotFound
from coachbook.export.quality import quality_page
from coachbook.model.quality import LABELS, Report, Severity
from coachbook.model.tables import ACTIVITIES
from coachbook.settings import Calendar, Settings, Workspace
from coachbook.sources.quality import QUESTIONS
from coachbook.text import Locale, speaking
from tests.conftest import RunCli
from tests.oracles.health import Health
from tests.warehouse import Desk

DAY = date(2026, 9, 30)
Tables = dict[str, list[dict[str, Any]]]


def _moment(day: date, hour: int, second: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, 0, second)


def _deal(n: int) -> dict[str, Any]:
    """Deals 0 to 23 are open, to 33 won, to 39 lost; each created on a day of its own."""
    created = date(2026, 5, 4) + timedelta(days=3 * n)
    status = "open" if n < 24 else "won" if n < 34 else "lost"
    close = date(2026, 10, 5) + timedelta(days=n) if n < 24 else created + timedelta(days=20)
    return {
        "deal_id": f"D{n}", "name": f"Deal {n}", "rep_id": f"R{n % 4 + 1}", "account_id": f"A{n}", "product_id": "P1",
        "stage": "Negotiation" if n < 24 else "Closed", "status": status, "created_on": created, "close_on": close,
        "amount_minor": 1_000_000 + 12_300 * n, "currency": "CNY" if n == 3 else "USD",
        "loss_reason": "price" if status == "lost" else None, "days_to_close": (close - DAY).days if n < 24 else None,
    }  # fmt: skip


def _events(deal: dict[str, Any], n: int) -> list[dict[str, Any]]:
    """Created, and later moved on or decided."""
    born = _moment(deal["created_on"], 10, n)
    moved = (
        _moment(date(2026, 9, 10) + timedelta(days=n % 15), 11, n)
        if n < 24
        else _moment(deal["close_on"], 15, n)
    )
    said = [("stage", "First contact"), ("status", "open"), ("amount", str(deal["amount_minor"]))]
    said += [("close_on", deal["close_on"].isoformat()), ("owner", deal["rep_id"])]
    first = [{"occurred_at": born, "field": field, "seq": 1, "new": new} for field, new in said]
    then = [{"occurred_at": moved, "field": "stage", "seq": 2, "old": "First contact", "new": deal["stage"]}]
    if n >= 24:
        then.append({"occurred_at": moved, "field": "status", "seq": 2, "old": "open", "new": deal["status"]})
    return [{"deal_id": deal["deal_id"], "currency": deal["currency"], **event} for event in first + then]


def _activity(n: int, **said: Any) -> dict[str, Any]:
    """Each open deal has one in the last weeks; each kind occurs."""
    return {
        "activity_id": f"V{n}", "rep_id": f"R{n % 4 + 1}", "kind": ACTIVITIES[n % 8], "deal_id": f"D{n}",
        "occurred_at": _moment(date(2026, 9, 14) + timedelta(days=n % 14), 14, n), **said,
    }  # fmt: skip


def _person(id: str, role: str = "rep", manager: str | None = "M1", **said: Any) -> dict[str, Any]:  # noqa: A002
    start = {"start_on": date(2020, 1, 1), "team_id": "T1", "team": "East"}
    return {"rep_id": id, "name": f"Person {id}", "role": role, "manager": manager, **start, **said}


def _clean() -> Tables:
    deals = [_deal(n) for n in range(40)]
    return {
        "reps": [*(_person(f"R{n}") for n in (1, 2, 3, 4)), _person("M1", "manager", "X1"), _person("X1", "director", None)],
        "accounts": [{"account_id": f"A{n}", "name": f"Customer {n}"} for n in range(40)],
        "contacts": [{"contact_id": f"C{n}", "account_id": "A1", "name": f"Contact {n}"} for n in range(2)],
        "products": [{"product_id": "P1", "name": "Product"}],
        "leads": [
            {"lead_id": f"L{n}", "name": f"Lead {n}", "rep_id": "R1", "status": "open", "created_on": date(2026, 9, 25)} for n in range(2)
        ],
        "deals": deals,
        "deal_events": [event for n, deal in enumerate(deals) for event in _events(deal, n)],
        "activities": [_activity(n) for n in range(24)],
        "quotas": [
            {"holder": "rep", "holder_id": f"R{n}", "period": "2026-Q3", "amount_minor": 100, "currency": "USD"} for n in (1, 2, 3, 4)
        ],
        "splits": [{"deal_id": "D25", "rep_id": f"R{n}", "kind": "revenue", "share": 0.333333} for n in (1, 2, 3)],
        "collections": [{"collection_id": "B1", "deal_id": "D25", "collected_on": DAY, "amount_minor": 1, "currency": "USD"}],
        "costs": [{"cost_id": "K1", "kind": "sales", "incurred_on": DAY, "rep_id": "R1", "amount_minor": 1, "currency": "USD"}],
        "fx_rates": [
            {"currency": "CNY", "into": "USD", "from_on": day, "rate": "0.14"} for day in (date(2026, 7, 15), date(2026, 1, 1))
        ],
    }  # fmt: skip


def _row(tables: Tables, table: str, id: str) -> dict[str, Any]:  # noqa: A002
    return next(
        row for row in tables[table] if id in (row.get("deal_id"), row.get("rep_id"), row.get("account_id"))
    )


FIELDS = {"stage": "stage", "amount_minor": "amount", "close_on": "close_on", "rep_id": "owner"}


def amend(tables: Tables, n: int, **said: Any) -> None:
    """Change a deal in the list and in its history alike, so that the two agree."""
    deal = _row(tables, "deals", f"D{n}")
    deal |= said
    if deal["status"] == "open" and "close_on" in said:
        deal["days_to_close"] = (said["close_on"] - DAY).days if said["close_on"] else None
    mine = [event for event in tables["deal_events"] if event["deal_id"] == f"D{n}"]
    for name in said.keys() & FIELDS.keys():
        for event in [e for e in mine if e["field"] == FIELDS[name]]:
            event["new"] = None if said[name] is None else str(said[name])
            if said[name] is None:
                tables["deal_events"].remove(event)
    if "created_on" in said:
        for event in mine:
            event["occurred_at"] = max(event["occurred_at"], _moment(said["created_on"], 10, n))


def lacking(t: Tables) -> dict[str, int]:
    amend(t, 24, close_on=None)
    amend(t, 34, close_on=None)
    amend(t, 26, amount_minor=None)
    amend(t, 0, rep_id=None)
    amend(t, 1, amount_minor=None)
    amend(t, 2, close_on=None)
    amend(t, 4, stage=None)
    amend(t, 5, account_id=None)
    amend(t, 35, loss_reason=None)
    amend(t, 6, amount_minor=-100)
    amend(t, 27, amount_minor=0)
    once = (
        "won_without_close_date", "lost_without_close_date", "won_without_amount", "without_owner", "open_without_amount",
        "open_without_close_date", "open_without_stage", "without_account", "lost_without_reason",
    )  # fmt: skip
    return dict.fromkeys(once, 1) | {"amount_not_positive": 2}


def dates(t: Tables) -> dict[str, int]:
    amend(t, 28, close_on=_deal(28)["created_on"] - timedelta(days=1))
    amend(t, 29, close_on=_deal(29)["created_on"])
    amend(t, 30, close_on=date(2026, 10, 1))
    amend(t, 31, close_on=DAY)
    amend(t, 7, created_on=date(2026, 10, 2))
    _row(t, "deals", "D8")["days_to_close"] += 2
    _row(t, "deals", "D9")["days_to_close"] -= 9
    _row(t, "deals", "D10")["days_to_close"] += 1  # another time zone
    amend(t, 11, close_on=date(2026, 9, 20))
    _row(t, "deals", "D11")["days_to_close"] = 0  # counted no further down
    amend(t, 12, close_on=DAY)  # due today
    for n, last in ((15, date(2026, 8, 31)), (16, date(2026, 9, 1))):
        for row in [*t["deal_events"], *t["activities"]]:
            if row["deal_id"] == f"D{n}":
                row["occurred_at"] = min(row["occurred_at"], _moment(last, 14, n))
    return {
        "closed_before_created": 1, "decided_ahead": 1, "created_ahead": 1, "derived_column": 2, "overdue": 1, "untouched": 1,
    }  # fmt: skip


def filled_in_by_the_crm(t: Tables) -> dict[str, int]:
    for n in range(10):
        amend(t, n, created_on=date(2026, 9, 1 + n), close_on=DAY)
    return {"close_date_default": 10, "close_date_period_end": 10}


def set_for_all(t: Tables) -> dict[str, int]:
    for n in range(9):
        amend(t, n, close_on=date(2026, 10, 15))  # D10 is due then anyway
    return {"close_date_shared": 10}


def too_few_to_tell(t: Tables) -> dict[str, int]:
    for n in range(8):
        amend(t, n, close_on=date(2026, 10, 15))
    for n in range(15, 24):
        amend(t, n, close_on=date(2026, 10, 31))
    return {}


def duplicates(t: Tables) -> dict[str, int]:
    for n, of, later in ((40, 0, 7), (41, 1, 8)):
        created = _deal(of)["created_on"] + timedelta(days=later)
        t["deals"].append(_deal(of) | {"deal_id": f"D{n}", "created_on": created})
        t["activities"].append(_activity(n, rep_id="R1"))
    t["deals"].append(_deal(24) | {"deal_id": "D42"})
    t["activities"].append(_activity(0, activity_id="V90"))
    for n in (91, 92):  # known to the day only: two calls of one day
        t["activities"].append(_activity(0, activity_id=f"V{n}", occurred_at=_moment(date(2026, 9, 14), 0)))
    t["accounts"] += [
        {"account_id": "A90", "name": "CUSTOMER-1 "}, {"account_id": "A91", "name": "Customer 2", "merged_into": "A2"},
    ]  # fmt: skip
    return {"duplicate_deals": 1, "repeated_rows": 2, "customers_of_one_name": 1}


def strangers(t: Tables) -> dict[str, int]:
    t["reps"].append(_person("R5", end_on=date(2026, 8, 31)))
    amend(t, 0, rep_id="R9")
    amend(t, 1, rep_id="R5")
    amend(t, 2, account_id="A999")
    amend(t, 3, product_id="P9")
    amend(t, 4, stage="negotiation ")
    t["activities"] += [
        _activity(0, activity_id="V90", deal_id="D999"),
        _activity(0, activity_id="V91", rep_id="R8", kind="note"),
    ]
    t["collections"] += [{**t["collections"][0], "collection_id": f"B{n}", "deal_id": "D998"} for n in (2, 3)]
    t["quotas"].append({**t["quotas"][0], "holder_id": "R7"})
    when = _moment(date(2026, 9, 1), 9)
    t["deal_events"] += [
        {"deal_id": "D997", "occurred_at": when, "field": "owner", "seq": 1, "new": "R1"},
        {"deal_id": "D996", "occurred_at": when, "field": "status", "seq": 1, "new": "deleted"},
    ]
    for n in range(50, 60):  # a stage given up long ago
        old = _deal(34) | {
            "deal_id": f"D{n}",
            "amount_minor": n,
            "created_on": date(2025, 1, n - 40),
            "close_on": date(2025, 3, 1),
        }
        t["deals"].append(old)
        t["deal_events"] += [
            e | {"new": "Old"} if e["new"] == "First contact" else e for e in _events(old, n)
        ]
    return {
        "unknown_owner": 1, "owner_has_left": 1, "unknown_account": 1, "unknown_product": 1, "unknown_deal": 4,
        "unknown_rep": 2, "stage_spellings": 1, "stage_unused": 1,
    }  # fmt: skip


def history(t: Tables) -> dict[str, int]:
    _row(t, "deals", "D0")["close_on"] += timedelta(days=1)
    _row(t, "deals", "D1")["amount_minor"] += 1
    when = _moment(date(2026, 9, 28), 9, 7)
    for seq, stage in enumerate(("Proposal submitted", "Negotiation"), start=5):
        t["deal_events"].append(
            {"deal_id": "D2", "occurred_at": when, "field": "stage", "seq": seq, "new": stage}
        )
    for n in range(24):
        owner = {"deal_id": f"D{n}", "field": "owner", "seq": 9, "new": f"R{n % 4 + 1}"}
        due = owner | {"field": "close_on", "new": _deal(n)["close_on"].isoformat()}
        second = datetime(2026, 9, 2, 3, 4, 5 if n < 20 else n)
        t["deal_events"] += [
            due | {"occurred_at": second}, due | {"occurred_at": datetime(2026, 9, 3)},  # a day, no second
            owner | {"occurred_at": datetime(2026, 9, 4, 3, 4, 5)},  # handed over
        ]  # fmt: skip
    return {"list_contradicts_history": 2, "stages_in_one_second": 1, "history_imported": 20}


def coverage(t: Tables) -> dict[str, int]:
    for n, activity in enumerate(t["activities"]):
        activity["occurred_at"] = _moment(date(2026, 9, 18), 14, n)
        activity["kind"] = "call" if activity["kind"] == "visit" else activity["kind"]
        activity["rep_id"] = "R1" if activity["rep_id"] == "R4" else activity["rep_id"]
    t["activities"][0]["deal_id"] = None
    for n in range(40):
        amend(t, n, account_id=None, product_id=None)
    return {
        "nothing_new": 1, "columns_lacking": 1, "columns_not_captured": 1, "activities_not_captured": 1,
        "reps_without_activities": 1, "deals_without_activities": 1,
    }  # fmt: skip


def company(t: Tables) -> dict[str, int]:
    _row(t, "reps", "R1")["team_id"] = None
    _row(t, "reps", "R2")["manager"] = None
    _row(t, "reps", "R3")["start_on"] = None
    t["reps"] += [
        _person("R6", start_on=date(2026, 5, 1), end_on=date(2026, 4, 1)),
        _person("M2", "manager", "M3", name="Pat"), _person("M3", "manager", "M2", name="Pat"),
    ]  # fmt: skip
    _row(t, "reps", "R4")["manager"] = "Pat"
    t["quotas"] = [quota for quota in t["quotas"] if quota["holder_id"] != "R4"]
    for deal, shares in (("D26", (0.5, 0.4)), ("D27", (0.6, 0.6)), ("D28", (1.0,))):
        t["splits"] += [
            {"deal_id": deal, "rep_id": f"R{n}", "kind": "revenue", "share": share}
            for n, share in enumerate(shares, start=1)
        ]
    t["fx_rates"][0]["from_on"] = date(2026, 6, 29)
    return {
        "rep_without_team": 1, "rep_without_manager": 1, "rep_without_start": 1, "left_before_start": 1, "manager_unclear": 1,
        "leaders_in_a_ring": 2, "quota_missing": 1, "shares_not_whole": 2, "rate_old": 1,
    }  # fmt: skip


Plant = Callable[[Tables], dict[str, int]]
PLANTED = (
    lacking, dates, filled_in_by_the_crm, set_for_all, too_few_to_tell, duplicates, strangers, history, coverage, company,
)  # fmt: skip
ELSEWHERE = {"export_late", "make_up_days_unknown"}
"""Checks that other tests plant for."""


def company_with(folder: Path, tables: Tables, settings: Settings | None = None) -> Workspace:
    workspace = Workspace.init(folder, settings=settings)
    Desk(workspace.store, settings).export(DAY, complete=True, **tables)
    return workspace


def found(report: Report) -> dict[str, int]:
    return {check.id: check.count for check in report.checks if check.count}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return company_with(tmp_path_factory.mktemp("clean") / "workspace", _clean())


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/Los_Angeles"])
def test_a_clean_company_has_no_finding_though_everything_was_looked_at(zone: str, tmp_path: Path) -> None:
    report = sources.doctor(company_with(tmp_path / "workspace", _clean(), Settings(time_zone=zone)))
    assert found(report) == {}
    assert not report.is_faulty
    assert [check.id for check in report.idle] == ["make_up_days_unknown"]
    assert len(report.checks) == len(QUESTIONS) == len({q.id for q in QUESTIONS})


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_what_was_planted_is_found_and_no_more(plant: Plant, tmp_path: Path) -> None:
    tables = _clean()
    expected = plant(tables)
    report = sources.doctor(company_with(tmp_path / "workspace", tables))
    assert found(report) == expected
    for check in report.found:
        assert check.count <= check.of
        assert 1 <= len(check.examples) <= min(10, check.count)
        assert all(
            name in LABELS for example in check.examples for name in example.values if name != "currency"
        )
        assert not check.by_owner or sum(share.count for share in check.by_owner) == check.count


def test_every_check_is_planted_for() -> None:
    planted = {check for plant in PLANTED for check in plant(_clean())}
    assert planted | ELSEWHERE == {question.id for question in QUESTIONS}


def test_a_late_export_is_told_from_data_that_stand_still(clean: Workspace) -> None:
    week = sources.doctor(clean, "2026-10-07")
    late = sources.doctor(clean, "2026-10-08")
    assert found(week) == {"overdue": 2, "quota_missing": 4}
    assert found(late) == {"overdue": 3, "quota_missing": 4, "export_late": 4}


def test_exports_that_come_in_turn_are_late_after_two_turns(tmp_path: Path) -> None:
    workspace = Workspace.init(tmp_path / "workspace")
    desk, tables = Desk(workspace.store), _clean()
    for day in (DAY - timedelta(days=20), DAY - timedelta(days=10), DAY):
        desk.export(
            day,
            complete=True,
            **{name: rows for name, rows in tables.items() if name in ("deals", "fx_rates")},
        )
    assert sources.doctor(workspace, "2026-10-20").check("export_late").count == 0
    assert sources.doctor(workspace, "2026-10-21").check("export_late").count == 1


def test_days_that_are_off_by_different_amounts_name_both_ends(tmp_path: Path) -> None:
    tables = _clean()
    dates(tables)
    text = sources.doctor(company_with(tmp_path / "workspace", tables)).check("derived_column").text
    assert "between -9 and 2 days" in text


def test_a_year_without_make_up_workdays_is_told(tmp_path: Path) -> None:
    settings = Settings(calendar=Calendar(country="CN"))
    workspace = company_with(tmp_path / "workspace", _clean(), settings)
    assert sources.doctor(workspace).check("make_up_days_unknown").count == 0
    later = sources.doctor(workspace, "2035-01-15").check("make_up_days_unknown")
    assert later.examples[-1].id == "2035"
    assert later.of == 10


def test_what_is_not_captured_is_not_called_missing(tmp_path: Path) -> None:
    tables = {name: rows for name, rows in _clean().items() if name in ("reps", "deals", "fx_rates")}
    tables["deals"][23]["created_on"] = date(2026, 9, 28)
    report = sources.doctor(company_with(tmp_path / "workspace", tables))
    assert found(report) == {"activities_not_captured": 8}
    assert report.check("untouched").of == report.check("reps_without_activities").of == 0
    assert report.check("unknown_account").of == report.check("quota_missing").of == 0


def test_nothing_known_later_is_held_against_an_earlier_day(clean: Workspace) -> None:
    """At the end of May most deals did not exist, and nobody knew how they would end."""
    report = sources.doctor(clean, "2026-05-31")
    assert found(report) == {"quota_missing": 4, "activities_not_captured": 8, "rate_old": 1}
    assert report.check("overdue").of == 10


@pytest.fixture(scope="module")
def oracle() -> Health:
    return Health(shipped("sample_data") / "regional_sales")


@pytest.mark.parametrize(("as_of", "expected"), [("2021-11-10", 7), ("2022-01-05", 2713)])
def test_overdue_deals_of_the_sample(regional: Workspace, oracle: Health, as_of: str, expected: int) -> None:
    check = sources.doctor(regional, as_of).check("overdue")
    assert check.count == len(oracle.overdue(as_of)) == expected
    assert check.of == len(oracle.open) == 5333
    assert {share.rep: share.count for share in check.by_owner} == oracle.overdue_by_owner(as_of)
    assert {int(example.id) for example in check.examples} <= set(oracle.overdue(as_of)["OpportunitySeq"])


def test_the_samples_derived_column_is_56_days_off_on_every_open_row(
    regional: Workspace, oracle: Health
) -> None:
    check = sources.doctor(regional, "2021-11-10").check("derived_column")
    assert set(oracle.days_off()) == {-56}
    assert oracle.computed_on() == {"2022-01-05"}
    assert check.count == check.of == len(oracle.open) == 5333
    assert "56 days" in check.text
    assert "2022-01-05" in check.text


def test_what_else_the_sample_has(regional: Workspace, oracle: Health) -> None:
    report = sources.doctor(regional)
    assert found(report) == {
        "overdue": 7, "derived_column": 5333, "duplicate_deals": oracle.alike_within(7),
        "customers_of_one_name": oracle.accounts_of_a_name_taken(), "columns_not_captured": 2, "activities_not_captured": 8,
    }  # fmt: skip
    assert oracle.closed_before_created() == oracle.empty("Value") == oracle.empty("CloseDate") == 0
    assert {example.id for example in report.check("columns_not_captured").examples} == {
        "deals.loss_reason",
        "reps.start_on",
    }


def test_the_command_says_it_on_the_terminal_as_json_and_as_a_page(
    clean: Workspace, regional: Workspace, run_cli: RunCli, tmp_path: Path
) -> None:
    faulty = run_cli(
        "doctor",
        "--workspace",
        regional.folder,
        "--as-of",
        "2022-01-05",
        "--json",
        "--html",
        tmp_path / "h.html",
    )
    assert faulty.returncode == 1, faulty.stderr
    told = json.loads(faulty.stdout)
    assert told["snapshot"].startswith("2021-11-10-")
    assert told["as_of"] == "2022-01-05"
    overdue = next(check for check in told["checks"] if check["id"] == "overdue")
    assert {
        "id",
        "severity",
        "count",
        "of",
        "examples",
        "mended_by",
        "text",
        "remedy",
        "by_owner",
    } <= overdue.keys()
    assert (overdue["count"], overdue["mended_by"], len(told["checks"])) == (2713, "rep", len(QUESTIONS))
    assert "2,713 of 5,333" in (tmp_path / "h.html").read_text(encoding="utf-8")

    plain = run_cli("doctor", "--workspace", regional.folder)
    assert plain.returncode == 1
    assert all(check["id"] in plain.stdout for check in told["checks"])
    assert run_cli("doctor", "--workspace", clean.folder).returncode == 0
    refused = run_cli("doctor", "--workspace", clean.folder, "--html", tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")


def test_a_day_that_is_none_and_a_workspace_without_data_are_refused(
    clean: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(Invalid, match="2026-02-30"):
        sources.doctor(clean, "2026-02-30")
    with pytest.raises(NotFound):
        sources.doctor(Workspace.init(tmp_path / "empty"))


@pytest.mark.parametrize("locale", list(Locale))
def test_the_page_stands_alone_and_runs_nothing(locale: Locale, tmp_path: Path) -> None:
    tables = _clean()
    tables["deals"][0] |= {"name": "</script><script>alert(1)</script>", "close_on": None, "stage": "<b>"}
    report = sources.doctor(company_with(tmp_path / "workspace", tables))
    with speaking(locale):
        page = quality_page(report, brand="<i>brand</i>")
        titles = [check.title for check in report.checks]
    assert not re.search(r"<script|<b>|<i>|\bhttps?://|\bsrc=", page.replace("<b>1</b>", ""))
    assert f'lang="{locale.html}"' in page
    assert all(title.replace("'", "&#39;") in page for title in titles)


def test_severity_decides_the_exit_code(clean: Workspace, regional: Workspace) -> None:
    assert sources.doctor(regional).count(Severity.ERROR) == 0
    assert sources.doctor(regional).is_faulty
    assert not sources.doctor(clean).is_faulty


def test_the_reference_has_every_check_with_its_severity_and_who_can_mend_it() -> None:
    text = (Path(__file__).parents[1] / "docs/doctor.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (\w+) \| (?:the )?(.+?) \| ", text, re.MULTILINE)
    asked = [
        (q.id, q.what.format(**dict(q.values)), q.severity.value, q.mended_by.called.removeprefix("the "))
        for q in QUESTIONS
    ]
    assert rows == asked


def test_successive_exports_each_speak_for_their_day(tmp_path: Path) -> None:
    """A column that stood still is wrong by the days since; a deal that a full export lacks is nobody's fault."""
    workspace = Workspace.init(tmp_path / "workspace")
    desk, before = Desk(workspace.store), DAY - timedelta(days=10)
    still = _deal(0) | {"days_to_close": (_deal(0)["close_on"] - before).days}
    counted = [_deal(1) | {"days_to_close": (_deal(1)["close_on"] - day).days} for day in (before, DAY)]
    faulty = _deal(34) | {"close_on": None}
    desk.export(before, complete=True, deals=[still, counted[0], faulty])
    desk.export(DAY, complete=True, deals=[still, counted[1]])
    earlier, later = sources.doctor(workspace, before.isoformat()), sources.doctor(workspace)
    assert [r.check("derived_column").count for r in (earlier, later)] == [0, 1]
    assert "10 days" in later.check("derived_column").text
    assert [r.check("lost_without_close_date").count for r in (earlier, later)] == [1, 0]
