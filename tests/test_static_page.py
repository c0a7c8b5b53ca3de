"""Pages that stand alone: no script, no request, every name as text, readable on a phone."""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import Browser, Page, sync_playwright

from coachbook import batch
from coachbook.catalogue import shipped
from coachbook.export.about import About
from coachbook.export.index import Entry, index_page
from coachbook.export.page import static_page
from coachbook.text import Locale, speaking

CHART = "application/vnd.coachbook.chart+json"
REVIEW = "application/vnd.coachbook.review+json"
HOSTILE = "</script><script>alert(1)</script>"
REMOTE = re.compile(
    r"""(?:src|href|srcset|action)\s*=\s*["']?\s*(?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import""", re.I
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def _about(name: str = "Ada", rep: str = "7", team: str = "North", **other: str) -> About:
    return About(
        **{
            "brand": "Sales", "workbook": "retrospective", "heading": "Retrospective", "kind": "rep", "id": rep,
            "name": name, "team": team, "period": "2021-10", "as_of": "2021-11-10", "snapshot": "2021-11-10-0a1b2c3d",
            "reader": "rep", "locale": "en", **other,
        }
    )  # fmt: skip


def _stands_alone(page: str) -> None:
    """What holds for every page: nothing that runs, nothing that is fetched."""
    assert "<script" not in page.casefold()
    assert not REMOTE.search(page)
    tree = BeautifulSoup(page, "html.parser")
    policy = tree.select_one('head > meta[http-equiv="Content-Security-Policy"]')
    assert policy
    assert policy["content"] == POLICY
    assert all(image["src"].startswith("data:") and image["alt"] for image in tree.select("img"))


def _visible(page: str) -> str:
    tree = BeautifulSoup(page, "html.parser")
    for unseen in tree(["head", "style"]):
        unseen.decompose()
    return " ".join(tree.get_text(" ").split())


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


def _open(browser: Browser, path: Path, width: int) -> tuple[Page, list[str]]:
    """The page as a reader sees it, and whatever it did beyond being read."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    done: list[str] = []
    page.on("console", lambda message: done.append(message.text))
    page.on("pageerror", lambda error: done.append(str(error)))
    page.on("dialog", lambda dialog: done.append(dialog.message))
    page.on("request", lambda request: done.append(request.url))
    page.goto(path.as_uri())
    return page, [each for each in done if not each.startswith(("data:", path.as_uri()))]


# The real pages


def test_every_page_of_a_run_stands_alone(october: batch.Outcome) -> None:
    for row in october.rows:
        page = (october.folder / row.files[1]).read_text(encoding="utf-8")
        _stands_alone(page)
        assert f"<title>{html.escape(row.name)} · October 2021 · Retrospective</title>" in page
        assert "import coachbook" not in page
        assert "snapshot 2021-11-10-" in page
        assert "November 10, 2021" in page
        assert len(_visible(page)) >= 800


def test_a_chart_is_a_picture_with_its_own_words(october: batch.Outcome) -> None:
    row = october.rows[0]
    notebook = nbformat.read(october.folder / row.files[0], as_version=4)
    outputs = [o.data for cell in notebook.cells for o in cell.get("outputs", ()) if "data" in o]
    told = [data["text/plain"] for data in outputs if CHART in data]
    tree = BeautifulSoup((october.folder / row.files[1]).read_text(encoding="utf-8"), "html.parser")
    assert told
    assert [image["alt"] for image in tree.select("figure img")] == told


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_and_index_open_without_a_request(
    october: batch.Outcome, chromium: Browser, width: int
) -> None:
    for path in (october.folder / october.rows[0].files[1], october.folder / "index.html"):
        page, done = _open(chromium, path, width)
        assert done == []
        assert page.evaluate("document.documentElement.scrollWidth") == width
        drawn = page.evaluate("[...document.images].map(image => image.naturalWidth * image.clientWidth)")
        assert all(drawn)
        assert len(drawn) == (0 if path.name == "index.html" else page.locator("figure").count())


def test_the_index_leads_to_every_page(october: batch.Outcome, chromium: Browser) -> None:
    page, _done = _open(chromium, october.folder / "index.html", 1280)
    assert page.locator("tbody tr").count() == len(october.rows)
    with (shipped("sample_data") / "regional_sales" / "Owners.csv").open(encoding="utf-8-sig") as owners:
        managers = sorted({row["Manager"] for row in csv.DictReader(owners)})
    assert page.locator("h2").all_inner_texts() == managers
    page.get_by_role("link", name="Archie Boyle", exact=True).click()
    assert page.title().startswith("Archie Boyle · October 2021")


def test_a_hostile_name_is_text_everywhere(october_firm: batch.Outcome, chromium: Browser) -> None:
    assert [row.status for row in october_firm.rows] == ["ok", "ok"]
    for path in (october_firm.folder / "S1" / "retrospective.html", october_firm.folder / "index.html"):
        _stands_alone(path.read_text(encoding="utf-8"))
        page, done = _open(chromium, path, 390)
        assert done == []
        assert HOSTILE in page.locator("body").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
    deal = october_firm.folder / "N1" / "retrospective.html"
    _stands_alone(deal.read_text(encoding="utf-8"))
    page, done = _open(chromium, deal, 1280)
    assert done == []
    assert "</script><script>alert(2)</script>" in page.locator("body").inner_text()


def test_a_chinese_page_says_so(october_firm: batch.Outcome) -> None:
    page = (october_firm.folder / "N1" / "retrospective.html").read_text(encoding="utf-8")
    assert '<html lang="zh-CN">' in page
    assert "<title>Grace Good · 2021年10月 · 复盘</title>" in page
    assert "2021年11月10日" in page


# A page from any notebook


def _page(*outputs: Any, locale: Locale = Locale.EN, **about: str) -> str:
    cells = [new_markdown_cell("# A question?"), new_code_cell("secret_name = 1", outputs=list(outputs))]
    with speaking(locale):
        return static_page(new_notebook(cells=cells), _about(**about))


def _display(**data: Any) -> Any:
    return new_output("display_data", data={name.replace("__", "/"): value for name, value in data.items()})


def test_what_runs_is_left_out_and_what_is_read_stays() -> None:
    page = _page(
        new_output("stream", name="stdout", text="printed <b>\n"),
        new_output("stream", name="stderr", text="a warning"),
        _display(text__html="<p>kept</p><script>alert(1)</script><SCRIPT src='//x'></SCRIPT>"),
        new_output("display_data", data={"application/javascript": "alert(2)", "text/plain": "a fallback"}),
        new_output(
            "display_data",
            data={"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "a slider"},
        ),
        new_output("display_data", data={REVIEW: {"findings": []}, "text/plain": "a review"}),
    )
    _stands_alone(page)
    seen = _visible(page)
    for shown in ("A question?", "printed <b>", "kept", "a fallback", "a slider"):
        assert shown in seen
    for hidden in ("secret_name", "a warning", "alert", "a review"):
        assert hidden not in seen


def test_names_around_a_page_are_text() -> None:
    page = _page(name=HOSTILE, team=HOSTILE, brand=HOSTILE, snapshot=HOSTILE, heading=HOSTILE)
    _stands_alone(page)
    assert _visible(page).count(HOSTILE) >= 4


def test_a_chart_that_takes_any_width_is_drawn_once_more_for_phones() -> None:
    spec = {"$schema": "https://vega.github.io/schema/vega-lite/v6.json", "data": {"values": [{"a": 1}]}}
    spec |= {"mark": "bar", "encoding": {"x": {"field": "a", "type": "quantitative"}}}
    fixed, free = ({CHART: {**spec, "width": width}} for width in (200, "container"))
    alt = 'bars "<&>"'
    rest = {"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'/>", "text/plain": alt}
    page = _page(*(new_output("display_data", data={**chart, **rest}) for chart in (fixed, free)))
    _stands_alone(page)
    tree = BeautifulSoup(page, "html.parser")
    assert [len(figure.select("source")) for figure in tree.select("figure")] == [0, 1]
    assert {image["alt"] for image in tree.select("img")} == {alt}


def test_a_picture_in_pixels_has_words_too() -> None:
    data = {"text/plain": 'a plot of "<&>"'}
    outputs = (
        new_output("display_data", data={kind: "iVBO\nRw0=", **data}) for kind in ("image/png", "image/jpeg")
    )
    page = _page(*outputs)
    _stands_alone(page)
    images = BeautifulSoup(page, "html.parser").select("img")
    assert [image["alt"] for image in images] == [data["text/plain"]] * 2
    assert [image["src"] for image in images] == [
        f"data:image/{kind};base64,iVBORw0=" for kind in ("png", "jpeg")
    ]


# The index


def _review(named: list[str], **figures: Any) -> dict[str, Any]:
    won, rate = figures.get("won"), figures.get("rate")
    interval = {"low": 0.26, "high": 0.44, "level": 0.95} if rate is not None else None
    return {
        "findings": [
            {"metric": "won_amount", "value": won, "unit": "USD", "n": 40, "interval": None},
            {"metric": "win_rate_count", "value": rate, "unit": "share", "n": 118, "interval": interval},
        ],
        "named": [{"text": text} for text in named],
    }


def _error(cell: str | None) -> dict[str, str | None]:
    return {"cell": cell, "ename": "ValueError", "evalue": f"no luck {HOSTILE} {'x' * 400}"}


ENTRIES = [
    Entry(
        _about("Ada", "1"), "ok", "1/r.html", "1/r.ipynb", _review(["Wins more."], won=1_234_567, rate=0.347)
    ),
    Entry(_about("Bob", "2"), "ok", "2/r.html", "2/r.ipynb", _review([], won=0)),
    Entry(_about(HOSTILE, "a b?#"), "failed", "", "a b?#/r.ipynb", None, _error("step-1")),
    Entry(_about("Eve", "4", "South"), "failed", error=_error(None)),
    Entry(_about("Dan", "5", ""), "skipped"),
]


def _rows(locale: Locale = Locale.EN) -> tuple[str, list[str]]:
    with speaking(locale):
        page = index_page(ENTRIES)
    _stands_alone(page)
    tree = BeautifulSoup(page, "html.parser")
    return page, [" ".join(row.get_text(" ").split()) for row in tree.select("tbody tr")]


def test_the_index_says_what_was_found_and_why_a_page_is_missing() -> None:
    page, rows = _rows()
    by_name = {
        name: row for row in rows for name in ("Ada", "Bob", "Eve", "Dan", HOSTILE) if row.startswith(name)
    }
    assert by_name["Ada"] == "Ada Notebook $12,346 35% 26% to 44%, n = 118 Wins more."
    assert by_name["Bob"] == "Bob Notebook $0 – n = 118 Nothing stands out."
    assert by_name[HOSTILE].startswith(f"{HOSTILE} Failed in cell step-1: ValueError: no luck {HOSTILE} xxx")
    assert by_name["Eve"].startswith("Eve Failed: ValueError: no luck")
    assert by_name["Dan"].startswith("Dan Not made")
    assert all(len(row) < 400 for row in rows)
    tree = BeautifulSoup(page, "html.parser")
    assert [h2.get_text() for h2 in tree.select("h2")] == ["North", "South", "Without a team"]
    assert [dd.get_text() for dd in tree.select("dd")] == ["2", "3", "1"]
    assert 'href="a%20b%3F%23/r.ipynb"' in page


def test_the_index_speaks_chinese() -> None:
    page, rows = _rows(Locale.ZH_CN)
    assert '<html lang="zh-CN">' in page
    assert "Bob Notebook US$0 – n = 118 未发现超出正常波动的差异。" in rows
    assert "Ada Notebook US$12,346 35% 26% 至 44%，n = 118 Wins more." in rows
    assert "赢单率与 95% 区间" in page


def test_a_page_is_about_what_its_notebook_says() -> None:
    about = _about()
    assert About.of({"metadata": {"coachbook": about.to_dict()}}) == about
    for foreign in ({}, {"coachbook": {}}, {"coachbook": {**about.to_dict(), "name": 7}}):
        assert About.of({"metadata": foreign}) is None
