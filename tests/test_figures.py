"""Every figure of every owner against plain pandas on the raw CSVs, and what must not move a figure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy.stats import binomtest

from coachbook import facts
from coachbook.settings import Workspace
from tests.conftest import imported
from tests.oracles.regional import ADD_UP, FIGURES, MONEY, SHARES, Figure, Regional, spans_of
from tests.reviews import (
    SAMPLE,
    Review,
    against,
    finding,
    pages,
    raw_deals,
    retrospective,
    reviews,
    sample_with,
)

DATA = Path(__file__).parent / "data"
ARCHIE = "15"
TRIPLED = 8
CUT = "2021-10-14"
WIN_RATE = ("win_rate_count", "closed, narrow")
WON_AMOUNT = ("won_amount", "signed")
EARLIER = ("previous", "year_ago")
PERIODS = ("2021-10", "2021-Q3", "2021-W40", "2020")

each_figure = pytest.mark.parametrize("figure", FIGURES, ids=" ".join)
MOVED = (
    ("2021-10", "previous"),
    ("2021-10", "year_ago"),
    ("2021-Q3", "year_ago"),
    ("2021-W40", "previous"),
    ("2020", "previous"),
)

each_period = pytest.mark.parametrize("period", PERIODS)
each_movement = pytest.mark.parametrize(("period", "then"), MOVED)
EverybodyIn = Callable[[str], dict[str, Review]]


@pytest.fixture(scope="module")
def oracle() -> Regional:
    return Regional(SAMPLE)


@pytest.fixture(scope="module")
def everybody_in(regional: Workspace) -> EverybodyIn:
    """All 20 reviews of a period, made once."""
    made: dict[str, dict[str, Review]] = {}

    def of(period: str) -> dict[str, Review]:
        if period not in made:
            made[period] = reviews(regional, period)
        return made[period]

    return of


def _known(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _agrees(figure: Figure, said: float | None, true: float, *, off: float = 0.0) -> bool:
    """Money to the minor unit (or `off` by so many), counts exactly, the rest to 1e-12; NaN is null."""
    if pd.isna(true) or said is None:
        return pd.isna(true) and said is None
    if figure[0] in MONEY:
        return isinstance(said, int) and abs(said - true) <= 0.5 + 1e-6 + off
    return said == pytest.approx(true, rel=0, abs=1e-12)


def _wrong(rows: list[tuple[Any, ...]], figure: Figure, **tolerance: float) -> list[tuple[Any, ...]]:
    """Rows (…, said, true) that do not agree."""
    return [row for row in rows if not _agrees(figure, row[-2], row[-1], **tolerance)]


@each_period
@each_figure
def test_own_figures(figure: Figure, period: str, oracle: Regional, everybody_in: EverybodyIn) -> None:
    now = spans_of(period)["now"]
    found = {int(rep): finding(review, *figure) for rep, review in everybody_in(period).items()}
    assert sorted(found) == list(range(1, 21))
    assert not _wrong([(o, f["value"], oracle.own(figure, o, now)) for o, f in found.items()], figure)
    assert {o: f["n"] for o, f in found.items()} == {o: oracle.n(figure, o, now) for o in found}
    assert all(f["reason"] for f in found.values() if f["value"] is None)


@each_movement
@each_figure
def test_comparison_with_earlier(
    figure: Figure, then: str, period: str, oracle: Regional, everybody_in: EverybodyIn
) -> None:
    spans = spans_of(period)
    for rep, review in everybody_in(period).items():
        if rep == ARCHIE:
            continue
        compared = against(finding(review, *figure), then)
        if figure[0] == "open_pipeline":  # without an event history there is no earlier state
            assert (compared["value"], compared["difference"], compared["verdict"]) == (None, None, None)
            assert compared["reason"]
            continue
        own, before = (oracle.own(figure, int(rep), spans[s]) for s in ("now", then))
        assert _agrees(figure, compared["value"], before), (rep, compared, before)
        assert _agrees(figure, compared["difference"], own - before), (rep, compared, own - before)
        assert compared["n"] == oracle.n(figure, int(rep), spans[then])


@each_period
@each_figure
def test_comparison_with_peers(
    figure: Figure, period: str, oracle: Regional, everybody_in: EverybodyIn
) -> None:
    now = spans_of(period)["now"]
    for rep, review in everybody_in(period).items():
        if rep == ARCHIE:
            continue
        compared = against(finding(review, *figure), "peers")
        own, theirs = oracle.own(figure, int(rep), now), oracle.peers(figure, int(rep), now)
        assert _agrees(figure, compared["value"], theirs), (rep, compared, theirs)
        assert _agrees(figure, compared["difference"], own - theirs), (rep, compared, own - theirs)


@each_movement
@each_figure
def test_company_team_own(
    figure: Figure, then: str, period: str, oracle: Regional, everybody_in: EverybodyIn
) -> None:
    if figure[0] == "open_pipeline":
        return
    spans, taken_apart = spans_of(period), 0
    for rep, review in everybody_in(period).items():
        if rep == ARCHIE:
            continue
        compared = against(finding(review, *figure), then)
        said, true = compared["split"], oracle.split(figure, int(rep), spans["now"], spans[then])
        if pd.isna(true.company) or pd.isna(true.own):
            assert said is None
            continue
        taken_apart += 1
        parts = [said["company"], said["own"], said["team"] or 0]
        if figure[0] in MONEY:
            assert sum(parts) == compared["difference"]
            assert all(isinstance(part, int) for part in parts)
        else:
            assert sum(parts) == pytest.approx(compared["difference"], rel=0, abs=1e-9)
        # Two parts are rounded by themselves, the third is what is left: it carries both roundings.
        for name in ("company", "team", "own"):
            assert _agrees(figure, said[name], getattr(true, name), off=1.0), (rep, name, said, true)
    assert taken_apart >= 15 or period == "2021-W40"


@pytest.mark.parametrize("team", ["Amelie Garner", "Ethan Brooks", "Peyton Davis"])
def test_a_team_is_its_people_together(team: str, regional: Workspace, oracle: Regional) -> None:
    page = facts.settle(regional, facts.Asked(team=team, period="2021-10"))
    review = retrospective(regional, page, "manager").to_dict()
    spans = spans_of("2021-10")
    members = [owner for owner in oracle.team.index if oracle.team[owner] == team]
    others = [owner for owner in oracle.team.index if oracle.team[owner] != team]
    for figure in FIGURES:
        found = finding(review, *figure)
        heads = 2 if figure[0] in ADD_UP else 1
        assert _agrees(figure, found["value"], oracle.pooled(figure, members, spans["now"]))
        theirs = oracle.pooled(figure, others, spans["now"]) / heads
        assert _agrees(figure, against(found, "peers")["value"], theirs)
        if figure[0] != "open_pipeline":
            before = oracle.pooled(figure, members, spans["previous"])
            assert _agrees(figure, against(found, "previous")["value"], before)


def test_whoever_has_no_deal_is_compared_with_nobody(everybody_in: EverybodyIn) -> None:
    review = everybody_in("2021-10")[ARCHIE]
    assert review["scope"]["name"] == "Archie Boyle"
    values = {(f["metric"], f["variant"]): f["value"] for f in review["findings"]}
    assert values == {figure: 0 if figure[0] in ADD_UP else None for figure in FIGURES}
    for found in review["findings"]:
        assert (found["n"], found["interval"], found["comparisons"]) == (0, None, [])
        assert found["reason"]
    assert (review["named"], review["looked_at"]) == ([], 0)


def test_the_company_fell_and_18_of_19_with_it(oracle: Regional, everybody_in: EverybodyIn) -> None:
    spans = spans_of("2021-10")
    assert round(oracle.company(WIN_RATE, spans["previous"]), 3) == 0.705
    assert round(oracle.company(WIN_RATE, spans["now"]), 3) == 0.347
    assert oracle.fallen(WIN_RATE, spans["now"], spans["previous"]) == (18, 19)
    for review in everybody_in("2021-10").values():
        everybody = review["everybody"]
        moved = everybody["moved"]["previous"]
        assert (moved["fell"], moved["of"]) == (18, 19)
        for figure in (WIN_RATE, WON_AMOUNT, ("deals_won", "closed")):
            said = everybody["figures"][figure[0]]
            assert not _wrong(
                [(s, said[s]["value"], oracle.company(figure, spans[s])) for s in spans], figure
            )


@pytest.mark.parametrize("figure", [WIN_RATE, WON_AMOUNT], ids=" ".join)
def test_trend(figure: Figure, oracle: Regional, everybody_in: EverybodyIn) -> None:
    for rep, review in everybody_in("2021-10").items():
        points = review["trend"][figure[0]]
        months = [str(month) for month in pd.period_range("2020-10", "2021-10", freq="M")]
        assert [point["period"] for point in points] == months
        for point in points:
            month = spans_of(point["period"])["now"]
            own, all_ = oracle.own(figure, int(rep), month), oracle.company(figure, month)
            assert (point["value"], point["everybody"]) == pytest.approx((_known(own), all_), abs=1e-12)


def test_a_rate_comes_with_wilsons_interval(everybody_in: EverybodyIn) -> None:
    for rep, review in everybody_in("2021-10").items():
        if rep == ARCHIE:
            continue
        rate = finding(review, "win_rate_count")
        wins = finding(review, "deals_won")["value"]
        wilson = binomtest(wins, rate["n"]).proportion_ci(0.95, method="wilson")
        assert (rate["interval"]["low"], rate["interval"]["high"]) == pytest.approx(tuple(wilson), abs=1e-12)


def test_a_tripled_owner_moves_alone(tmp_path: Path, everybody_in: EverybodyIn) -> None:
    deals = raw_deals()
    theirs = deals["SystemUserSeq"] == str(TRIPLED)
    deals.loc[theirs, "Value"] = (deals.loc[theirs, "Value"].astype(int) * 3).astype(str)
    after = reviews(imported(tmp_path / "workspace", sample_with(tmp_path / "files", deals)))
    before = everybody_in("2021-10")
    for rep in before:
        for figure in FIGURES:
            was, is_ = (finding(r[rep], *figure) for r in (before, after))
            if int(rep) == TRIPLED and figure[0] in MONEY:
                assert is_["value"] == pytest.approx(3 * was["value"], rel=0, abs=1)
                assert was["value"] > 0
            elif int(rep) == TRIPLED:
                assert (is_["value"], is_["n"]) == (was["value"], was["n"])
            else:
                assert [is_[k] for k in ("value", "n", "interval")] == [
                    was[k] for k in ("value", "n", "interval")
                ]


MACHINE = """
import json, sys
from pathlib import Path
from tests.conftest import imported
from tests.reviews import reviews
folder, *wanted = sys.argv[1:]
made = [
    reviews(imported(Path(folder) / period, Path(source)), period)
    for source, period in zip(wanted[::2], wanted[1::2], strict=True)
]
print(json.dumps(made))
"""
ELSEWHERE = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""14 hours ahead of UTC, and a machine that knows of ASCII only."""


def test_row_order_time_zone_and_locale_do_not_matter(
    tmp_path: Path, firm: Workspace, everybody_in: EverybodyIn
) -> None:
    shuffled = sample_with(tmp_path / "files", raw_deals().sample(frac=1, random_state=5))
    done = subprocess.run(
        [sys.executable, "-c", MACHINE, tmp_path, shuffled, "2021-W40", DATA / "firm", "2021-10"],
        env={**os.environ, **ELSEWHERE, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    sample, small = json.loads(done.stdout)
    assert sample == json.loads(json.dumps(everybody_in("2021-W40")))
    assert small == json.loads(json.dumps(reviews(firm)))
    assert "王小明" in {review["scope"]["name"] for review in small.values()}


@pytest.fixture(scope="module")
def looked_back(regional: Workspace) -> dict[str, Review]:
    """October seen from its middle, when it was still running."""
    return reviews(regional, "2021-10", as_of=CUT)


def test_an_earlier_day_sees_nothing_later(
    tmp_path: Path, regional: Workspace, looked_back: dict[str, Review]
) -> None:
    deals = raw_deals()
    deals = deals[deals["Opportunity Created On"] <= CUT]
    undecided = (deals["Status"] != "Open") & (deals["CloseDate"] > CUT)
    assert undecided.sum() > 100
    deals.loc[undecided, ["Status", "CloseDate"]] = ["Open", ""]
    workspace = imported(tmp_path / "workspace", sample_with(tmp_path / "files", deals, as_of=CUT))
    then = reviews(workspace)
    for rep, review in looked_back.items():
        assert {**review, "snapshot": ""} == {**then[rep], "snapshot": ""}
    one, other = (pages(w, as_of=CUT)[3] for w in (regional, workspace))
    assert retrospective(regional, one).slice.deals == retrospective(workspace, other).slice.deals


@each_figure
def test_a_running_period_is_compared_with_as_many_days(
    figure: Figure, looked_back: dict[str, Review]
) -> None:
    oracle, spans = Regional(SAMPLE, CUT), spans_of("2021-10", CUT)
    assert [str(day.date()) for day in spans["previous"]] == ["2021-09-01", "2021-09-14"]
    for rep, review in looked_back.items():
        assert review["partial"] is True
        found = finding(review, *figure)
        assert _agrees(figure, found["value"], oracle.own(figure, int(rep), spans["now"]))
        for then in EARLIER if found["comparisons"] and figure[0] != "open_pipeline" else ():
            before = oracle.own(figure, int(rep), spans[then])
            assert _agrees(figure, against(found, then)["value"], before), (rep, then)


def test_the_oracle_knows_every_figure(everybody_in: EverybodyIn) -> None:
    review = everybody_in("2021-10")["1"]
    assert {(f["metric"], f["variant"]) for f in review["findings"]} == set(FIGURES)
    units = {f["metric"]: f["unit"] for f in review["findings"]}
    assert {m for m, unit in units.items() if unit == "USD"} == set(MONEY)
    assert {m for m, unit in units.items() if unit == "share"} == set(SHARES)
