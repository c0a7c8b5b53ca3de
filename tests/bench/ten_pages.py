"""Ten pages asked for at once: the 95th percentile beside what the CPU-seconds of one page allow on these cores."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

import numpy as np
import psutil
import requests

from tests.bench import hosts
from tests.bench.yard import Row, pairs, say, workspace

ROUNDS = 4
PAGES = 10
ALLOWED = 1.3


def measure(folder: Path) -> Row:
    """The first page wakes the server; then some are taken one by one, then ten at a time."""
    made = workspace(folder / "workspace")
    asked = list(islice(pairs(made), 6 + ROUNDS * PAGES))
    with hosts.ours(made, asked) as host:
        pages = iter(host.pages)
        _fetch(host, next(pages))
        cpu = median(_cpu_of(host, next(pages)) for _ in range(5))
        slowest = []
        with ThreadPoolExecutor(PAGES) as visitors:
            for _round in range(ROUNDS):
                taken = list(visitors.map(lambda page: _fetch(host, page), list(islice(pages, PAGES))))
                slowest.append(float(np.percentile(taken, 95)))
    cores = os.cpu_count() or 1
    say(
        f"  one page: {cpu:.2f} CPU-seconds; ten at once: 95 % within {median(slowest):.2f} s on {cores} cores"
    )
    return Row("ten_pages", median(slowest), "s", target=ALLOWED * PAGES * cpu / cores)


def _fetch(host: hosts.Host, page: str) -> float:
    begun = perf_counter()
    answer = requests.get(page, cookies=host.cookies, timeout=120)
    taken = perf_counter() - begun
    if hosts.shown(answer.text) < hosts.OUTPUTS:
        raise RuntimeError(page, answer.status_code)
    return taken


def _cpu_of(host: hosts.Host, page: str) -> float:
    """Of the server and all its processes; none of them ends meanwhile."""
    before = _cpu(host.pid)
    _fetch(host, page)
    sleep(0.3)
    return _cpu(host.pid) - before


def _cpu(pid: int) -> float:
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(sum(member.cpu_times()[:2]) for member in family)
