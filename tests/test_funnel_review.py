"""The funnel review: its figures are those of the files, it says what it cannot tell, and holds nothing of others."""

from __future__ import annotations

import csv
import json
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from coachbook import access, batch, cleanup, facts, sources
from coachbook.catalogue import shipped
from coachbook.charts import Download, Picture, Prose, Sheet
from coachbook.errors import Invalid, Refused
from coachbook.facts import Asked
from coachbook.metrics.bridge import FLOWS
from coachbook.model.periods import Period
from coachbook.settings import Settings, Workspace
from coachbook.text import Locale, speaking
from coachbook.warehouse.slices import Slice
from coachbook.workbooks import book
from coachbook.workbooks.funnel_review import FunnelReview, verdicts, worth
from tests.oracles import funnel as by_hand
from tests.reviews import funnel_review

SAMPLE = shipped("sample_data") / "demo"
SEPTEMBER = "2026-09"
STAGES = {"contact": "First contact", "needs": "Needs confirmed", "proposal": "Proposal submitted", "negotiation": "Negotiation"}  # fmt: skip
ORDER = ("Lead acquisition", *STAGES.values(), "Closed")
WITHIN = 40
PARTS = (
    "everybody", "sentences", "stages", "moves", "funnel", "verdicts", "heat", "dwell", "since_we_last_spoke", "bridge",
    "bridge_figures", "slippage", "at_risk", "journey", "what_if", "effort", "clean_up", "worksheet", "decided", "criteria", "rows", "limits",
)  # fmt: skip
Review = dict[str, Any]


@pytest.fixture(scope="module")
def members(demo: Workspace) -> dict[str, str]:
    """Name and id of everybody who has a page."""
    return {m.rep_id: m.name for m in facts.roster(demo, SEPTEMBER)}


@pytest.fixture(scope="module")
def told(demo: Workspace, members: dict[str, str]) -> dict[str, Review]:
    return {rep: funnel_review(demo, Asked(rep=rep, period=SEPTEMBER)).to_dict() for rep in members}


@pytest.fixture(scope="module")
def team(demo: Workspace) -> FunnelReview:
    return funnel_review(demo, Asked(team="T01", period=SEPTEMBER))


@pytest.fixture(scope="module")
def files() -> by_hand.Oracle:
    return by_hand.from_files(SAMPLE, ORDER, date(2026, 9, 30))


def _found(review: Review, metric: str, stage: str) -> dict[str, Any]:
    return next(f for f in review["findings"] if (f["metric"], f["variant"]) == (metric, stage))


# Figures


def test_what_is_in_a_stage_is_what_the_deal_list_shows(told: dict[str, Review]) -> None:
    with (SAMPLE / "deals.csv").open(encoding="utf-8") as file:
        still_open = [row for row in csv.DictReader(file) if row["status"] == "open"]
    deals = Counter((row["rep_id"], row["stage"]) for row in still_open)
    pairs = {(row["rep_id"], row["stage"], row["account_id"]) for row in still_open}
    customers = Counter((rep, stage) for rep, stage, _customer in pairs)
    for rep, review in told.items():
        for stage, name in STAGES.items():
            assert _found(review, "stage_deals", stage)["value"] == deals[rep, name], (rep, stage)
            assert _found(review, "stage_customers", stage)["value"] == customers[rep, name]
            there = next(s["there"] for s in review["stages"] if s["stage"] == stage)
            assert (there["deals"], there["customers"]) == (deals[rep, name], customers[rep, name])
    assert sum(deals.values()) > 300


def test_what_stages_are_worth_adds_up_to_the_end_of_the_bridge(
    told: dict[str, Review], team: FunnelReview
) -> None:
    """Every open deal is in a stage; what is compared with is the End of the month before at this month's rates."""
    moved = 0
    for rep, review in (*told.items(), ("T01", team.to_dict())):
        values = {stage: _found(review, "stage_value", stage) for stage in STAGES}
        assert sum(found["value"] for found in values.values()) == review["bridge_of_all"]["end"]["minor"], (
            rep
        )
        before = sum(found["comparisons"][0]["value"] for found in values.values())
        assert before == review["bridge_of_all"]["start"]["minor"], rep
        moved += sum(found["value"] != found["comparisons"][0]["value"] for found in values.values())
        assert all(
            found["unit"] == "USD" and found["n"] == _found(review, "stage_deals", s)["n"]
            for s, found in values.items()
        )
    assert moved > len(told)
    with (SAMPLE / "deals.csv").open(encoding="utf-8") as file:
        standing = [row for row in csv.DictReader(file) if row["status"] == "open"]
    in_dollars = 0
    for rep, review in told.items():
        for stage, name in STAGES.items():
            deals = [row for row in standing if (row["rep_id"], row["stage"]) == (rep, name)]
            if deals and {row["currency"] for row in deals} == {"USD"}:
                listed = sum(round(float(row["amount"] or 0) * 100) for row in deals)
                assert _found(review, "stage_value", stage)["value"] == listed, (rep, stage)
                in_dollars += 1
    assert in_dollars > 20


def test_conversion_is_that_of_deals_whose_forty_days_ended(
    told: dict[str, Review], files: by_hand.Oracle
) -> None:
    """Every deal walked by hand: who had it on the day it got to a stage, and whether it got on within forty working days."""
    last, first = by_hand.number(date(2026, 9, 30)), by_hand.number(date(2025, 9, 30))
    n, onward = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for deal in files.deals:
        days = files.firsts(deal)
        for place, (came, gone) in enumerate(pairwise([*days, date.max])):
            stage = next((s for s, name in STAGES.items() if ORDER[place : place + 1] == (name,)), None)
            if stage is None or came < files.since or not first < by_hand.number(came) + WITHIN <= last:
                continue
            rep = files.holder(deal, came)[0]
            n[rep, stage] += 1
            onward[rep, stage] += gone < date.max and by_hand.number(gone) - by_hand.number(came) <= WITHIN
    for rep, review in told.items():
        for stage in STAGES:
            found = _found(review, "stage_conversion", stage)
            share = onward[rep, stage] / n[rep, stage] if n[rep, stage] else None
            assert (found["n"], found["value"]) == (n[rep, stage], pytest.approx(share)), (rep, stage)
    assert sum(n.values()) > 4000


def test_every_bridge_reconciles_and_has_all_its_flows(told: dict[str, Review], team: FunnelReview) -> None:
    for review in (*told.values(), team.to_dict()):
        for name in ("bridge", "bridge_of_all"):
            bridge = review[name]
            assert list(bridge["flows"]) == list(FLOWS)
            assert bridge["residual"] == {"count": 0, "minor": 0}
            assert all(set(flow) == {"count", "minor"} for flow in bridge["flows"].values())
    assert any(review["bridge"]["flows"]["won"]["minor"] for review in told.values())


def test_members_add_up_to_their_team(told: dict[str, Review], team: FunnelReview) -> None:
    """Nobody of the team came or left in the month; deals handed over inside it cancel."""
    mine = [row.rep_id for row in team.page.members]
    whole = team.to_dict()
    assert len(mine) > 4
    for name, sign in FLOWS.items():
        if name.startswith("transferred"):
            continue
        parts = sum(told[rep]["bridge_of_all"]["flows"][name]["minor"] for rep in mine)
        assert whole["bridge_of_all"]["flows"][name]["minor"] == parts, (name, sign)
    for stage in STAGES:
        parts = sum(_found(told[rep], "stage_deals", stage)["value"] for rep in mine)
        assert _found(whole, "stage_deals", stage)["value"] == parts


def test_few_findings_of_reps_with_sixty_deals_are_unknown(told: dict[str, Review]) -> None:
    """At most a tenth: of reps with so many deals the data can tell."""
    full = [r for r in told.values() if sum(_found(r, "stage_conversion", s)["n"] for s in STAGES) >= 60]
    found = [finding for review in full for finding in review["findings"]]
    assert len(full) > 12
    assert sum(finding["value"] is None for finding in found) <= 0.1 * len(found)


def test_the_review_is_whole_as_data(told: dict[str, Review]) -> None:
    for review in told.values():
        assert json.loads(json.dumps(review, allow_nan=False)) == review
        assert (review["schema"], review["workbook"]) == ("coachbook.review/1", "funnel_review")
        for found in review["findings"]:
            assert set(found) >= {"id", "metric", "variant", "value", "unit", "n", "interval", "comparisons", "text", "evidence"}  # fmt: skip
            assert found["value"] is not None or found["reason"]
            assert found["interval"] or found["reason"]
            if found["interval"] and found["interval"]["high"] is not None:
                assert found["interval"]["low"] <= found["value"] <= found["interval"]["high"]
            for compared in found["comparisons"]:
                assert compared["with"] in ("previous", "peers", "expected")
                assert compared["verdict"] is not None or compared["n_needed"] or compared["reason"], found[
                    "id"
                ]
        for named in review["named"]:
            assert set(named) == {"metric", "variant", "with", "direction", "text"}
        ids = [found["id"] for found in review["findings"]]
        assert len(set(ids)) == len(ids)


def test_what_the_page_works_out_stands_in_the_data_with_its_parts(told: dict[str, Review]) -> None:
    """Whoever doubts velocity, slippage or what a better stage is worth can redo them from the JSON alone."""
    redone: Counter[str] = Counter()
    for review in told.values():
        speed, slipped = review["velocity"], review["slippage"]
        if speed["per_day"]["value"] is not None:
            parts = speed["open_deals"] * speed["win_rate"] * speed["size"] / speed["cycle"]
            assert speed["per_day"]["value"] == pytest.approx(parts)
            redone["velocity"] += 1
        if slipped and slipped["due"]["minor"]:
            off = slipped["outcomes"]["slipped"]
            assert slipped["share"] == pytest.approx(off["count"] / slipped["due"]["count"])
            assert slipped["share_of_value"] == pytest.approx(off["minor"] / slipped["due"]["minor"])
            redone["slippage"] += 1
        for criterion in review["criteria"]:
            share = criterion["share"]
            assert (share is None) == (criterion["met"] is None or not criterion["known"])
            if share and share["interval"]:
                assert share["value"] == criterion["met"] / criterion["known"]
                assert share["interval"]["low"] <= share["value"] <= share["interval"]["high"]
                redone["criteria"] += 1
        for better in review["what_if"]:
            if better["more"]["value"]:
                assert better["more"]["value"] == pytest.approx(
                    better["deals"]["value"] * (1 - better["conversion"] / better["to"]), abs=1e-9
                )
                redone["what_if"] += 1
        assert review["process"]["now"]["new_leads"]["value"] == review["process"]["now"]["new_leads"]["n"]
        assert review["members"] == []
    assert all(redone[part] >= 5 for part in ("velocity", "slippage", "criteria", "what_if")), redone


def test_a_figure_stands_with_its_n_and_interval(demo: Workspace, members: dict[str, str]) -> None:
    """Flow, stays, criteria and what a better stage is worth: a cell that begins with a figure has brackets that say how sure it is."""
    sure = re.compile(r"\(.+ to .+\)|\(.+ or more.*\)|\(n = |\(too few")
    seen = 0
    for rep in members:
        review = funnel_review(demo, Asked(rep=rep, period=SEPTEMBER))
        for part, places in (
            (review.stages, (4,)),
            (review.moves, (4,)),
            (review.criteria, (5,)),
            (review.what_if, (1, 3, 4)),
        ):
            sheet = part()
            cells = [row[place] for row in sheet.rows for place in places] if isinstance(sheet, Sheet) else []
            figures = [cell for cell in cells if re.match(r"[-+−$]*\d", cell)]
            assert all(map(sure.search, figures)), figures
            seen += len(figures)
    assert seen > 20 * len(members)


def test_what_is_singled_out_is_named(demo: Workspace, members: dict[str, str]) -> None:
    """In two months: a stage that the sentences call out stands in `named`, and nothing else is called out."""
    coached = 0
    for period in ("2026-03", "2026-09"):
        for member in facts.roster(demo, period):
            review = funnel_review(demo, Asked(rep=member.rep_id, period=period))
            worse = {n["variant"] for n in review.named if (n["with"], n["direction"]) == ("peers", "worse")}
            assert {at.stage for at in review.page.places if at.decision == "coach"} == worse
            matter = review.sentences().sentences[1]
            assert ("coach the rep" in matter) == bool(worse)
            assert all(review.title(stage) in matter for stage in worse)
            everybody = {n["variant"] for n in review.named if n["with"] == "stages"}
            assert {at.stage for at in review.page.places if at.decision == "fix"} == everybody
            assert all(
                (review.title(stage) in str(review.everybody())) == (stage in everybody) for stage in STAGES
            )
            coached += bool(worse)
    assert 0 < coached < 12


# What it says where it cannot tell


def test_without_a_history_the_page_says_what_it_cannot_show(regional: Workspace) -> None:
    for member in facts.roster(regional, "2021-10")[:4]:
        review = funnel_review(regional, Asked(rep=member.rep_id, period="2021-10"))
        assert "no history of stages" in str(review.everybody())
        assert review.to_dict()["findings"] == review.to_dict()["named"] == []
        stages = review.stages()
        assert isinstance(stages, Sheet)
        assert "Not recorded" in stages.note
        assert "(0)" not in stages.note, "how many were there is not known"
        assert {row[0] for row in stages.rows} <= {
            "no such deal",
            "1-Qualify",
            "2-Develop",
            "3-Propose",
            "4-Close",
        }
        for part in ("funnel", "verdicts"):
            assert "Not recorded" in str(getattr(review, part)())
        assert not any("quiet" in change.kinds for change in review.changes)
        assert "no history of stages" in str(review.limits())
        assert review.to_dict()["bridge"]["residual"] == {"count": 0, "minor": 0}


def test_stages_of_long_ago_blame_and_excuse_nobody_now(tmp_path: Path) -> None:
    """What was called otherwise two years ago has no part in what got on in the last twelve months."""
    long_ago = [
        _told(f"o{n}", (f"2023-0{1 + n % 6}-03", "Haggling"), (f"2023-0{2 + n % 6}-01", "Negotiation"))
        for n in range(9)
    ]
    lately = _told("d", ("2025-11-05", "First contact"), ("2025-12-02", "Negotiation"))
    deals = [
        f"{d},r,a,Negotiation,open,{born},2026-06-01,100"
        for d, born in [("d", "2025-11-05"), *((f"o{n}", f"2023-0{1 + n % 6}-03") for n in range(9))]
    ]
    workspace = _workspace(tmp_path, deals, [*lately, *(event for deal in long_ago for event in deal)])
    for period, outside in (("2026-03", False), ("2023-06", True)):
        review = funnel_review(workspace, Asked(rep="r", period=period))
        assert review.company.terms.outside is outside, period
        assert ("nobody is singled out" in str(review.limits())) is outside


def test_before_the_history_no_stage_is_said_never_to_have_been_used(tmp_path: Path) -> None:
    events = _told(
        "d", ("2026-01-05", "First contact"), ("2026-02-11", "Needs confirmed"), ("2026-03-02", "Negotiation")
    )
    workspace = _workspace(tmp_path, ["d,r,a,Negotiation,open,2026-01-05,2026-06-01,100"], events)
    review = funnel_review(workspace, Asked(rep="r", period="2026-01"))
    assert not review.is_recorded
    said = " ".join(map(str, (review.stages(), review.dwell(), review.verdicts(), review.limits())))
    assert "No deal was ever in" not in said
    assert "hold no history" not in said
    assert said.count("February 11, 2026, after this period") == 4


def test_without_amounts_no_rate_by_value_is_said(tmp_path: Path) -> None:
    """Ten deals due in March of which three are put off: without amounts, and with some below 0, as credits are."""
    for amount, said in (
        ("", "amounts are missing, 0 or negative"),
        ("-100", "amounts are missing, 0 or negative"),
        ("100", "by value ("),
    ):
        deals = [
            f"d{n},r,a,Negotiation,open,2026-01-05,{'2026-05-01' if n < 3 else '2026-03-20'},{amount if n or not amount else 100}"
            for n in range(10)
        ]
        events = [
            line for n in range(10)
            for line in (*_told(f"d{n}", ("2026-01-05", "Negotiation")), f"d{n},2026-01-05 09:00:00,close_on,3,2026-03-20",
                *([f"d{n},2026-03-10 09:00:00,close_on,1,2026-05-01"] if n < 3 else []))
        ]  # fmt: skip
        review = funnel_review(
            _workspace(tmp_path / (amount or "none"), deals, events), Asked(rep="r", period="2026-03")
        )
        text = str(review.slippage())
        assert "Of 10 deals" in text
        assert "30% by number (" in text
        assert said in text
        assert "nan" not in text.lower()


def test_a_quiet_deal_is_no_risk_where_nobody_can_tell(tmp_path: Path) -> None:
    """One list and nothing else: most of those that are old were lost, which is no reason to call an open one quiet."""
    rows = []
    for n in range(300):
        born = date(2025, 1, 1) + timedelta(days=n % 200)
        status = ("won" if n % 3 else "lost") if n < 200 else "open"
        closed = born + timedelta(days=20 if status == "won" else 150)
        rows.append(f"d{n},r,a,Negotiation,{status},{born},{closed if n < 200 else date(2026, 6, 1)},100")
    review = funnel_review(_workspace(tmp_path, rows, []), Asked(rep="r", period="2026-03"))
    assert not review.company.terms.tells_quiet
    assert "quiet" not in {record.flag for record in review.company.records}
    assert all("quiet" not in deal.flags for deal in review.page.at_risk)


def test_the_five_at_risk_that_would_change_the_period_first(demo: Workspace) -> None:
    seen = 0
    for team in ("T01", "T02", "T03", "T04"):
        review = funnel_review(demo, Asked(team=team, period=SEPTEMBER))
        worth = {deal.deal_id: deal.amount_minor or 0 for deal in review.slice.deals}
        due = [
            (deal.close_on is None or deal.close_on > date(2026, 9, 30), -worth[deal.deal_id])
            for deal in review.page.at_risk
        ]
        first = review.to_dict()["at_risk"]
        assert [
            (d["close_on"] is None or d["close_on"] > "2026-09-30", -worth[d["deal_id"]]) for d in first
        ] == sorted(due)[:5]
        seen += len(due) > 5
    assert seen


def test_the_deals_behind_a_figure_are_of_its_days(told: dict[str, Review], files: by_hand.Oracle) -> None:
    """Those of a conversion came when its cohort did; those of a stay were there in the month; of nothing there are none."""
    by_id = {deal.id: deal for deal in files.deals}
    first, last = by_hand.number(date(2026, 8, 31)), by_hand.number(date(2026, 9, 30))
    checked: Counter[str] = Counter()
    for review in told.values():
        for found in review["findings"]:
            behind = found["evidence"]["largest"]
            assert bool(behind) <= bool(found["n"]), found["id"]
            if found["id"].endswith(":pooled") or found["metric"] != "stage_conversion":
                continue
            for deal in behind:
                came = files.firsts(by_id[deal])[ORDER.index(STAGES[found["variant"]])]
                checked["now"] += first < by_hand.number(came) + WITHIN <= last
                checked["all"] += 1
    assert checked["now"] > 0.9 * checked["all"] > 50, "a deal that comes a second time is not in the cohort"


def test_activities_alone_tell_that_a_deal_is_quiet(tmp_path: Path) -> None:
    """No stage was ever recorded to change: with activities captured a deal can be quiet, without them nobody can tell."""
    deals = [f"{deal},r,a,Negotiation,open,2026-01-05,2026-06-01,100" for deal in ("called", "silent")]
    for captured in (True, False):
        activities = ["x,r,called,call,2026-03-30 09:00:00"] if captured else []
        workspace = _workspace(tmp_path / str(captured), deals, [], activities)
        review = funnel_review(workspace, Asked(rep="r", period="2026-03"))
        assert review.page.since is None
        assert [c.deal_id for c in review.candidates if "quiet" in c.why] == (["silent"] if captured else [])
        assert [c.deal_id for c in review.changes if "quiet" in c.kinds] == (["silent"] if captured else [])
        assert ("cannot be told" in review.clean_up().note) is not captured


_MAPPING = """
as_of = 2026-03-31
[reps]
file = "reps.csv"
[reps.columns]
rep_id = "rep_id"
name = "name"
role = { constant = "rep" }
[deals]
file = "deals.csv"
[deals.columns]
deal_id = "deal_id"
rep_id = "rep_id"
account_id = "account_id"
stage = "stage"
status = "status"
created_on = "created_on"
close_on = "close_on"
amount = "amount"
currency = { constant = "USD" }
[deal_events]
file = "deal_events.csv"
[deal_events.columns]
deal_id = "deal_id"
occurred_at = "occurred_at"
field = "field"
seq = "seq"
new = "new"
"""
_DONE = """
[activities]
file = "activities.csv"
[activities.columns]
activity_id = "activity_id"
rep_id = "rep_id"
deal_id = "deal_id"
kind = "kind"
occurred_at = "occurred_at"
"""
_LISTED = "deal_id,rep_id,account_id,stage,status,created_on,close_on,amount"
_EVENTS = "deal_id,occurred_at,field,seq,new"


def _workspace(
    folder: Path, deals: list[str], events: list[str], activities: list[str] | None = None
) -> Workspace:
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "mapping.toml").write_text(_MAPPING + (_DONE if activities else ""), encoding="utf-8")
    if activities:
        rows = ["activity_id,rep_id,deal_id,kind,occurred_at", *activities, ""]
        (source / "activities.csv").write_text("\n".join(rows), encoding="utf-8")
    (source / "reps.csv").write_text("rep_id,name\nr,Rep\ns,Other\n", encoding="utf-8")
    (source / "deals.csv").write_text("\n".join([_LISTED, *deals, ""]), encoding="utf-8")
    (source / "deal_events.csv").write_text("\n".join([_EVENTS, *events, ""]), encoding="utf-8")
    workspace = Workspace.init(folder / "workspace")
    sources.import_paths(workspace, [source])
    return workspace


def _told(deal: str, *stages: tuple[str, str]) -> list[str]:
    """Events of an open deal that went through stages on those days."""
    (born, first), *rest = stages
    return [
        f"{deal},{born} 09:00:00,status,1,open",
        f"{deal},{born} 09:00:00,stage,2,{first}",
        *(f"{deal},{day} 09:00:00,stage,1,{stage}" for day, stage in rest),
    ]


BAD = {
    "no deals": ([], []),
    "no events": (["d,r,a,Negotiation,open,2026-01-05,2026-04-01,100"], []),
    "one deal": (
        ["d,r,a,Negotiation,open,2026-01-05,2026-04-01,100"],
        _told("d", ("2026-01-05", "First contact"), ("2026-02-02", "Negotiation")),
    ),
    "a stage that is not configured": (
        ["d,r,a,Haggling,open,2026-01-05,2026-04-01,100", "e,r,b,Negotiation,open,2026-01-05,2026-04-01,100"],
        [
            *_told("d", ("2026-01-05", "First contact"), ("2026-02-02", "Haggling")),
            *_told("e", ("2026-01-05", "First contact"), ("2026-02-03", "Negotiation")),
        ],
    ),
    "cycles": (
        ["d,r,a,Negotiation,open,2026-01-05,2026-04-01,100"],
        _told("d", *((f"2026-01-{day:02}", STAGES["needs" if day % 2 else "negotiation"]) for day in range(5, 29)), ("2026-03-02", "Negotiation")),
    ),
    "events before creation": (
        ["d,r,a,Negotiation,open,2026-03-20,2026-04-01,100"],
        _told("d", ("2026-01-05", "First contact"), ("2026-02-02", "Negotiation")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_a_page_that_says_so(case: str, locale: Locale, tmp_path: Path) -> None:
    deals, events = BAD[case]
    workspace = _workspace(tmp_path, deals, events)
    with speaking(locale):
        review = funnel_review(workspace, Asked(rep="r", period="2026-03"))
        assert all(_shown(review))
        plain = review.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["named"] == []
    assert plain["bridge"]["residual"] == {"count": 0, "minor": 0}
    if locale is not Locale.EN:
        return
    stages = str(review.stages().note if isinstance(review.stages(), Sheet) else review.stages())  # type: ignore[union-attr]
    if case in ("no deals", "no events"):
        assert "no history of stages" in str(review.everybody())
    elif case == "a stage that is not configured":
        assert "Haggling (1)" in stages
        assert _found(plain, "stage_deals", "Haggling")["value"] == 1
    else:
        assert [_found(plain, "stage_deals", stage)["value"] for stage in ("negotiation",)] == [1]
        assert plain["named"] == []


def _shown(review: FunnelReview) -> Iterator[str]:
    """Every part, as a page holds it."""
    for part in PARTS:
        shown = getattr(review, part)()
        assert isinstance(shown, Download | Picture | Prose | Sheet), part
        yield str(shown._repr_mimebundle_())
    yield str(review)


def test_every_part_speaks_the_readers_language(
    demo: Workspace, team: FunnelReview, members: dict[str, str]
) -> None:
    """In Chinese no English word is left but names of people, teams and deals, and what people wrote."""
    given = {
        word for name in (*members.values(), *team._names.values()) for word in re.findall(r"[A-Za-z]+", name)
    }
    with (SAMPLE / "deals.csv").open(encoding="utf-8") as file:
        given |= {word for row in csv.DictReader(file) for word in re.findall(r"[A-Za-z]+", row["next_step"])}
    allowed = given | {"North", "pp", "coachbook", "toml", "stages", "CN", "US", "n", "D", "deals", "ws"}
    with speaking(Locale.ZH_CN):
        for review in (team, funnel_review(demo, Asked(rep="R005", period=SEPTEMBER))):
            for part in PARTS:
                shown = getattr(review, part)()
                texts = [shown.text] if isinstance(shown, Picture) else _texts(shown)
                left = {w for t in texts for w in re.findall(r"[A-Za-z]{2,}", t)} - allowed
                assert not left, (part, left)
                assert any("\u4e00" <= sign <= "\u9fff" for text in texts for sign in text)
            for found in review.to_dict()["findings"]:
                assert not set(re.findall(r"[A-Za-z]{2,}", found["text"] + found["reason"])) - allowed, found


def _texts(shown: Download | Prose | Sheet) -> list[str]:
    if isinstance(shown, Download):
        return [shown.label]
    if isinstance(shown, Prose):
        return list(shown.sentences)
    return [*shown.columns, shown.caption, shown.note, *(cell for row in shown.rows for cell in row)]


# Since we last spoke


def test_any_day_can_be_the_day_we_last_spoke(demo: Workspace) -> None:
    asked = Asked(rep="R005", period=SEPTEMBER)
    by_default = funnel_review(demo, asked)
    assert by_default.since == date(2026, 8, 31)
    late = funnel_review(demo, asked, since=date(2026, 9, 29))
    recent = {c.deal_id for c in late.changes if c.kinds != ("quiet",)}
    with (SAMPLE / "deal_events.csv").open(encoding="utf-8") as file:
        touched = {row["deal_id"] for row in csv.DictReader(file) if row["occurred_at"] >= "2026-09-30"}
    assert recent
    assert recent <= touched
    assert {c.deal_id for c in by_default.changes} >= recent
    with pytest.raises(Invalid, match="2026-02-30"):
        book.Book(late.slice.about, lambda _workbook: late.slice).funnel_review(since="2026-02-30")


def test_the_day_we_last_spoke_is_not_later_than_the_data(demo: Workspace) -> None:
    with pytest.raises(Invalid, match="2026-10-01"):
        funnel_review(demo, Asked(rep="R005", period=SEPTEMBER), since=date(2026, 10, 1))


def test_only_a_period_that_is_known_whole_is_compared_with(demo: Workspace) -> None:
    """Stages are recorded from April 2025: May has April to compare with, April has nothing, March itself is not recorded."""
    may, april, march = (funnel_review(demo, Asked(rep="R020", period=f"2025-0{m}")) for m in (5, 4, 3))
    assert set(may.page.earlier) == {"previous"}
    assert april.page.earlier == {}
    assert "after this period" in str(march.everybody())
    assert "0 are open" not in march.sentences().sentences[0]
    running = funnel_review(demo, Asked(rep="R005", period=SEPTEMBER, as_of="2026-09-15"))
    assert "in as many days of August 2026" in str(running.everybody())


def test_what_the_map_of_a_team_colours_is_named(demo: Workspace) -> None:
    """Over the teams of some months: the cells that are coloured are those that `named` has with a rep."""
    coloured = 0
    for period in ("2026-03", "2026-06", SEPTEMBER):
        for team_id in ("T01", "T02", "T03", "T04"):
            review = funnel_review(demo, Asked(team=team_id, period=period))
            cells = {
                (m.rep_id, c.stage) for m in review.page.members for c in m.cells if verdicts.square(c).value
            }
            assert {(n["rep"], n["variant"]) for n in review.named if "rep" in n} == cells
            coloured += len(cells)
    assert coloured


# What it would bring


def test_what_a_better_stage_is_worth_is_plain_arithmetic(demo: Workspace) -> None:
    """More won deals a month = deals that come a month x points more x chance after the stage, from the page's own figures."""
    review = funnel_review(demo, Asked(rep="R005", period=SEPTEMBER))
    chances = {c.stage: c for c in review.page.chances}
    found = {(w.stage, w.target): w for w in worth.improvements(review)}
    stages = [at.stage for at in review.page.places]
    for at, after in zip(review.page.places, [*stages[1:], ""], strict=True):
        chance = chances[after].won if after else 1.0
        assert chance is not None
        for target, to in (
            ("points", at.pooled.value + 0.05),
            ("expected", at.pooled.against("expected").value),
        ):  # type: ignore[union-attr,operator]
            more = at.pooled.n / review.company.terms.months * (min(to, 1.0) - at.pooled.value) * chance  # type: ignore[operator]
            assert found[at.stage, target].more.value == pytest.approx(more)
    with (SAMPLE / "deals.csv").open(encoding="utf-8") as file:
        won = [r for r in csv.DictReader(file) if r["rep_id"] == "R005" and r["status"] == "won" and "2025-10-01" <= r["close_on"] <= "2026-09-30"]  # fmt: skip
    assert review.company.terms.months == pytest.approx(12, abs=0.1)
    size = worth.won_size(review)
    assert size
    assert size.n == len(won) > 40
    shown = review.what_if()
    assert isinstance(shown, Sheet)
    assert all("(" in row[3] for row in shown.rows)


def test_what_goes_in_is_counted_in_the_files(demo: Workspace, members: dict[str, str]) -> None:
    with (SAMPLE / "leads.csv").open(encoding="utf-8") as file:
        created = Counter(r["rep_id"] for r in csv.DictReader(file) if r["created_on"].startswith(SEPTEMBER))
    for rep in members:
        process = funnel_review(demo, Asked(rep=rep, period=SEPTEMBER)).page.process
        assert process
        assert process.new_leads.value == created[rep]
    assert sum(created.values()) > 50


def test_coverage_of_a_month_is_that_of_its_quarter(demo: Workspace) -> None:
    """Quotas are for quarters: in August the third still runs."""
    review = funnel_review(demo, Asked(rep="R005", period="2026-08", as_of="2026-08-31"))
    assert review.company.terms.covered == "2026-Q3"
    with (SAMPLE / "quotas.csv").open(encoding="utf-8") as file:
        quota = next(r for r in csv.DictReader(file) if (r["holder_id"], r["period"]) == ("R005", "2026-Q3"))
    coverage = review.to_dict()["coverage"]
    assert coverage["period"] == "2026-Q3"
    assert coverage["quota_minor"] == float(quota["amount"]) * 100
    assert coverage["times"] == pytest.approx(
        coverage["pipeline"]["minor"] / (coverage["quota_minor"] - coverage["won_minor"])
    )
    shown = review.effort()
    assert isinstance(shown, Sheet)
    assert re.search(r"(enough|cannot tell).*needed: [\d.]+ \(.+\), from \d+ deals", shown.rows[-1][3])


# What to clean up


def test_decisions_on_the_pages_worksheet_come_back_to_the_page(
    demo: Workspace, own: Callable[[Workspace], Workspace], tmp_path: Path
) -> None:
    """From the download to the next look at the page: what was decided stands there, as not done yet."""
    workspace, asked = own(demo), Asked(rep="R005", period=SEPTEMBER)
    before = funnel_review(workspace, asked)
    assert str(before.decided()).startswith("Nothing was decided")
    link = before.worksheet()._repr_mimebundle_()["text/html"]
    sheet = b64decode(link.partition("base64,")[2].partition('"')[0]).decode("utf-8-sig")
    columns, *rows = csv.reader(sheet.splitlines())
    assert [row[columns.index("deal_id")] for row in rows] == [c.deal_id for c in before.candidates]
    rows[0][columns.index("decision")] = "dead"
    rows[1][columns.index("decision")], rows[1][columns.index("value")] = "close_on", "2026-12-01"
    for row in rows:
        row[columns.index("by")] = "Mia"
    filled = tmp_path / "filled.csv"
    with filled.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    cleanup.add(workspace, filled, decided_on="2026-09-30")
    after = funnel_review(workspace, asked)
    shown = after.decided()
    assert isinstance(shown, Sheet)
    assert sorted((row[0], row[2]) for row in shown.rows) == [("not done", "close date: 2026-12-01"), ("not done", "given up as lost")]  # fmt: skip
    assert {d["deal_id"] for d in after.to_dict()["decided"]} == {rows[0][0], rows[1][0]}
    assert not funnel_review(workspace, Asked(rep="R005", period="2026-08", as_of="2026-08-31")).page.decided
    for review in (before, after):
        assert review.to_dict()["bridge"]["residual"] == {"count": 0, "minor": 0}


# Who may see what


def test_a_reps_file_names_no_colleague(demo: Workspace, members: dict[str, str]) -> None:
    page = facts.settle(demo, Asked(workbook="funnel_review", rep="R005", period=SEPTEMBER))
    raw = facts.cut(demo, page, "rep").read_bytes()
    assert members["R005"].encode() in raw
    assert not [name for rep, name in members.items() if rep != "R005" and name.encode() in raw]
    seen = Slice.read(facts.cut(demo, page, "rep"))
    assert not seen.peers
    review = FunnelReview.of(seen, page.period, since=None)
    assert {deal.rep_id for deal in review.page.at_risk} <= {"R005"}
    assert review.page.members == ()


def test_of_a_small_company_a_rep_sees_no_figure_of_everybody(tmp_path: Path) -> None:
    """Two people: the company's figure less the own would be the other's."""
    workspace = _workspace(
        tmp_path,
        ["d,r,a,Negotiation,open,2026-01-05,2026-04-01,100", "e,s,b,Negotiation,open,2026-03-03,2026-04-01,100"],
        [
            *_told("d", ("2026-01-05", "First contact"), ("2026-02-02", "Negotiation")),
            *_told("e", ("2026-03-03", "First contact"), ("2026-03-04", "Negotiation")),
        ],
    )  # fmt: skip
    mine, theirs = (
        funnel_review(workspace, Asked(rep="r", period="2026-03"), reader) for reader in ("rep", "manager")
    )  # type: ignore[arg-type]
    assert theirs.company.created is not None
    assert mine.company.created is None
    assert "Too few people" in str(mine.everybody())
    shown = {s.stage: (s.came_in, s.there) for s in mine.company.stages}
    assert shown["negotiation"] == (None, None)
    assert {s.stage: s.there for s in theirs.company.stages}["negotiation"] == 2
    assert mine.company.criteria == ()
    assert all(record.n == record.without_n == 0 for record in mine.company.records)


def test_a_page_opened_as_one_workbook_holds_nothing_for_another(
    demo: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = facts.settle(demo, Asked(workbook="funnel_review", rep="R005", period=SEPTEMBER))
    grant = access.Grant(
        user="owner", reader="rep", scope=page.scope, workbook="funnel_review", period=SEPTEMBER,
        as_of="2026-09-30", slice=str(facts.cut(demo, page, "rep")), locale="en", host="batch",
    )  # fmt: skip
    monkeypatch.setenv(access.ENVIRONMENT, "x")
    monkeypatch.setattr(access, "read", lambda _token: grant)
    opened = book.open(rep="R005", period=SEPTEMBER)
    assert opened.funnel_review().name == "Erik Pascal"
    with pytest.raises(Refused, match="funnel_review"):
        opened.retrospective()


# Pages


def test_the_undecidable_is_struck_out(team: FunnelReview) -> None:
    cells = [cell for member in team.page.members for cell in member.cells]
    struck = [verdicts.square(cell).value is None for cell in cells]
    assert any(struck)
    for cell, is_struck in zip(cells, struck, strict=True):
        assert is_struck == (not cell.named and (cell.decision is not None or cell.low is None))


def test_pages_of_all_kinds_are_made_in_a_batch(
    demo: Workspace, tmp_path: Path, members: dict[str, str]
) -> None:
    hostile = next(rep for rep, name in members.items() if "</script>" in name)
    chinese = next(rep for rep, name in members.items() if "\u4e00" <= name[0] <= "\u9fff")
    order = batch.Order(
        "funnel_review", reps=f"{hostile},{chinese}", period=SEPTEMBER, locale="zh_CN", formats=("html",), out=tmp_path / "run"
    )  # fmt: skip
    outcome = batch.run(demo, order)
    assert outcome.count("ok") == 2
    assert {row.kernel for row in outcome.rows} == {"forked"}
    page = (tmp_path / "run" / hostile / "funnel_review.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert page.count("cb-picture") >= 4
    assert "漏斗" in page


CONTACT = '[[stages]]\nid = "contact"\nname = "First contact"\n'
NEEDS = '[[stages]]\nid = "needs"\nname = "Needs confirmed"\nexpected_conversion = 0.98\n'
PROPOSAL = '[[stages]]\nid = "proposal"\nname = "Proposal submitted"\n'
HAGGLE = '[[stages]]\nid = "haggle"\nname = { en = "Negotiation", zh_CN = "砍价" }\n'


def test_where_deals_are_in_stages_that_are_not_configured_nobody_is_blamed(
    demo: Workspace, tmp_path: Path
) -> None:
    """Two of four stages: the others are named, nothing is lost, and who went there has not simply failed to get on."""
    workspace = Workspace.init(tmp_path / "own", settings=Settings.read(NEEDS + HAGGLE))
    sources.import_paths(workspace, [SAMPLE])
    review = funnel_review(workspace, Asked(rep="R005", period=SEPTEMBER))
    stages, table = review.stages(), review.verdicts()
    assert isinstance(stages, Sheet)
    assert isinstance(table, Sheet)
    assert [row[0] for row in stages.rows][:2] == ["Needs confirmed", "Negotiation"]
    assert [at.stage for at in review.page.places] == ["needs", "haggle"]
    for note in (stages.note, table.note, " ".join(review.limits().sentences)):
        assert "Proposal submitted (" in note
        assert "nobody is singled out" in note
    assert "whether everybody sticks somewhere cannot be told" in str(review.everybody())
    assert "not configured" in str(review.what_if())
    assert {row[-1] for row in table.rows} == {"cannot tell: deals are in stages that are not configured"}
    for asked in (
        Asked(team="T01", period=SEPTEMBER),
        *(Asked(rep=m.rep_id, period=SEPTEMBER) for m in facts.roster(workspace, SEPTEMBER)),
    ):
        page = funnel_review(workspace, asked)
        assert {at.decision for at in page.page.places} == {"wait"}
        assert page.named == []


def test_the_stages_of_a_workspace_are_its_own(demo: Workspace, tmp_path: Path) -> None:
    """All that deals are in, two of them under the workspace's own ids and one with an expectation that nobody meets."""
    text = CONTACT + NEEDS + PROPOSAL + HAGGLE
    workspace = Workspace.init(tmp_path / "own", settings=Settings.read(text))
    sources.import_paths(workspace, [SAMPLE])
    review = funnel_review(workspace, Asked(rep="R005", period=SEPTEMBER))
    members = facts.roster(workspace, SEPTEMBER)
    pages = [funnel_review(workspace, Asked(rep=m.rep_id, period=SEPTEMBER)) for m in members]
    assert [at.stage for at in review.page.places] == ["contact", "needs", "proposal", "haggle"]
    stuck = [page for page in pages if page.page.places[1].decision == "fix"]
    assert len(stuck) > 10
    for page in stuck:
        assert ("stages", "needs", "worse") in {(n["with"], n["variant"], n["direction"]) for n in page.named}
        assert "Needs confirmed (" in str(page.everybody())
    alone = next(page for page in stuck if not any(at.decision == "coach" for at in page.page.places))
    assert "stick for everybody (Needs confirmed)" in alone.sentences().sentences[1]
    assert Period.parse(SEPTEMBER).span.last == review.as_of
    with speaking(Locale.ZH_CN):
        assert review.title("haggle") == "砍价"
