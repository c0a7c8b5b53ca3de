"""Photographs of every page, to be looked at: `make pictures` fills build/pictures.

`<workbook>-<case>-<locale>-<width>.png`. The cases are people of `tests/data/firm`; `served` is the live page,
`home` the live list of pages, `index` the list that a batch leaves.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from coachbook import batch
from coachbook.catalogue import workbooks
from coachbook.settings import Workspace
from coachbook.text import Locale
from tests.chromium import OPTIONS
from tests.conftest import DATA, imported
from tests.serving import Server

OUT = Path(__file__).parents[1] / "build/pictures"
WIDTHS = (1280, 390)
PERIOD = "2021-10"
CASES = {
    "good": "N1", "bad": "N2", "new": "N3", "leaving": "N4", "no-deal": "N6", "chinese-name": "N5", "hostile-name": "S1",
}  # fmt: skip
TEAM = "north"
_SERVED = (
    "() => document.querySelectorAll('.cb-chart svg').length >= 4 && !document.querySelector('#cb-loading')"
)


def static(workspace: Workspace, folder: Path, workbook: str, locale: Locale) -> Iterator[tuple[str, str]]:
    """Cases and the addresses of their static pages."""
    reps = batch.Order(workbook, ",".join(CASES.values()), period=PERIOD, locale=locale, out=folder / "reps")
    team = batch.Order(workbook, team=TEAM, period=PERIOD, locale=locale, out=folder / "team")
    for order in (reps, team):
        outcome = batch.run(workspace, order)
        if outcome.exit_code:
            raise RuntimeError(outcome.rows)
    for case, rep in CASES.items():
        yield case, (folder / "reps" / rep / f"{workbook}.html").as_uri()
    yield "team", (folder / "team" / f"team-{TEAM}" / f"{workbook}.html").as_uri()
    yield "index", (folder / "reps" / "index.html").as_uri()


def photograph(
    browser: Browser, address: str, name: str, *, server: Server | None = None, ready: str = ""
) -> None:
    """One page in every width."""
    for width in WIDTHS:
        context = browser.new_context(viewport={"width": width, "height": 900})
        if server:
            ((key, value),) = server.cookie().items()
            context.add_cookies([{"name": key, "value": value, "url": server.base}])
        page = context.new_page()
        page.goto(address, timeout=120_000)
        if ready:
            page.wait_for_function(ready, timeout=120_000)
        page.screenshot(path=OUT / f"{name}-{width}.png", full_page=True)
        context.close()
        sys.stderr.write(f"{name}-{width}.png\n")


def main() -> None:
    """Every workbook, case, language and width."""
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        workspace = imported(Path(folder) / "firm", DATA / "firm")
        browser = playwright.chromium.launch(**OPTIONS)
        server = Server(workspace)
        try:
            for book in workbooks():
                for locale in Locale:
                    _book(browser, server, Path(folder) / f"{book.name}-{locale}", book.name, locale)
        finally:
            server.stop()


def _book(browser: Browser, server: Server, folder: Path, workbook: str, locale: Locale) -> None:
    for case, address in static(server.workspace, folder, workbook, locale):
        photograph(browser, address, f"{workbook}-{case}-{locale}")
    query = f"rep={CASES['good']}&period={PERIOD}&locale={locale}"
    live = f"{server.base}/w/{workbook}?{query}"
    photograph(browser, live, f"{workbook}-served-{locale}", server=server, ready=_SERVED)
    home = f"{server.base}/?locale={locale}"
    photograph(browser, home, f"{workbook}-home-{locale}", server=server)


if __name__ == "__main__":
    main()
