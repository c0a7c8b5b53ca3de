"""The live pages in a real Chromium: complete, in both languages, from this host alone, and tidy when left."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, Response, sync_playwright

from coachbook.settings import Workspace
from tests.chromium import OPTIONS
from tests.processes import until
from tests.serving import Server, kernel_of, put_notebook, short

COMPLETE_MS = 60_000
N1 = "/w/retrospective?rep=N1&period=2021-10&locale=en"
HOSTILE = "</script><script>alert("


class Visitor:
    """A signed-in tab, and everything that went wrong in it."""

    def __init__(
        self, browser: Browser, server: Server, *, width: int = 1280, signed_in: bool = True
    ) -> None:
        self.server = server
        self.context = browser.new_context(viewport={"width": width, "height": 900})
        if signed_in:
            ((name, value),) = server.cookie().items()
            self.context.add_cookies([{"name": name, "value": value, "url": server.base}])
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("request", self._request)
        self.page.on("response", self._response)
        self.page.on("requestfailed", self._failed)
        self.page.on("console", lambda m: self._fault(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self._fault(str(error)))
        self.page.on("dialog", lambda dialog: (self._fault(f"dialog {dialog.message}"), dialog.dismiss()))

    def _fault(self, what: str) -> None:
        self.faults.append(what)

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.server.base, "data:", "blob:")):
            self._fault(f"off the host: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self._fault(f"{response.status} {response.url}")

    def _failed(self, request: Request) -> None:
        if "/voila/api/shutdown/" not in request.url:  # a beacon's answer has nobody left to read it
            self._fault(f"failed: {request.url} {request.failure}")

    def open(self, path: str) -> Page:
        """A page, complete."""
        self.page.goto(self.server.base + path, wait_until="commit")
        return self.complete()

    def complete(self) -> Page:
        """Wait until the loading sign, which may be there too shortly to be seen, has gone."""
        self.page.wait_for_selector("body[data-state=done]", timeout=COMPLETE_MS)
        assert self.page.locator("#cb-loading").count() == 0
        return self.page


@pytest.fixture(scope="module")
def workspace(firm: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(Path(shutil.copytree(firm.folder, tmp_path_factory.mktemp("browser") / "workspace")))


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[Server]:
    server = Server(workspace)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def visitor(chromium: Browser, server: Server) -> Iterator[Visitor]:
    visitor = Visitor(chromium, server)
    yield visitor
    visitor.context.close()


def drawn(page: Page) -> int:
    """How many charts there are, every one of them drawn with something in it."""
    charts = page.locator(".cb-chart")
    marks = charts.evaluate_all("charts => charts.map(c => c.querySelectorAll('svg path, svg text').length)")
    assert all(count > 5 for count in marks), marks
    return len(marks)


def test_from_the_link_to_a_complete_page(chromium: Browser, server: Server) -> None:
    visitor = Visitor(chromium, server, signed_in=False)
    page = visitor.page
    page.goto(server.link)
    page.locator("button:focus").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{server.base}/")
    page.get_by_role("link", name="Grace Good").first.click()
    visitor.complete()

    assert page.url.endswith("/w/retrospective?rep=N1&period=2021-10&locale=en")
    assert drawn(page) >= 3
    text = page.locator("#rendered_cells").inner_text()
    assert len(text) >= 800
    assert "Grace Good" in text
    assert f"{HOSTILE}2)</script>" in text
    assert page.locator(".gt_table").count() >= 2
    assert page.locator("html").get_attribute("lang") == "en"
    assert "application/vnd.coachbook" not in page.content()
    page.mouse.wheel(0, 100_000)
    assert until(lambda: page.evaluate("scrollY") > 900)
    assert page.pdf(format="A4").count(b"/Type /Page\n") > 1
    assert visitor.faults == []
    visitor.context.close()


def test_a_phone_in_chinese(chromium: Browser, server: Server) -> None:
    visitor = Visitor(chromium, server, width=390)
    visitor.page.goto(f"{server.base}/?locale=en")
    visitor.page.get_by_role("link", name="简体中文").click()
    assert visitor.page.get_by_role("link", name="王小明").first.is_visible()
    visitor.page.get_by_role("link", name=f"{HOSTILE}1)").first.click()
    page = visitor.complete()

    assert page.locator("html").get_attribute("lang") == "zh-CN"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert drawn(page) >= 3
    assert f"{HOSTILE}1)" in page.title()
    text = page.locator("#rendered_cells").inner_text()
    assert f"{HOSTILE}1)</script>" in text
    assert len(re.findall(r"[\u4e00-\u9fff]", text)) >= 500
    assert not re.search(r"\b(the|and|with|of the)\b", text)
    assert page.locator(".cb-languages a", has_text="English").get_attribute("href") == (
        "/w/retrospective?rep=S1&period=2021-10&locale=en"
    )
    assert visitor.faults == []
    visitor.context.close()


def test_choosers_open_another_page_and_end_the_one_that_is_left(
    visitor: Visitor, server: Server, workspace: Workspace
) -> None:
    notebook = put_notebook(workspace, "print(f'page of {rep} in {period}, {locale}')")
    try:
        page = visitor.open(N1)
        left = kernel_of(page.content())
        assert short(left) in server.kernels()
        page.get_by_label("Rep").select_option("S1")
        page.wait_for_selector("text=page of S1 in 2021-10, en")
        assert page.url == f"{server.base}/w/retrospective?rep=S1&period=2021-10&locale=en"
        chosen = page.get_by_label("Rep").locator("option:checked")
        assert chosen.inner_text() == f"{HOSTILE}1)</script>"
        assert until(lambda: short(left) not in server.kernels())

        page.get_by_label("Period").focus()
        page.keyboard.press("ArrowDown")
        assert page.url.endswith("period=2021-10&locale=en")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=page of S1 in 2021-09, en")
        unfinished = kernel_of(page.content())
        page.goto(f"{server.base}/")
        assert until(lambda: short(unfinished) not in server.kernels())
        assert visitor.faults == []
    finally:
        notebook.unlink()


def assets(page: Page) -> dict[str, dict[str, float]]:
    """What a page loaded of ours, by name: when it was asked for and there, and what of it came over the wire."""
    entries = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.toJSON())")
    return {e["name"].partition("?")[0].rpartition("/")[2]: e for e in entries if "/assets/" in e["name"]}


def test_static_files_are_loaded_once_while_the_kernel_runs_and_no_more_than_needed(
    visitor: Visitor, workspace: Workspace
) -> None:
    notebook = put_notebook(workspace, "import time; time.sleep(1)", "print('awake')")
    headers: list[dict[str, str]] = []
    visitor.page.on("response", lambda r: headers.append(r.headers) if "/w/" not in r.url else None)
    try:
        first = assets(visitor.open(N1))
        complete = visitor.page.evaluate("performance.getEntriesByType('navigation')[0].responseEnd")
        assert {"vega.js", "coachbook.js", "coachbook.css", "voila-style.js"} < first.keys()
        assert all(
            first[name]["responseEnd"] < complete - 500 for name in ("voila-style.js", "coachbook.css")
        )
        kept = [h for h in headers if h.get("content-type", "").startswith(("text/javascript", "text/css"))]
        assert len(kept) >= len(first)
        assert {h["cache-control"] for h in kept} == {"public, max-age=31536000, immutable"}
        assert {h["content-encoding"] for h in kept} == {"gzip"}

        second = assets(visitor.open(N1))
        assert "awake" in visitor.page.locator("#rendered_cells").inner_text()
        assert "vega.js" in second
        assert "voila.js" not in second
        assert not [name for name, entry in second.items() if entry["transferSize"]]
        assert visitor.faults == []
    finally:
        notebook.unlink()


def test_an_output_left_open_swallows_nothing(visitor: Visitor, workspace: Workspace) -> None:
    left_open = "from IPython.display import HTML\nHTML('<div><table><td>begun<!-- <script>')"
    notebook = put_notebook(workspace, left_open, "# What follows", "print('still there')")
    try:
        text = visitor.open(N1).locator("#rendered_cells").inner_text()
        assert "begun" in text
        assert text.index("What follows") < text.index("still there")
        assert visitor.faults == []
    finally:
        notebook.unlink()


WIDGETS = (
    "import ipywidgets as w, pandas as pd, altair as alt\nfrom coachbook.charts import Picture, show_for\nshow_for('serve')",
    "from great_tables import GT\nGT(pd.DataFrame({'deal': ['</script><script>alert(5)</script>'], 'won': [1]}), id='deals')",
    "rows = [{'day': day, 'won': won} for won, day in enumerate('abcdef')]",
    "def bars(n):\n    chart = alt.Chart(alt.NamedData('rows'), width='container').mark_bar().encode(x='day:N', y='won:Q')\n    return Picture(chart, f'{n} bars', {'rows': rows[:n]})",
    "slider, pick = w.IntSlider(value=2, max=6, description='days'), w.Dropdown(options=['deals', 'money'])",
    "def show(n, unit):\n    print('chosen', n, unit)\n    display(bars(n))",
    "w.VBox([slider, pick, w.interactive_output(show, {'n': slider, 'unit': pick})])",
)


def test_widgets_answer(visitor: Visitor, workspace: Workspace) -> None:
    notebook = put_notebook(workspace, *WIDGETS)
    try:
        page = visitor.open(N1)
        page.wait_for_selector("text=chosen 2 deals")
        page.wait_for_selector(".cb-chart[aria-label='2 bars'][data-state=drawn]")
        page.locator(".noUi-handle").press("ArrowRight")
        page.wait_for_selector("text=chosen 3 deals")
        page.wait_for_selector(".cb-chart[aria-label='3 bars'][data-state=drawn]")
        page.locator(".widget-dropdown select").select_option("money")
        page.wait_for_selector("text=chosen 3 money")
        asked = assets(page)
        assert "voila.js" in asked
        assert any(name.startswith("remoteEntry.") for name in asked)
        assert "</script><script>alert(5)</script>" in page.locator("#deals").inner_text()
        assert visitor.faults == []
    finally:
        notebook.unlink()
