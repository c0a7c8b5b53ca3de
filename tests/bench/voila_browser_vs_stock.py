"""Seconds until the last output is seen in Chromium that has been there before: stock Voilà, and `coachbook serve`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

from playwright.sync_api import Browser, Page, sync_playwright

from tests.bench import hosts
from tests.bench.yard import Row, pairs, workspace
from tests.chromium import OPTIONS

VISITS = 6
TARGET_SECONDS = 1.2
_CHARTS = ".cb-chart svg, .jp-RenderedSVG img, .jp-RenderedSVG svg"
_DONE = f"""() => (document.body?.innerText ?? "").split("Limits").pop().length > 300
    && document.querySelectorAll("{_CHARTS}").length >= {hosts.CHARTS}"""


def measure(folder: Path) -> Row:
    """The first visit fills the browser's cache and is not counted; the two take turns."""
    made = workspace(folder / "workspace")
    every = pairs(made)
    asked = list(islice(every, VISITS)), list(islice(every, VISITS))
    with (
        hosts.stock(made, asked[0]) as stock_host,
        hosts.ours(made, asked[1]) as our_host,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(**OPTIONS)
        tabs = _tab(browser, stock_host), _tab(browser, our_host)
        turns = zip(stock_host.pages, our_host.pages, strict=True)
        taken = [(_seconds(tabs[0], a), _seconds(tabs[1], b)) for a, b in turns][1:]
        browser.close()
    stock, ours = zip(*taken, strict=True)
    return Row("voila_browser_vs_stock", median(ours), "s", against=median(stock), target=TARGET_SECONDS)


def _tab(browser: Browser, host: hosts.Host) -> Page:
    """A tab of its own profile, signed in."""
    context = browser.new_context()
    for name, value in host.cookies.items():
        context.add_cookies([{"name": name, "value": value, "url": host.base}])
    return context.new_page()


def _seconds(page: Page, address: str) -> float:
    begun = perf_counter()
    page.goto(address, wait_until="commit", timeout=120_000)
    page.wait_for_function(_DONE, timeout=120_000, polling=20)
    return perf_counter() - begun
