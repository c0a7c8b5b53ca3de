"""A workspace, a folder of files to import into it, and what every account must satisfy."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from coachbook import sources
from coachbook.errors import NotFound
from coachbook.model.tables import TABLES
from coachbook.settings import Settings, Workspace
from coachbook.sources import Accounting
from coachbook.warehouse import Snapshots

HEADER = "id,who,state,made,closed,sum,cur,note"
MAPPING = """
as_of = 2021-11-10
[deals]
file = "deals.csv"
[deals.columns]
deal_id = "id"
name = "note"
rep_id = "who"
status = { column = "state", map = { Won = "won", Lost = "lost", Open = "open" } }
created_on = "made"
close_on = "closed"
amount = "sum"
currency = "cur"
"""
ROW = "1,r,Won,2021-01-02,2021-03-04,10.50,USD,first\n"


class Desk:
    """A workspace, and a folder of files to import into it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.workspace = Workspace.init(folder / "workspace", settings=Settings(**settings))
        self.files = folder / "files"
        self.files.mkdir()
        self.write(mapping=MAPPING)

    def write(self, deals: str | bytes | None = None, *, mapping: str = "", **others: str) -> Desk:
        if deals is not None:
            raw = deals if isinstance(deals, bytes) else deals.encode()
            (self.files / "deals.csv").write_bytes(raw)
        if mapping:
            (self.files / "mapping.toml").write_text(mapping, encoding="utf-8")
        for name, text in others.items():
            (self.files / f"{name}.csv").write_text(text, encoding="utf-8", newline="")
        return self

    def load(self, **options: Any) -> Accounting:
        return sources.import_paths(self.workspace, [self.files], **options)

    @property
    def current(self) -> str:
        try:
            return Snapshots(self.workspace.store).current().id
        except NotFound:
            return ""

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        current = Snapshots(self.workspace.store).current()
        with current.known(current.as_of, TABLES) as connection:
            return connection.execute(sql).fetchall()

    def deals(self) -> dict[str, tuple[Any, ...]]:
        found = self.query(
            "SELECT deal_id, name, rep_id, status, created_on, close_on, amount_minor, currency FROM known_deals"
        )
        return {row[0]: row[1:] for row in found}

    def there(self) -> set[str]:
        """Ids of the deals that were not removed."""
        return {deal_id for (deal_id,) in self.query("SELECT deal_id FROM known")}


def quarantined(accounting: Accounting) -> list[dict[str, str]]:
    if accounting.quarantine is None:
        return []
    with accounting.quarantine.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def balances(accounting: Accounting) -> None:
    for account in accounting.files:
        assert account.rows == account.loaded + account.quarantined + sum(account.dropped.values())
        assert 0 <= account.unchanged <= account.loaded
    assert len(quarantined(accounting)) == accounting.quarantined
