"""Reviews without a kernel, and small companies made up for one test."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from coachbook import facts
from coachbook.access import Reader
from coachbook.catalogue import shipped
from coachbook.facts import Asked, Page
from coachbook.settings import Settings, Workspace
from coachbook.warehouse.slices import Slice
from coachbook.workbooks.funnel_review import FunnelReview
from coachbook.workbooks.retrospective import Retrospective
from tests.conftest import imported

SAMPLE = shipped("sample_data") / "regional_sales"
Review = dict[str, Any]

_MAPPING = """
as_of = 2021-11-10
[reps]
file = "reps.csv"
[reps.columns]
rep_id = "rep"
name = "name"
team_id = "team"
role = { constant = "rep" }
start_on = "start"
end_on = "end"
[deals]
file = "deals.csv"
[deals.columns]
deal_id = "deal"
name = "name"
rep_id = "rep"
account_id = "customer"
status = { column = "status", map = { open = "open", won = "won", lost = "lost" } }
created_on = "created"
close_on = "closed"
amount = "amount"
currency = { constant = "USD" }
"""


def pages(workspace: Workspace, period: str = "2021-10", as_of: str = "") -> list[Page]:
    """The pages of everybody on the roster."""
    return facts.settle_all(workspace, Asked(period=period, as_of=as_of))


def retrospective(workspace: Workspace, page: Page, reader: Reader = "rep") -> Retrospective:
    """The review that a notebook would show."""
    return Retrospective.of(Slice.read(facts.cut(workspace, page, reader)), page.period)


def funnel_review(
    workspace: Workspace, asked: Asked | None = None, reader: Reader = "manager", *, since: date | None = None
) -> FunnelReview:
    """The same of a funnel review."""
    page = facts.settle(workspace, replace(asked or Asked(), workbook="funnel_review"))
    return FunnelReview.of(Slice.read(facts.cut(workspace, page, reader)), page.period, since=since)


def reviews(
    workspace: Workspace, period: str = "2021-10", *, as_of: str = "", reader: Reader = "rep"
) -> dict[str, Review]:
    """Everybody's review as JSON has it, by the id of the rep."""
    return {
        page.scope.id: retrospective(workspace, page, reader).to_dict()
        for page in pages(workspace, period, as_of)
    }


def finding(review: Review, metric: str, variant: str = "") -> dict[str, Any]:
    """One finding of a review; without a variant the main one."""
    return next(f for f in review["findings"] if f["metric"] == metric and variant in ("", f["variant"]))


def against(found: dict[str, Any], what: str) -> dict[str, Any]:
    """One comparison of a finding."""
    return next(c for c in found["comparisons"] if c["with"] == what)


def raw_deals() -> pd.DataFrame:
    """The sample's opportunities as they stand in the file, every field a text."""
    return pd.read_csv(SAMPLE / "Opportunities.csv", dtype=str, keep_default_na=False)


def sample_with(folder: Path, deals: pd.DataFrame, *, as_of: str = "2021-11-10") -> Path:
    """A copy of the sample's folder with other opportunities in it."""
    shutil.copytree(SAMPLE, folder)
    deals.to_csv(folder / "Opportunities.csv", index=False)
    mapping = folder / "mapping.toml"
    text = mapping.read_text(encoding="utf-8")
    mapping.write_text(text.replace("as_of = 2021-11-10", f"as_of = {as_of}"), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Person:
    """A row of a made-up roster."""

    rep: str
    name: str
    team: str = "t"
    start: str = ""
    end: str = ""


@dataclass(frozen=True)
class Sale:
    """A made-up deal; days like `2021-10-05`, the amount in dollars."""

    rep: str
    status: str
    closed: str
    amount: str = "100"
    created: str = "2021-01-04"
    customer: str = "c"
    name: str = ""


def company(
    folder: Path, people: Sequence[Person], sales: Iterable[Sale], settings: Settings | None = None
) -> Workspace:
    """A workspace with a made-up company in it, as of 2021-11-10."""
    source = folder / "files"
    source.mkdir(parents=True)
    (source / "mapping.toml").write_text(_MAPPING, encoding="utf-8")
    _write(source / "reps.csv", [vars(p) for p in people])
    _write(source / "deals.csv", [{"deal": f"D{i:04}", **vars(s)} for i, s in enumerate(sales)])
    return imported(folder / "workspace", source, settings)


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
