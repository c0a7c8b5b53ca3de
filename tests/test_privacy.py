"""A page's one file: what is in it is all that its reader can reach, so nothing of a colleague may be in it."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from coachbook import facts
from coachbook.access import Reader
from coachbook.settings import Peers, Settings, Workspace
from coachbook.warehouse.slices import Slice
from coachbook.warehouse.snapshots import attach, in_memory
from tests.conftest import imported
from tests.oracles.regional import FIGURES, Regional, spans_of
from tests.reviews import (
    SAMPLE,
    Person,
    Review,
    Sale,
    against,
    company,
    finding,
    pages,
    retrospective,
    reviews,
)  # fmt: skip

K = 5
FIRM = Path(__file__).parent / "data" / "firm"


def _cut(workspace: Workspace, rep: str, reader: Reader = "rep") -> Path:
    return facts.cut(workspace, next(p for p in pages(workspace) if p.scope.id == rep), reader)


def _tables(path: Path) -> dict[str, pd.DataFrame]:
    """Everything that the file holds, whatever it is called."""
    with closing(in_memory()) as connection:
        attach(connection, path, "slice")
        names = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'slice'"
        ).fetchall()
        return {name: connection.execute(f'FROM slice."{name}"').df() for (name,) in names}


def _leaves(value: Any) -> Iterator[Any]:
    """Every text and number in tables and in the JSON inside them."""
    if isinstance(value, pd.DataFrame):
        value = value.to_dict("records")
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, str) and value[:1] in ("{", "["):
        value = json.loads(value)
        yield from _leaves(value)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


@pytest.fixture(scope="module")
def oracle() -> Regional:
    return Regional(SAMPLE)


@pytest.mark.parametrize("rep", [2, 12, 15, 20])
def test_nothing_of_a_colleague_is_in_a_reps_file(rep: int, regional: Workspace, oracle: Regional) -> None:
    path = _cut(regional, str(rep))
    tables = _tables(path)
    seen = list(_leaves(list(tables.values())))
    texts = "\n".join(str(leaf) for leaf in seen if isinstance(leaf, str))
    assert oracle.name[rep] in texts

    everyone_else = [name for owner, name in oracle.name.items() if owner != rep]
    managers = set(oracle.team) - {oracle.team[rep]}
    raw = path.read_bytes()
    for name in [*everyone_else, *managers]:
        assert name not in texts
        assert name.encode() not in raw

    deals = pd.concat([oracle.decided, oracle.open])
    mine = set(deals.loc[deals["SystemUserSeq"] == rep, "OpportunitySeq"].astype(str))
    theirs = set(deals["OpportunitySeq"].astype(str)) - mine
    assert set(tables["deals"]["deal_id"]) == mine
    assert set(tables["deals"]["rep_id"]) <= {str(rep)}
    assert not {leaf for leaf in seen if isinstance(leaf, str)} & theirs
    assert tables["peers"].empty


@pytest.mark.parametrize("rep", [2, 12, 15, 20])
def test_no_figure_of_a_colleague_is_in_a_reps_file(rep: int, regional: Workspace, oracle: Regional) -> None:
    """Sums of many dollars, and shares of them, do not come up twice by chance."""
    path = _cut(regional, str(rep))
    leaves = _leaves(list(_tables(path).values()))
    numbers = {float(leaf) for leaf in leaves if isinstance(leaf, int | float)} - {0.0, 1.0}
    spans = spans_of("2021-10")
    telling = [f for f in FIGURES if f[0] in ("won_amount", "open_pipeline", "win_rate_value")]
    for span in spans.values():
        for figure in telling:
            own = oracle.own(figure, rep, span)
            if span == spans["now"] and own > 0:
                assert {float(round(own)), own} & numbers  # what is looked for would be found
            for other in set(oracle.team.index) - {rep}:
                if oracle.n(figure, other, span) >= 5:
                    assert oracle.own(figure, other, span) not in numbers, (figure, other)


def test_peers_stand_in_bands_of_at_least_five(regional: Workspace, oracle: Regional) -> None:
    span = spans_of("2021-10")["now"]
    for page in pages(regional):
        bands = Slice.read(facts.cut(regional, page, "rep")).page["bands"]
        decided = oracle.closed_in(span)
        others = decided[decided["SystemUserSeq"] != int(page.scope.id)]
        assert [band["people"] >= K for band in bands] == [True] * 3
        assert sum(band["people"] for band in bands) == others["SystemUserSeq"].nunique()
        assert sum(band["n"] for band in bands) == len(others)
        won = sum(band["value"] * band["n"] for band in bands)
        assert won == pytest.approx((others["Status"] == "Won").sum())


def test_only_its_owner_may_read_what_is_kept(regional: Workspace) -> None:
    _cut(regional, "2")
    kept = [
        path for kind in ("slices", "facts", "known") for path in (regional.store / kind).rglob("*.duckdb")
    ]
    assert len(kept) >= 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}


def test_a_manager_sees_names_and_a_rep_does_not(firm: Workspace) -> None:
    page = next(p for p in pages(firm) if p.scope.id == "N1")
    shown = {reader: retrospective(firm, page, reader).peers().text for reader in ("rep", "manager")}  # type: ignore[arg-type]
    for name in ("Bert Bad", "王小明", "Olga Petrova"):
        assert name in shown["manager"]
        assert name not in shown["rep"]
    assert "Grace Good" in shown["rep"]


def test_a_rep_sees_names_where_the_workspace_says_so(tmp_path: Path) -> None:
    open_house = imported(tmp_path, FIRM, Settings(peers=Peers(naming="named")))
    page = next(p for p in pages(open_house) if p.scope.id == "N1")
    told = retrospective(open_house, page, "rep").peers().text
    assert "Bert Bad" in told
    theirs = _tables(facts.cut(open_house, page, "rep"))
    assert set(theirs["deals"]["rep_id"]) == {"N1"}  # names and rates, but no deal of anybody else


# k = 5, with the reader and without


def _people(count: int, team: str = "t") -> list[Person]:
    return [Person(f"{team}{i}", f"Person {team}{i}", team) for i in range(count)]


def _sales(people: list[Person], *months: str, each: int = 12) -> list[Sale]:
    return [
        Sale(p.rep, "won" if (i + j) % 3 else "lost", f"{month}-{i + 1:02}", str(1000 + 37 * i + 11 * j), customer=f"c{i}")
        for month in months
        for j, p in enumerate(people)
        for i in range(each)
    ]  # fmt: skip


def _of_company(folder: Path, people: list[Person], sales: list[Sale]) -> Review:
    return next(iter(reviews(company(folder, people, sales)).values()))


def _comparable(review: Review) -> set[bool]:
    return {
        against(f, "peers")["value"] is not None for f in review["findings"] if f["metric"] != "open_pipeline"
    }


def _told(review: Review) -> set[bool]:
    """Whether each of the company's figures is given."""
    figures = review["everybody"]["figures"].values()
    return {figure[span]["value"] is not None for figure in figures for span in ("now", "previous")}


@pytest.mark.parametrize(("size", "enough"), [(5, False), (6, True)])
def test_five_others_are_enough_and_four_are_not(size: int, enough: bool, tmp_path: Path) -> None:
    people = _people(size)
    workspace = company(tmp_path, people, _sales(people, "2021-09", "2021-10"))
    review = retrospective(workspace, pages(workspace)[0])
    plain = review.to_dict()
    assert _comparable(plain) == {enough}
    assert _told(plain) == {enough}
    assert ("the whole company's win rate was" in str(review.everybody())) is enough
    assert (plain["everybody"]["moved"]["previous"] is not None) is enough
    split = against(finding(plain, "win_rate_count"), "previous")["split"]
    assert (split is not None) is enough
    assert {p["everybody"] is not None for p in plain["trend"]["win_rate_count"] if p["n"]} == {enough}
    reasons = [c["reason"] for f in plain["findings"] for c in f["comparisons"] if c["with"] == "peers"]
    assert all(reasons) is not enough


def test_it_is_people_with_deals_in_the_period_who_count(tmp_path: Path) -> None:
    """Twelve on the roster, all with deals once; but in October only three sold: two others."""
    people = _people(12)
    sales = [*_sales(people, "2021-05", "2021-09"), *_sales(people[:3], "2021-10")]
    review = _of_company(tmp_path, people, sales)
    assert _comparable(review) == {False}
    figures = review["everybody"]["figures"]
    assert {figures[metric]["now"]["value"] for metric in figures} == {None}
    assert {figures[metric]["previous"]["value"] is None for metric in figures} == {False}
    assert review["everybody"]["moved"]["previous"] is None
    assert review["trend"]["win_rate_count"][-1]["everybody"] is None


@pytest.mark.parametrize(("rest", "apart"), [(4, False), (5, True)])
def test_a_team_is_told_only_if_the_rest_is_many_too(rest: int, apart: bool, tmp_path: Path) -> None:
    """Company less team is the rest: with four of them left, the team's part would give them away."""
    people = [*_people(7, "a"), *_people(rest, "b")]
    review = _of_company(tmp_path, people, _sales(people, "2021-09", "2021-10"))
    split = against(finding(review, "win_rate_count"), "previous")["split"]
    assert (split["team"] is not None) is apart


def test_whoever_left_before_is_no_peer(tmp_path: Path) -> None:
    people = [*_people(5), Person("gone", "Person gone", "t", end="2021-09-30")]
    sales = _sales([*people[:5], people[5]], "2021-09", "2021-10")
    review = _of_company(tmp_path, people, sales)
    assert _comparable(review) == {False}
