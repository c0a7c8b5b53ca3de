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
    """The first visit wakes the server and is not counted."""
    made = workspace(folder / "workspace")
    every = pairs(made)
    with hosts.stock(made, list(islice(every, VISITS))) as host:
        stock = [_seconds(host, page) for page in host.pages][1:]
    with hosts.ours(made, list(islice(every, VISITS))) as host:
        ours = [_seconds(host, page) for page in host.pages][1:]
    return Row("voila_http", median(ours), "s", against=median(stock), target=TARGET_SECONDS)


def _seconds(host: hosts.Host, page: str) -> float:
    begun = perf_counter()
    answer = requests.get(page, cookies=host.cookies, timeout=120)
    taken = perf_counter() - begun
    answer.raise_for_status()
    shown = answer.text.count("application/vnd.voila.cell-output+json")
    if shown < hosts.OUTPUTS:
        raise RuntimeError(page, shown, answer.text[-2000:])
    return taken
