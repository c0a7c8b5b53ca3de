"""Seconds until the last output is seen in Chromium that has been there before: stock Voilà, and `coachbook serve`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

from playwright.sync_api import Page, sync_playwright

from tests.bench import hosts
from tests.bench.yard import Row, pairs, workspace
from tests.chromium import OPTIONS

VISITS = 6
TARGET_SECONDS = 1.2
_CHARTS = ".cb-chart svg, .jp-RenderedSVG img, .jp-RenderedSVG svg"
_DONE = f"""() => document.body.innerText.split("Limits").pop().length > 300
    && document.querySelectorAll("{_CHARTS}").length >= {hosts.CHARTS}"""


def measure(folder: Path) -> Row:
    """The first visit fills the browser's cache and is not counted."""
    made = workspace(folder / "workspace")
    every = pairs(made)
    with hosts.stock(made, list(islice(every, VISITS))) as host:
        stock = _visits(host)
    with hosts.ours(made, list(islice(every, VISITS))) as host:
        ours = _visits(host)
    return Row("voila_browser", median(ours), "s", against=median(stock), target=TARGET_SECONDS)


def _visits(host: hosts.Host) -> list[float]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**OPTIONS)
        context = browser.new_context()
        for name, value in host.cookies.items():
            context.add_cookies([{"name": name, "value": value, "url": host.pages[0]}])
        page = context.new_page()
        taken = [_seconds(page, address) for address in host.pages]
        browser.close()
    return taken[1:]


def _seconds(page: Page, address: str) -> float:
    begun = perf_counter()
    page.goto(address, wait_until="commit", timeout=120_000)
    page.wait_for_function(_DONE, timeout=120_000, polling=20)
    return perf_counter() - begun
