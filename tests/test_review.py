"""The review as scripts read it, and its parts as people see them: whole, consistent, in both languages, inert."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from coachbook import sources
from coachbook.access import Reader
from coachbook.charts import show_for
from coachbook.metrics import METRICS
from coachbook.settings import Workspace
from coachbook.text import UNKNOWN, Locale, speaking
from coachbook.workbooks.book import Book
from coachbook.workbooks.emitted import MIME
from coachbook.workbooks.retrospective import TILES, Retrospective
from tests.reviews import Person, Review, Sale, against, company, finding, pages, retrospective, reviews

FIRM = Path(__file__).parent / "data" / "firm"
FIRST_METRICS = [
    "won_amount", "deals_won", "win_rate_count", "win_rate_value", "average_deal_size", "value_per_customer",
    "cycle_days", "cycle_days_lost", "open_pipeline",
]  # fmt: skip
MAIN = {
    "win_rate_count": "closed, narrow",
    "win_rate_value": "closed, narrow",
    "average_deal_size": "mean",
    "cycle_days": "won, median",
}
GOOD = {m.id: m.good for m in METRICS}
ADD_UP = {"won_amount", "deals_won", "open_pipeline"}
WORTH_SHARE, WORTH_RELATIVE = 0.05, 0.10
HAN = re.compile(r"[一-鿿]")


@pytest.fixture(scope="module")
def small(firm: Workspace) -> dict[str, Review]:
    return reviews(firm)


@pytest.fixture(scope="module")
def everyone(regional: Workspace, small: dict[str, Review]) -> list[Review]:
    """Reviews of both companies."""
    return [*reviews(regional).values(), *small.values()]


def _found(everyone: list[Review]) -> Iterator[tuple[Review, dict[str, Any]]]:
    return ((review, found) for review in everyone for found in review["findings"])


def _compared(everyone: list[Review]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    return ((found, c) for _review, found in _found(everyone) for c in found["comparisons"])


# The JSON


def test_a_review_has_the_keys_that_scripts_rely_on(everyone: list[Review]) -> None:
    for review in everyone:
        assert review["schema"] == "coachbook.review/1"
        assert (review["workbook"], review["period"], review["as_of"]) == (
            "retrospective",
            "2021-10",
            "2021-11-10",
        )
        assert review["locale"] == "en"
        assert set(review["scope"]) == {"kind", "id", "name", "team"}
        assert re.fullmatch(r"2021-11-10-[0-9a-f]{8}", review["snapshot"])
        assert json.loads(json.dumps(review, allow_nan=False)) == review
        for found in review["findings"]:
            assert set(found) >= {
                "id", "metric", "variant", "value", "unit", "n", "interval", "comparisons", "text", "evidence",
            }  # fmt: skip
            assert [c["with"] for c in found["comparisons"]] in (["previous", "year_ago", "peers"], [])
            for comparison in found["comparisons"]:
                assert set(comparison) >= {
                    "with",
                    "value",
                    "difference",
                    "interval",
                    "split",
                    "verdict",
                    "n_needed",
                }
                assert set(comparison["split"] or ["company", "team", "own"]) >= {"company", "team", "own"}
        for named in review["named"]:
            assert set(named) == {"metric", "with", "direction", "text"}


def test_the_first_finding_of_a_metric_is_its_main_variant(everyone: list[Review]) -> None:
    for review in everyone:
        assert list(dict.fromkeys(f["metric"] for f in review["findings"])) == FIRST_METRICS
        assert len({f["id"] for f in review["findings"]}) == len(review["findings"])
        for metric, variant in MAIN.items():
            assert finding(review, metric)["variant"] == variant


def test_money_is_whole_and_an_interval_has_its_figure_in_it(everyone: list[Review]) -> None:
    for _review, found in _found(everyone):
        numbers = [found["value"]]
        if found["interval"]:
            assert found["interval"]["level"] == 0.95
            numbers += [found["interval"]["low"], found["interval"]["high"]]
            assert found["interval"]["low"] <= found["value"] <= found["interval"]["high"]
        for c in found["comparisons"]:
            split = c["split"] or {}
            numbers += [
                c["value"],
                c["difference"],
                *(split.get(part) for part in ("company", "team", "own")),
            ]
            for between in (c["interval"], split.get("interval")):
                if between:
                    assert between["low"] <= between["high"]
                    numbers += [between["low"], between["high"]]
        if found["unit"] == "USD":
            assert {type(n) for n in numbers} <= {int, type(None)}
        if found["unit"] == "share" and found["value"] is not None:
            assert 0 <= found["value"] <= 1


def test_what_is_unknown_is_null_and_says_why(everyone: list[Review]) -> None:
    unknown = 0
    for _review, found in _found(everyone):
        if found["n"] == 0:
            assert found["value"] == (0 if found["metric"] in ADD_UP else None)
        if found["value"] is None or found["interval"] is None:
            unknown += 1
            assert found["reason"]
        for c in found["comparisons"]:
            if c["value"] is None or c["difference"] is None or c["interval"] is None:
                assert c["reason"]
            if c["value"] is None:
                assert (c["difference"], c["interval"], c["split"]) == (None, None, None)
    assert unknown > 20


def test_a_reason_tells_the_number_that_was_too_small(everyone: list[Review]) -> None:
    said = [(f, c) for f, c in _compared(everyone) if c["reason"].startswith("not enough data")]
    assert said
    for found, c in said:
        n, needs = map(int, re.findall(r"\d+", c["reason"].replace(",", "")))
        assert n == min(found["n"], c["n"]), (found["id"], c)
        assert n < needs == c["n_needed"]


def test_a_verdict_is_what_its_interval_says(everyone: list[Review]) -> None:
    """True: clear of zero and worth acting on. False: all of it not worth it. Null: with the n that would tell."""
    seen = set()
    for found, c in _compared(everyone):
        seen.add(c["verdict"])
        share = found["unit"] == "share"
        worth = WORTH_SHARE if share else WORTH_RELATIVE * abs(c["value"] or 0)
        off = 1e-9 if share else 1.0  # money is rounded after it was judged
        if c["verdict"] is None:
            assert c["n_needed"] is not None or c["reason"]
            if c["interval"]:
                assert c["n_needed"] > (found["n"] if c["with"] == "peers" else min(found["n"], c["n"]))
            continue
        assert c["n_needed"] is None
        low, high = c["interval"]["low"], c["interval"]["high"]
        if c["verdict"]:
            assert low >= -off or high <= off
            assert abs(c["difference"]) >= worth - off
        else:
            assert -worth - off <= low <= high <= worth + off
    assert seen == {True, False, None}


def test_what_is_named_is_found_and_said(everyone: list[Review]) -> None:
    count = 0
    for review in everyone:
        last = review["sentences"][-1]
        beside = [n for n in review["named"] if n["with"] == "peers"]
        assert all(n["text"] in last for n in beside)
        assert beside or re.search("nothing stands out|nobody to compare|nothing to compare", last)
        for named in review["named"]:
            count += 1
            c = against(finding(review, named["metric"]), named["with"])
            judged = c if named["with"] == "peers" else c["split"]
            moved = c["difference"] if named["with"] == "peers" else c["split"]["own"]
            assert judged["verdict"] is True
            assert named["text"].endswith(".")
            better = (moved > 0) == (GOOD[named["metric"]] == "higher")
            assert named["direction"] == ("better" if better else "worse")
    assert count >= 8


def test_a_conversation_is_called_for_only_where_the_own_part_is_named(everyone: list[Review]) -> None:
    for review in everyone:
        own = [
            n["direction"]
            for n in review["named"]
            if (n["metric"], n["with"]) == ("win_rate_count", "previous")
        ]
        assert ("coach the rep" in review["sentences"][1]) is (own == ["worse"])
        assert ("ask what worked" in review["sentences"][1]) is (own == ["better"])


def test_the_process_is_blamed_only_where_the_company_moved_beyond_chance(
    everyone: list[Review], small: dict[str, Review]
) -> None:
    """The sample's company fell from 70.5 % to 34.7 %; the small one from 51 % to 49 %."""
    blamed = [review for review in everyone if "fix process" in review["sentences"][1]]
    assert len(blamed) >= 8
    assert not [review for review in blamed if review in small.values()]


def test_evidence_names_the_deals_behind_a_figure(small: dict[str, Review]) -> None:
    with (FIRM / "Deals.csv").open(encoding="utf-8", newline="") as file:
        deals = list(csv.DictReader(file))
    stands_on = {"won_amount": ["Won"], "win_rate_count": ["Won", "Lost"], "open_pipeline": ["In progress"]}
    for rep, review in small.items():
        for metric, states in stands_on.items():
            behind = [
                d for d in deals
                if d["Owner"] == rep and d["State"] in states
                and (metric == "open_pipeline" or d["Close date"].endswith("/10/2021"))
            ]  # fmt: skip
            behind.sort(key=lambda d: (-float(d["Amount"].replace(",", "") or 0), d["Deal id"]))
            found = finding(review, metric)
            assert found["evidence"] == {"deals": len(behind), "largest": [d["Deal id"] for d in behind[:5]]}
            assert found["n"] == len(behind)


def test_the_rows_are_the_deals_that_the_figures_count(firm: Workspace) -> None:
    with (FIRM / "Deals.csv").open(encoding="utf-8", newline="") as file:
        deals = list(csv.DictReader(file))
    said = {"Won": "won", "Lost": "lost", "In progress": "open"}
    for page in pages(firm):
        counted = [
            (d["Deal id"], said[d["State"]]) for d in deals
            if d["Owner"] == page.scope.id and d["State"] in said
            and (d["State"] == "In progress" or d["Close date"].endswith("/10/2021"))
        ]  # fmt: skip
        sheet = retrospective(firm, page).rows()
        of = {status: sum(result == status for _id, result in counted) for status in said.values()}
        assert of["won"] <= 25 >= max(of.values())
        listed = sorted((row[1], row[2]) for row in sheet.rows if row[0] != "no such deal")
        assert listed == sorted(counted)
        assert sheet.caption == (
            f"Deals behind the figures: {of['won']} won, {of['lost']} lost, {of['open']} open"
        )


def test_parts_in_deals_stand_beside_their_amounts(firm: Workspace, tmp_path: Path) -> None:
    """Ada has 70 % of her deal, Bob the rest; Bob's other deal is all his."""
    source = tmp_path / "files"
    people = [Person("a", "Ada"), Person("b", "Bob")]
    sales = [
        Sale("a", "won", "2021-10-05", "1000", name="Shared"),
        Sale("b", "won", "2021-10-06", "10", name="Own"),
    ]
    made = company(tmp_path, people, sales)
    (source / "splits.csv").write_text("deal,rep,share\nD0000,a,0.7\nD0000,b,0.3\n", encoding="utf-8")
    with (source / "mapping.toml").open("a", encoding="utf-8") as mapping:
        mapping.write(
            '[splits]\nfile = "splits.csv"\n[splits.columns]\ndeal_id = "deal"\nrep_id = "rep"\nshare = "share"\n'
            'kind = { constant = "revenue" }\n'
        )
    sources.import_paths(made, [source])
    rows = {page.scope.id: retrospective(made, page).rows() for page in pages(made)}
    assert [(row[3], row[7]) for row in rows["a"].rows] == [("$1,000", "$700")]
    assert [(row[1], row[3], row[7]) for row in rows["b"].rows] == [
        ("D0001", "$10", "$10"), ("D0000", UNKNOWN, "$300"),
    ]  # fmt: skip
    assert "Shared" not in str(rows["b"])


# The small company, person by person


def test_the_good_and_the_bad_are_told_apart(small: dict[str, Review]) -> None:
    for rep, rate, direction in (("N1", 16 / 18, "better"), ("N2", 2 / 18, "worse")):
        assert finding(small[rep], "win_rate_count")["value"] == pytest.approx(rate, abs=1e-12)
        named = {(n["metric"], n["with"]): n["direction"] for n in small[rep]["named"]}
        assert named["win_rate_count", "peers"] == direction
    assert {rep for rep, review in small.items() if review["named"]} == {"N1", "N2"}


def test_a_newcomer_is_given_time(small: dict[str, Review]) -> None:
    rate = finding(small["N3"], "win_rate_count")
    assert (rate["value"], rate["n"], rate["interval"]) == (pytest.approx(1 / 3), 3, None)
    assert rate["reason"] == "not enough data (n = 3, needs 5)"
    assert [against(rate, then)["reason"] for then in ("previous", "year_ago")] == ["no such deals then"] * 2
    assert small["N3"]["named"] == []


def test_whoever_leaves_has_a_page_as_long_as_they_were_there(
    firm: Workspace, small: dict[str, Review]
) -> None:
    assert finding(small["N4"], "win_rate_count")["n"] == 5
    assert "N4" not in {page.scope.id for page in pages(firm, "2021-11")}


def test_managers_and_strangers_have_no_page(small: dict[str, Review]) -> None:
    assert set(small) == {"N1", "N2", "N3", "N4", "N5", "N6", "S1", "S2", "S3", "S4", "S5", "S6"}


def test_a_deal_of_nobody_on_the_roster_is_the_companys_and_no_peers(
    firm: Workspace, small: dict[str, Review]
) -> None:
    """61 deals were won: 60 by reps, one by X9, whose amount a rep could solve for; a manager sees all."""
    with (FIRM / "Deals.csv").open(encoding="utf-8", newline="") as file:
        won = [
            d for d in csv.DictReader(file) if d["State"] == "Won" and d["Close date"].endswith("/10/2021")
        ]
    assert "X9" in {d["Owner"] for d in won}
    for review in reviews(firm, reader="manager").values():
        assert review["everybody"]["figures"]["deals_won"]["now"]["value"] == len(won)
        assert not review["everybody"]["without_outsiders"]
    for rep, review in small.items():
        assert review["everybody"]["figures"]["deals_won"]["now"]["value"] == len(won) - 1
        assert review["everybody"]["without_outsiders"]
        if rep != "N6":
            others = [d for d in won if d["Owner"] not in (rep, "X9")]
            assert against(finding(review, "deals_won"), "peers")["value"] == pytest.approx(len(others) / 11)


# Both languages


@pytest.fixture(scope="module")
def in_chinese(firm: Workspace) -> dict[str, Review]:
    with speaking(Locale.ZH_CN):
        return reviews(firm)


def test_a_figure_does_not_depend_on_the_language(
    small: dict[str, Review], in_chinese: dict[str, Review]
) -> None:
    def figures(review: Review) -> Any:
        return [
            {**f, "text": "", "reason": "", "comparisons": [{**c, "reason": ""} for c in f["comparisons"]]}
            for f in review["findings"]
        ]

    for rep, review in small.items():
        assert figures(in_chinese[rep]) == figures(review)
        assert in_chinese[rep]["everybody"] == review["everybody"]
        assert in_chinese[rep]["locale"] == "zh_CN"
        same = [(n["metric"], n["with"], n["direction"]) for n in review["named"]]
        assert [(n["metric"], n["with"], n["direction"]) for n in in_chinese[rep]["named"]] == same


def test_chinese_is_chinese(in_chinese: dict[str, Review]) -> None:
    for review in in_chinese.values():
        said = [*review["sentences"], *(n["text"] for n in review["named"])]
        said += [text for f in review["findings"] for text in (f["text"], f["reason"]) if text]
        said += [c["reason"] for f in review["findings"] for c in f["comparisons"] if c["reason"]]
        for text in said:
            own = text.replace(review["scope"]["name"], "")
            assert HAN.search(own), text
            assert not re.search(r"[a-z]{3}", own), text
    assert in_chinese["N5"]["scope"]["name"] == "王小明"


# What people see


PARTS = (
    "everybody", "sentences", "tiles", "win_rate_trend", "won_amount_trend", "movement", "movements",
    "wins_and_losses", "largest_deals", "peers", "figures", "rows", "limits",
)  # fmt: skip


class _Page(HTMLParser):
    """What a browser would make of HTML: elements that do something, and the text that is read."""

    def __init__(self) -> None:
        super().__init__()
        self.active: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag in ("img", "iframe", "object", "embed", "link", "a", "form"):
            self.active.append(tag)
        if tag == "script" and given.get("type") != "application/json":
            self.active.append(tag)
        self.active += [name for name in given if name.startswith("on")]
        self.text += (given.get("aria-label") or "") + "\n"

    def handle_data(self, data: str) -> None:
        self.text += data


def _bundles(review: Retrospective) -> list[dict[str, Any]]:
    made = [getattr(review, part)() for part in PARTS] + [review]
    return [part._repr_mimebundle_() for part in made]


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Iterator[str]:
    show_for(request.param)
    yield request.param
    show_for("")


@pytest.mark.parametrize("host", ["", "batch", "serve"], indirect=True, ids=["jupyter", "batch", "serve"])
@pytest.mark.parametrize("rep", ["N1", "S1"])
def test_a_hostile_name_is_read_and_never_run(rep: str, host: str, firm: Workspace) -> None:
    page = next(p for p in pages(firm) if p.scope.id == rep)
    bundles = _bundles(retrospective(firm, page, "manager"))
    seen = ""
    for bundle in bundles:
        html = bundle.get("text/html", "")
        shown = _Page()
        shown.feed(html)
        shown.close()
        assert shown.active == []
        seen += shown.text
        if "image/svg+xml" in bundle:
            drawn = ElementTree.fromstring(bundle["image/svg+xml"])
            assert not [e.tag for e in drawn.iter() if e.tag.endswith(("script", "foreignObject"))]
            assert not [a for e in drawn.iter() for a in e.attrib if a.startswith("on")]
    hostile = {"N1": "</script><script>alert(2)</script>", "S1": "</script><script>alert(1)</script>"}[rep]
    assert hostile in seen


@pytest.mark.parametrize("host", ["batch"], indirect=True)
@pytest.mark.parametrize("reader", ["rep", "manager"])
def test_every_part_shows_itself_whoever_it_is_about(
    reader: Reader, host: str, firm: Workspace, regional: Workspace
) -> None:
    some = [(firm, page) for page in pages(firm) if page.scope.id in ("N2", "N3", "N4", "N5", "N6")]
    some += [(regional, page) for page in pages(regional) if page.name in ("Archie Boyle", "Anne Weiler")]
    for workspace, page in some:
        review = retrospective(workspace, page, reader)
        bundles = _bundles(review)
        assert all(bundle["text/plain"].strip() for bundle in bundles)
        assert bundles[-1][MIME] == review.to_dict()


def test_an_edge_is_coloured_only_where_something_is_named(firm: Workspace, regional: Workspace) -> None:
    for workspace in (firm, regional):
        for page in pages(workspace):
            review = retrospective(workspace, page)
            coloured = [metric for metric, tile in zip(TILES, review.tiles().tiles, strict=True) if tile.tone]
            assert set(coloured) == {named.metric for named in review.named} & set(TILES)


# Companies that are built otherwise


def test_a_company_without_teams_is_reviewed_too(tmp_path: Path) -> None:
    people = [Person(f"r{i}", f"Person {i}", team="") for i in range(6)]
    sales = [
        Sale(p.rep, "won", f"2021-{month}-{day:02}")
        for p in people
        for month in ("09", "10")
        for day in range(1, 8)
    ]
    made = reviews(company(tmp_path, people, sales))
    assert len(made) == 6
    for review in made.values():
        split = against(finding(review, "deals_won"), "previous")["split"]
        assert (split["company"], split["team"], split["own"]) == (0, None, 0)


def test_whoever_starts_after_the_day_looked_from_has_no_page_yet(tmp_path: Path) -> None:
    people = [Person("a", "Person a"), Person("late", "Person late", start="2021-10-20")]
    workspace = company(tmp_path, people, [Sale("a", "won", "2021-10-05"), Sale("late", "won", "2021-10-25")])
    assert set(reviews(workspace, "2021-10", as_of="2021-10-19")) == {"a"}
    assert set(reviews(workspace, "2021-10", as_of="2021-10-20")) == {"a", "late"}


@pytest.mark.parametrize(("locale", "team"), [(Locale.EN, "no team"), (Locale.ZH_CN, "未分团队")])
def test_the_first_line_says_whose_page_it_is(locale: Locale, team: str) -> None:
    about = {"period": "2021-10", "fiscal": None, "as_of": "2021-11-10", "snapshot": "s", "team": ""}

    def line(kind: str) -> str:
        of = about | {"scope": {"kind": kind, "name": "Ada"}}
        return str(Book(of, lambda _name: pytest.fail("nothing is read for it")))

    with speaking(locale):
        assert line("rep").startswith(f"Ada · {team} · ")
        assert team not in line("team")
