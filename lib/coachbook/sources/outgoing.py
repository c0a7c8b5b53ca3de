"""What is decided about deals as rows that the CRM's own import takes: the mapping read backwards."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from duckdb import DuckDBPyConnection

from coachbook.cleanup import Decision, Outcomes, kept, outcomes
from coachbook.cleanup.cells import inert, major, plain
from coachbook.errors import NotFound
from coachbook.model.tables import FX_RATES
from coachbook.settings import Workspace
from coachbook.sources import money
from coachbook.sources.folders import Folder
from coachbook.sources.judging import Judge
from coachbook.sources.mapping import ANYTHING, Mapping, Origin
from coachbook.sources.plan import Intake, Plan
from coachbook.sources.shapes import Shape, remembered
from coachbook.sources.values import Clock
from coachbook.text import N_
from coachbook.warehouse import Snapshots
from coachbook.warehouse.database import in_memory

OWN = "coachbook_"
"""Begins the names of columns that the source's file does not have."""
FEWEST = 5
"""Fewest lost deals that tell in which stage a CRM puts them."""
_CURRENCY = f"{OWN}currency"
_VALUES = {"status": "status", "stage": "stage", "close_on": "close_on", "amount": "amount_minor", "next_step": "next_step", "loss_reason": "loss_reason"}  # fmt: skip
"""The keys that are written after the id, and the canonical columns that read them back."""


@dataclass(frozen=True)
class ChangeList:
    """The changes of one source's deals that are not done yet.

    Parameters
    ----------
    header, rows
        As the source's own import takes them: its columns, of which an empty field changes nothing.
    decisions
        What they carry out.
    outside
        Columns of ours that the source's file does not have, or cannot tell: somebody must enter these by hand.
    encoding, delimiter
        Those of the source's file.
    """

    source: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    decisions: tuple[Decision, ...]
    outside: tuple[str, ...]
    encoding: str
    delimiter: str

    @property
    def content(self) -> bytes:
        """The file; no text in it is taken for a formula by a spreadsheet."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=self.delimiter)
        writer.writerow(map(inert, self.header))
        writer.writerows(self.rows)
        try:
            return out.getvalue().encode(self.encoding)
        except UnicodeEncodeError:
            return out.getvalue().encode("utf-8-sig")


@dataclass(frozen=True)
class Changes:
    """All change lists, and what became of every decision."""

    lists: tuple[ChangeList, ...]
    outcomes: Outcomes

    @property
    def homeless(self) -> list[Decision]:
        """Decisions that are in no list: the data do not have their deals."""
        listed = {d.deal_id for one in self.lists for d in one.decisions}
        return [o.decision for o in self.outcomes.of("not_done") if o.decision.deal_id not in listed]


@dataclass
class _Row:
    """One deal: what it is to become, by key, in canonical text; and its cells, by column."""

    deal_id: str
    currency: str
    name: str
    account_id: str
    wanted: dict[str, str] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)


def change_lists(workspace: Workspace) -> Changes:
    """What is decided and not done yet, source by source, in the shape of the deals file that was imported last.

    Every cell is read back with the source's mapping; what would not come back as it was decided stands in a column of
    ours instead (`ChangeList.outside`).

    Raises
    ------
    NotFound
        There is no data yet, or the shape of a source's files is not known.
    """
    snapshot = Snapshots(workspace.store).current()
    found = outcomes(kept(workspace.cleanup), snapshot)
    standing = [o.decision for o in found.of("not_done")]
    with closing(snapshot.known(snapshot.as_of, ["deals"])) as connection:
        rows = _rows(connection, standing)
        lists = []
        for source in sorted(rows):
            shape = remembered(workspace.store, source)
            if shape is None:
                raise NotFound(
                    N_("How the files of {source} are written is not known yet. Import them once more: coachbook import {example}"),
                    source=f"“{source}”", example="PATH",
                )  # fmt: skip
            stage = _stage_of_lost(connection, source)
            lists.append(
                _Writer(shape, workspace.settings.currency, workspace.settings.time_zone, stage).changes(
                    rows[source]
                )
            )
    return Changes(tuple(lists), found)


def _rows(connection: DuckDBPyConnection, standing: Iterable[Decision]) -> dict[str, list[_Row]]:
    """The deals of each source with what they are to become."""
    by_deal: dict[str, list[Decision]] = {}
    for decision in standing:
        by_deal.setdefault(decision.deal_id, []).append(decision)
    found = connection.execute(
        """
        SELECT _source, deal_id, currency, coalesce(name, ''), coalesce(account_id, '') FROM known_deals
        WHERE deal_id IN (SELECT unnest($ids::VARCHAR[])) ORDER BY deal_id
        """,
        {"ids": list(by_deal)},
    ).fetchall()
    rows: dict[str, list[_Row]] = {}
    for source, *told in found:
        row = _Row(*told)
        row.decisions = by_deal[row.deal_id]
        row.wanted = {key: text for d in row.decisions for key, text in _wanted(d).items()}
        rows.setdefault(source, []).append(row)
    return rows


def _wanted(decision: Decision) -> dict[str, str]:
    """The fields that carry a decision out. A deal that is given up was closed on the day of the decision."""
    if decision.kind == "dead":
        reason = {"loss_reason": decision.value} if decision.value else {}
        return {"status": "lost", "close_on": decision.decided_on.isoformat(), **reason}
    return {decision.kind: decision.value}


def _stage_of_lost(connection: DuckDBPyConnection, source: str) -> str | None:
    """The stage in which a CRM puts what is lost: that of all lost deals, and of no others; None if it keeps theirs."""
    found = connection.execute(
        """
        WITH stages AS (
            SELECT k.stage, count(*) FILTER (k.status = 'lost') AS lost, count(*) FILTER (k.status <> 'lost') AS others
            FROM known AS k JOIN known_deals AS d USING (deal_id) WHERE d._source = ? GROUP BY k.stage
        )
        SELECT stage, others, lost FROM stages WHERE lost > 0
        """,
        [source],
    ).fetchall()
    return found[0][0] if len(found) == 1 and found[0][1] == 0 and found[0][2] >= FEWEST else None


@dataclass(frozen=True)
class _Writer:
    """Writes rows in a shape."""

    shape: Shape
    currency: str
    time_zone: str
    stage_of_lost: str | None

    def changes(self, rows: list[_Row]) -> ChangeList:
        """The list of these deals' changes."""
        for row in rows:
            if (
                row.wanted.get("status") == "lost"
                and self.stage_of_lost
                and self._cells("stage", self.stage_of_lost, row)
            ):
                row.wanted = {"stage": self.stage_of_lost, **row.wanted}
            self._fill(row)
        self._mend(rows)
        names = dict.fromkeys(name for key in ("deal_id", *_VALUES) for name in self._names(key))
        used = {name for row in rows for name in row.cells}
        header = [name for name in names if name in used]
        outside = sorted(name for name in used if name not in names)
        header += outside
        told = tuple(tuple(row.cells.get(name, "") for name in header) for row in rows)
        decisions = tuple(d for row in rows for d in row.decisions)
        encoding = "utf-8-sig" if self.shape.encoding in ("", "utf-8") else self.shape.encoding
        delimiter = self.shape.delimiter or ","
        return ChangeList(
            self.shape.source, tuple(header), told, decisions, tuple(outside), encoding, delimiter
        )

    def _names(self, key: str) -> list[str]:
        origin = self.shape.columns.get(key)
        return [names[0] for names in origin.read] if origin else []

    def _fill(self, row: _Row) -> None:
        """The cells of a row: the id, then what is wanted; where two want the same column, the first has it."""
        row.cells = self._identity(row) or {f"{OWN}deal_id": inert(row.deal_id)}
        for key, text in row.wanted.items():
            cells = self._cells(key, text, row)
            row.cells = {**self._ours(key, row), **row.cells} if cells is None else {**cells, **row.cells}

    def _identity(self, row: _Row) -> dict[str, str] | None:
        """The columns of the id; of an id that was joined from several, what each of them holds."""
        names = self._names("deal_id")
        if len(names) == 1:
            return self._cells("deal_id", row.deal_id, row)
        held: dict[str, str] = {}
        for key, text in (("name", row.name), ("account_id", row.account_id)):
            if len(self._names(key)) == 1:
                held |= self._cells(key, text, row) or {}
        if not names or any(name not in held for name in names):
            return None
        return {name: held[name] for name in names}

    def _cells(self, key: str, wanted: str, row: _Row) -> dict[str, str] | None:
        """The source's columns that say it; None if it cannot."""
        origin, names = self.shape.columns.get(key), self._names(key)
        only = key in self.shape.looked_up
        text = _worded(origin, self._native(key, wanted, origin, row), only=only) if origin else None
        if text is None:
            return None
        if len(names) == 1:
            return {names[0]: text if key in ("amount", "close_on") else inert(text)}
        parts = text.split(" ")
        return dict(zip(names, parts, strict=True)) if len(parts) == len(names) else None

    def _native(self, key: str, wanted: str, origin: Origin, row: _Row) -> str:
        """Canonical text as the source writes such a value."""
        if key == "close_on":
            return date.fromisoformat(wanted).strftime(origin.format[0]) if origin.format else wanted
        if key == "amount":
            return major(wanted, row.currency).replace(".", origin.decimal)
        return wanted

    def _ours(self, key: str, row: _Row) -> dict[str, str]:
        """Our own column for it; nothing for what nobody asked for: stage and close date of a deal that is given up."""
        wanted = row.wanted[key]
        if key == "stage" or (key == "close_on" and "status" in row.wanted):
            return {}
        return {f"{OWN}{key}": major(wanted, row.currency) if key == "amount" else inert(wanted)}

    def _mend(self, rows: list[_Row]) -> None:
        """Read the rows with the mapping; what comes back differently goes into columns of ours."""
        for row, back in zip(rows, self._read(rows), strict=True):
            if back["deal_id"] != row.deal_id:
                row.cells = {**row.cells, f"{OWN}deal_id": inert(row.deal_id)}
            wrong = {key for key, text in row.wanted.items() if back[_VALUES[key]] != text}
            right = {
                name for key in ("deal_id", *row.wanted) if key not in wrong for name in self._names(key)
            }
            for key in sorted(wrong):
                row.cells = {n: t for n, t in row.cells.items() if n in right or n not in self._names(key)}
                row.cells |= self._ours(key, row)

    def _read(self, rows: Sequence[_Row]) -> list[dict[str, Any]]:
        """The rows as an import reads them, canonical values as text."""
        names = sorted({name for row in rows for name in row.cells})
        columns: dict[str, Any] = {
            key: origin.model_dump(exclude_defaults=True)
            for key, origin in self.shape.columns.items()
            if (key in _VALUES or key == "deal_id") and all(name in names for name in self._names(key))
        }
        columns |= {"created_on": {"constant": "2000-01-01"}, "currency": {"column": [_CURRENCY]}}
        columns.setdefault("deal_id", {"constant": "-"})
        columns.setdefault("status", {"constant": "open"})
        mapping = Mapping.model_validate(
            {"deals": [{"file": ["changes.csv"], "columns": columns}], "nulls": self.shape.nulls, "time_zone": self.shape.time_zone}
        )  # fmt: skip
        with TemporaryDirectory() as folder, closing(in_memory()) as connection:
            with (Path(folder) / "changes.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow([*names, _CURRENCY])
                writer.writerows(
                    [*(plain(row.cells.get(name, "")) for name in names), row.currency] for row in rows
                )
            plan = Plan()
            plan.add(Intake(Folder(Path(folder)), mapping, self.shape.source, None))
            return self._judged(connection, plan)

    def _judged(self, connection: DuckDBPyConnection, plan: Plan) -> list[dict[str, Any]]:
        [reading] = plan.readings
        money.tabulate(connection)
        connection.execute(
            f'CREATE TEMP TABLE {FX_RATES.name} (currency VARCHAR, "into" VARCHAR, from_on DATE)'
        )
        money.connect(connection, [FX_RATES.name], self.currency)
        reading.file.load(connection, None)
        clock = Clock(self.shape.time_zone, self.time_zone)
        query, _faults = Judge(reading, self.currency, clock, tuple(self.shape.nulls)).query()
        wanted = ("deal_id", *_VALUES.values())
        texts = ", ".join(f"{name}::VARCHAR" for name in wanted)
        found = connection.execute(f"SELECT {texts} FROM ({query}) ORDER BY _line").fetchall()
        return [dict(zip(wanted, row, strict=True)) for row in found]


def _worded(origin: Origin, wanted: str, *, only: bool) -> str | None:
    """The source's word for a canonical one; of several the first, or none if it must be the `only` one."""
    if not origin.map:
        return wanted
    words = [word for word, means in origin.map.items() if means == wanted and word not in ("", ANYTHING)]
    if words:
        return None if only and len(words) > 1 else words[0]
    return wanted if ANYTHING not in origin.map and wanted not in origin.map else None
