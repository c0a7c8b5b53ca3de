"""Seconds until the last byte of a page over HTTP: stock Voilà, and `coachbook serve`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

import requests

from tests.bench import hosts
from tests.bench.yard import Row, pairs, workspace

VISITS = 6
TARGET_SECONDS = 0.8


def measure(folder: Path) -> Row:
    """The first visit wakes the server and is not counted; the two take turns."""
    made = workspace(folder / "workspace")
    every = pairs(made)
    asked = list(islice(every, VISITS)), list(islice(every, VISITS))
    with hosts.stock(made, asked[0]) as stock_host, hosts.ours(made, asked[1]) as our_host:
        turns = zip(stock_host.pages, our_host.pages, strict=True)
        taken = [(_seconds(stock_host, a), _seconds(our_host, b)) for a, b in turns][1:]
    stock, ours = zip(*taken, strict=True)
    return Row("voila_http_vs_stock", median(ours), "s", against=median(stock), target=TARGET_SECONDS)


def _seconds(host: hosts.Host, page: str) -> float:
    begun = perf_counter()
    answer = requests.get(page, cookies=host.cookies, timeout=120)
    taken = perf_counter() - begun
    answer.raise_for_status()
    shown = hosts.shown(answer.text)
    if shown < hosts.OUTPUTS:
        raise RuntimeError(page, shown, answer.text[-2000:])
    return taken
