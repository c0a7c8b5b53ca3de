"""Plain deal lists exported day after day tell, at the grain of a day, what the simulator's own history says."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow.csv  # type: ignore[import-untyped]
import pytest

from coachbook import sources
from coachbook.settings import Settings, Workspace
from coachbook.sources import simulate
from coachbook.sources.intakes import preset_file
from coachbook.warehouse import Snapshots

DAYS = [date(2026, 9, day) for day in range(1, 31)]
FIELDS = ("stage", "status", "amount", "close_on", "owner")


@pytest.fixture(scope="module")
def company() -> simulate.Company:
    return simulate.company(simulate.World(reps=12, teams=2, months=6, seed=5))


@pytest.fixture(scope="module")
def exports(company: simulate.Company, tmp_path_factory: pytest.TempPathFactory) -> dict[date, Path]:
    """Thirty folders: the plain deal list as it stood each evening."""
    folder = tmp_path_factory.mktemp("exports")
    generic = preset_file("generic").read_text(encoding="utf-8")
    made = {}
    for day in DAYS:
        made[day] = folder / day.isoformat()
        made[day].mkdir()
        pyarrow.csv.write_csv(simulate.deal_list(company, day), made[day] / "deals.csv")
        pyarrow.csv.write_csv(company.tables["fx_rates"], made[day] / "fx_rates.csv")
        (made[day] / "mapping.toml").write_text(
            f'as_of = {day}\nexport = "full"\n{generic}', encoding="utf-8"
        )
    return made


def entered(company: simulate.Company) -> dict[str, list[dict[str, Any]]]:
    """The simulator's own events by deal, in the order in which they were entered."""
    by_deal: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in company.tables["deal_events"].to_pylist():
        by_deal[event["deal_id"]].append(event)
    for events in by_deal.values():
        events.sort(
            key=lambda e: (str(e["recorded_at"] or e["occurred_at"]), str(e["occurred_at"]), int(e["seq"]))
        )
    return by_deal


def changes(company: simulate.Company) -> dict[tuple[str, str, date], Any]:
    """(deal, field, day) → value at the day's end, for every day on which it differs from the evening before."""
    found = {}
    for deal, events in entered(company).items():
        evenings: dict[date, dict[str, Any]] = {}
        now: dict[str, Any] = dict.fromkeys(FIELDS)
        born = None
        for event in events:
            day = datetime.fromisoformat(str(event["recorded_at"] or event["occurred_at"])).date()
            born = born or day
            now = {**now, event["field"]: event["new"] or None}
            evenings[day] = now
        for day, after in zip(sorted(evenings), [evenings[d] for d in sorted(evenings)], strict=True):
            before = next((evenings[d] for d in sorted(evenings, reverse=True) if d < day), None)
            if before is None or not DAYS[0] < day <= DAYS[-1]:
                continue
            for field in FIELDS:
                if after[field] != before[field]:
                    found[(deal, field, day)] = said(field, after[field])
    return found


def said(field: str, value: Any) -> Any:
    if value is None or value == "":
        return None
    if field == "amount":
        return round(float(value) * 100)
    return str(value)


HISTORY = """
SELECT deal_id, from_on, stage, status, amount_minor, close_on, owner_id FROM known_history
QUALIFY row_number() OVER (PARTITION BY deal_id, from_on ORDER BY nr DESC) = 1
ORDER BY deal_id, from_on
"""


def reconstructed(workspace: Workspace) -> dict[tuple[str, str, date], Any]:
    found = {}
    with Snapshots(workspace.store).current().known(DAYS[-1]) as connection:
        rows = connection.execute(HISTORY).fetchall()
    before: dict[str, tuple[Any, ...]] = {}
    for deal, day, *values in rows:
        values[3] = values[3] and values[3].isoformat()
        if deal in before and DAYS[0] < day <= DAYS[-1]:
            for field, old, new in zip(FIELDS, before[deal], values, strict=True):
                if old != new:
                    found[(deal, field, day)] = new
        before[deal] = tuple(values)
    return found


SHUFFLED = random.Random(3).sample(DAYS, len(DAYS))


@pytest.mark.parametrize(
    ("days", "at_once"),
    [
        pytest.param(DAYS, 1, id="in order", marks=pytest.mark.verify),
        pytest.param(SHUFFLED, 5, id="shuffled, five at once"),
        pytest.param(SHUFFLED, 1, id="shuffled", marks=pytest.mark.verify),
    ],
)
def test_thirty_daily_lists_tell_what_happened_on_which_day(
    days: list[date], at_once: int, company: simulate.Company, exports: dict[date, Path], tmp_path: Path
) -> None:
    workspace = Workspace.init(tmp_path / "workspace", settings=Settings(currency="USD"))
    for start in range(0, len(days), at_once):
        sources.import_paths(workspace, [exports[day] for day in days[start : start + at_once]])
    expected, found = changes(company), reconstructed(workspace)
    assert len(expected) > 150
    assert {field for _deal, field, _day in expected} == set(FIELDS)
    assert found == expected
