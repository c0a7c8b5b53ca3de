"""The made-up company: it imports whole, its figures are those of its CSVs, and everybody gets a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from coachbook import batch, facts, sources
from coachbook.catalogue import shipped
from coachbook.export.quality import quality_page
from coachbook.model.periods import Period
from coachbook.settings import Workspace
from tests.oracles.demo import Demo
from tests.reviews import retrospective, reviews

SAMPLE = shipped("sample_data") / "demo"
PERIODS = ("2026-08", "2026-Q3", "2025-12")


@pytest.fixture(scope="module")
def company(demo: Workspace) -> Workspace:
    return demo


@pytest.fixture(scope="module")
def oracle() -> Demo:
    return Demo(SAMPLE)


@pytest.mark.parametrize("period", PERIODS)
def test_figures_of_everybody_are_those_of_the_files(period: str, company: Workspace, oracle: Demo) -> None:
    span, seen = Period.parse(period).span, 0
    for rep, review in reviews(company, period).items():
        expected = oracle.figures(rep, span.first, span.after)
        found = {
            name: next(f["value"] for f in review["findings"] if f["metric"] == name) for name in expected
        }
        assert found == pytest.approx(expected), rep
        if "decided deals" in (told := review["sentences"][0]):
            assert f" won {expected['deals_won']} of " in told
        seen += expected["deals_won"]
    assert seen > 20


def test_the_company_of_the_third_quarter_is_as_announced(company: Workspace) -> None:
    members = facts.roster(company, "2026-Q3")
    assert len(members) >= 24
    assert len({m.team_id for m in members}) == 4
    names = [m.name for m in members]
    assert any("</script>" in name for name in names)
    assert any("\u4e00" <= letter <= "\u9fff" for name in names for letter in name)
    assert sum(f.stat().st_size for f in Path(SAMPLE).iterdir()) < 8_000_000


def test_who_decided_too_few_deals_has_no_place_beside_peers(company: Workspace) -> None:
    page = facts.settle(company, facts.Asked(rep="R016", period="2026-09"))
    picture = retrospective(company, page, reader="manager").peers()
    [rows] = picture.spec["datasets"].values()
    few = [row for row in rows if row["low"] is None]
    assert 0 < len(few) < len(rows)
    assert [row["value"] for row in few] == [None] * len(few)
    assert rows[-len(few) :] == few


def test_the_doctor_says_that_the_company_is_made_up(company: Workspace, firm: Workspace) -> None:
    for workspace, made_up in ((company, True), (firm, False)):
        report = sources.doctor(workspace)
        assert report.to_dict()["made_up"] is made_up
        page = quality_page(report, brand="coachbook")
        assert ("made-up company" in page) is made_up
        assert f'<span class="cb-whole">{report.snapshot}</span>' in page


def test_a_joiner_a_leaver_and_a_hostile_name_get_their_pages(company: Workspace, tmp_path: Path) -> None:
    hostile = next(m for m in facts.roster(company, "2026-09") if "</script>" in m.name)
    chinese = next(m for m in facts.roster(company, "2026-09") if "\u4e00" <= m.name[0] <= "\u9fff")
    order = batch.Order(
        "retrospective", reps=f"{hostile.rep_id},{chinese.rep_id},R028", period="2026-09", locale="zh_CN", out=tmp_path / "run"
    )  # fmt: skip
    assert batch.run(company, order).count("ok") == 3
    page = (tmp_path / "run" / hostile.rep_id / "retrospective.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "虚构公司" in page
