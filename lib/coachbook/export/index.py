"""The index of a run, for whoever ran it: every page, what it found, and why one is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from urllib.parse import quote

from coachbook.export.about import About
from coachbook.export.frame import render
from coachbook.text import _, money, number, percent, shown

REVIEW = "application/vnd.coachbook.review+json"
_SHOWN = 3
"""Most that is listed as standing out beside a name; the page has the rest."""


Told = Mapping[str, Any]
"""Of a review what the index shows: `named`, and the findings of `_METRICS`."""
_METRICS = ("won_amount", "win_rate_count")


def told(notebook: Mapping[str, Any]) -> Told | None:
    """What the last review that a notebook emitted tells; None if it emitted none."""
    outputs = [output for cell in notebook.get("cells", ()) for output in cell.get("outputs", ())]
    reviews = [output["data"][REVIEW] for output in outputs if REVIEW in output.get("data", {})]
    if not reviews:
        return None
    told = {
        "named": [{"text": str(named["text"])} for named in reviews[-1]["named"]],
        "findings": [
            {key: finding[key] for key in ("metric", "value", "unit", "n", "interval")}
            for finding in reviews[-1]["findings"]
            if finding["metric"] in _METRICS
        ],
    }
    # Plain data: it goes to a process that knows nothing of notebooks, and would load all that they need.
    plain: Told = json.loads(json.dumps(told))
    return plain


@dataclass(frozen=True)
class Entry:
    """One page of a run. `notebook` and `page` are paths beside the index, "" where there is none."""

    about: About
    status: str
    page: str = ""
    notebook: str = ""
    review: Told | None = None
    error: Mapping[str, str | None] | None = None

    @property
    def href(self) -> str:
        """Where the name leads."""
        return quote(self.page or self.notebook)

    @property
    def notebook_href(self) -> str:
        """The executed notebook, where the name leads to a page."""
        return quote(self.notebook) if self.page else ""

    @property
    def why(self) -> str:
        """Why there is no page, in one sentence; "" where there is one."""
        if self.status == "skipped":
            return _("Not made: the batch was stopped before. Run it again to make it.")
        if self.error is None:
            return ""
        what = {"ename": shown(self.error["ename"]), "problem": _cut(self.error["evalue"] or "")}
        if self.error["cell"] is None:
            return _("Failed: {ename}: {problem}", **what)
        return _("Failed in cell {cell}: {ename}: {problem}", cell=shown(self.error["cell"]), **what)

    @property
    def named(self) -> list[str] | None:
        """What the page singles out; None: the page says nothing of the kind."""
        return None if self.review is None else [str(item["text"]) for item in self.review["named"]]

    @property
    def won(self) -> str:
        """Won amount in the period."""
        finding = self._finding("won_amount")
        return money(finding["value"], finding["unit"]) if finding else ""

    @property
    def rate(self) -> Rate | None:
        """Win rate by count."""
        finding = self._finding("win_rate_count")
        return Rate(finding["value"], finding["n"], finding["interval"]) if finding else None

    def _finding(self, metric: str) -> Mapping[str, Any] | None:
        findings = self.review["findings"] if self.review else []
        return next((f for f in findings if f["metric"] == metric), None)


@dataclass(frozen=True)
class Rate:
    """A share with its interval, in words and as places on a line from 0 to 100 %."""

    value: float | None
    n: int
    interval: Mapping[str, float] | None

    @property
    def text(self) -> str:
        """The share alone."""
        return percent(self.value)

    @property
    def detail(self) -> str:
        """Interval and n."""
        if self.value is None or self.interval is None:
            return _("n = {n}", n=number(self.n))
        return _(
            "{low} to {high}, n = {n}",
            low=percent(self.interval["low"]), high=percent(self.interval["high"]), n=number(self.n),
        )  # fmt: skip

    @property
    def places(self) -> dict[str, str] | None:
        """Where line and dot lie, in percent of the width."""
        if self.value is None or self.interval is None:
            return None
        low, high = self.interval["low"], self.interval["high"]
        return {
            "left": f"{low * 100:.1f}%",
            "width": f"{(high - low) * 100:.1f}%",
            "dot": f"{self.value * 100:.1f}%",
        }


def index_page(entries: list[Entry]) -> str:
    """All pages of a run by team, as HTML in the active language; at least one entry."""
    ordered = sorted(entries, key=lambda e: (e.about.team == "", e.about.team, e.about.name, e.about.id))
    teams = [
        (team or _("Without a team"), list(of)) for team, of in groupby(ordered, key=lambda e: e.about.team)
    ]
    about = ordered[0].about
    return render(
        "overview.html.j2",
        title=" · ".join((about.heading, about.when)),
        about=about,
        teams=teams,
        most=_SHOWN,
        made=sum(e.status == "ok" for e in entries),
        missing=sum(e.status != "ok" for e in entries),
        telling=sum(bool(e.named) for e in entries),
    )


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:200]}…"
