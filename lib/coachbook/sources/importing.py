"""From files with their mappings to the next snapshot, with an account of every row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime
from heapq import merge
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from coachbook.cleanup import kept, outcomes
from coachbook.cleanup.outcomes import Outcomes
from coachbook.errors import CoachbookError, Invalid
from coachbook.model.periods import parse_day
from coachbook.model.quality import Sentence
from coachbook.model.tables import FX_RATES, TABLES
from coachbook.settings import Settings, Workspace
from coachbook.sources import money
from coachbook.sources.accounting import Accounting, FileAccount, Quarantined, quarantining
from coachbook.sources.intakes import intakes
from coachbook.sources.judging import REASON_FIELDS, Fault, Judge
from coachbook.sources.merging import Batch
from coachbook.sources.plan import Plan, RawFile, Reading
from coachbook.sources.readers import Parquet, Progress
from coachbook.sources.readers.rows import unreadable
from coachbook.sources.shapes import remember
from coachbook.sources.values import Clock
from coachbook.text import N_, _
from coachbook.warehouse import Draft, Snapshot, Snapshots, calendar_warnings

_MANY = 10_000
_FAULTS = 20
"""How many rows in quarantine a dry run shows."""


def import_paths(
    workspace: Workspace,
    paths: Sequence[Path],
    *,
    preset: str = "",
    as_of: str = "",
    full: bool = False,
    dry_run: bool = False,
    on_progress: Progress | None = None,
) -> Accounting:
    """Import files into the workspace's next snapshot.

    Parameters
    ----------
    workspace
        Where to.
    paths
        Folders and zip archives that hold a `mapping.toml` each, and files beside one; several become one snapshot.
    preset
        Name of a mapping that comes with coachbook: for everything in `paths`, or, if there is nothing,
        for the sample data beside it.
    as_of
        The day at whose end the files were exported; empty: what the mapping says, else today.
    full
        The files hold every deal, and all that hangs on deals: what is missing is removed.
    dry_run
        Change nothing; the account has samples instead of a snapshot.
    on_progress
        Called with a file's name and the share of it that is read.

    Raises
    ------
    CoachbookError
        Nothing was changed: names the file, line, column or key, and what would be right.
    """
    settings = workspace.settings
    with ExitStack() as opened:
        plan = Plan()
        for intake in intakes(paths, preset, parse_day(as_of) if as_of else None, opened):
            plan.add(intake)
        with Snapshots(workspace.store).drafting() as draft:
            load = _Load(draft, plan, settings, full)
            load.judge(on_progress)
            load.merge()
            if dry_run:
                return load.tried()
            accounts, day = load.accounts, load.take()
            with quarantining(workspace.quarantine, day, load.unusable()) as quarantine:
                snapshot = draft.publish(as_of=day, settings=settings.reporting)
            remember(workspace.store, draft.connection, plan.readings)
    warnings = calendar_warnings(snapshot, snapshot.as_of, settings.calendar.working)
    cleanup, unread = _cleaned_up(workspace, snapshot)
    return Accounting(
        snapshot, accounts, quarantine, tuple(plan.unread), warnings=(*warnings, *unread), cleanup=cleanup
    )


def _cleaned_up(workspace: Workspace, snapshot: Snapshot) -> tuple[Outcomes | None, list[Sentence]]:
    """What became of decisions; where they cannot be read that is a warning: the data are in all the same."""
    try:
        return outcomes(kept(workspace.cleanup), snapshot), []
    except CoachbookError as error:
        return None, [Sentence(error.message, error.values)]


@dataclass
class _Load:
    """One import on its way: files, rows judged, batches."""

    draft: Draft
    plan: Plan
    settings: Settings
    full: bool
    batches: list[Batch] = field(default_factory=list)
    faults: dict[int, list[Fault]] = field(default_factory=dict)

    @property
    def today(self) -> date:
        """The day in the workspace's time zone."""
        return datetime.now(ZoneInfo(self.settings.time_zone)).date()

    def judge(self, on_progress: Progress | None) -> None:
        """Load every file and judge every row, rates before the amounts that need them."""
        money.tabulate(self.draft.connection)
        for file in self.plan.used:
            file.load(self.draft.connection, on_progress)
            self._whole(file)
        rates = [reading for reading in self.plan.readings if reading.table is FX_RATES]
        for reading in rates:
            self._judge(reading)
        good = [f"(FROM {r.judged} WHERE _fault IS NULL AND _drop IS NULL)" for r in rates]
        money.connect(self.draft.connection, [*good, f"current.{FX_RATES.name}"], self.settings.currency)
        for reading in self.plan.readings:
            if reading.table is not FX_RATES:
                self._judge(reading)

    def merge(self) -> None:
        """Bring together what shows the same table of the same source on the same day, in order of days."""
        groups: dict[tuple[date, int, str], list[Reading]] = {}
        order = list(TABLES)
        for reading in self.plan.readings:
            day = reading.intake.as_of or self.today
            groups.setdefault((day, order.index(reading.table.name), reading.intake.source), []).append(
                reading
            )
        for number, ((day, *_rest), readings) in enumerate(sorted(groups.items(), key=lambda item: item[0])):
            full = self.full or any(reading.intake.mapping.export == "full" for reading in readings)
            batch = Batch(number, self.draft, tuple(readings), day, full)
            batch.merge()
            self.batches.append(batch)

    def take(self) -> date:
        """Hand over the batches, and give the publish instant: the latest day of all imports.

        An import that names no day and brings nothing new is no export of its own.
        """
        current = self.draft.current
        days = [current.as_of] if current else []
        for batch in self.batches:
            stated = any(reading.intake.as_of for reading in batch.readings)
            if not current or stated or batch.changes:
                days.append(batch.as_of)
                if batch.shows:
                    batch.take()
        return max(days)

    def tried(self) -> Accounting:
        """What would become of the files; everything but publishing is done."""
        self.take()
        samples = tuple(sample for batch in self.batches if (sample := batch.sample()).rows)
        faults = tuple(islice(self.unusable(), _FAULTS))
        return Accounting(None, self.accounts, None, tuple(self.plan.unread), samples, faults)

    @property
    def accounts(self) -> tuple[FileAccount, ...]:
        """What became of the rows, reading by reading."""
        found = {number: account for batch in self.batches for number, account in batch.accounts.items()}
        return tuple(found[number] for number in sorted(found))

    def unusable(self) -> Iterator[Quarantined]:
        """The rows that cannot be used, file by file in order of lines."""
        for reading in self.plan.readings:
            yield from merge(self._misshapen(reading), self._faulty(reading), key=lambda row: row.line)

    def _judge(self, reading: Reading) -> None:
        for bound in reading.bound.values():
            if bound.lookup:
                self._look_up(bound.lookup.relation, bound.lookup.parts)
        mapping, zone = reading.intake.mapping, self.settings.time_zone
        judge = Judge(reading, self.settings.currency, Clock(mapping.time_zone, zone), tuple(mapping.nulls))
        query, self.faults[reading.number] = judge.query()
        try:
            self.draft.connection.execute(f"CREATE TEMP TABLE {reading.judged} AS {query}")
        except duckdb.Error as error:
            if isinstance(reading.file.reader, Parquet):  # damage in its pages shows only now
                raise unreadable(reading.file.reader.path, error) from None
            raise

    def _look_up(self, relation: str, parts: Iterable[tuple[RawFile, int, tuple[int, ...]]]) -> None:
        """Make the relation `key, value`; where a key comes twice, the later row stands."""
        rows = " UNION ALL ".join(
            f"SELECT {number} AS part, _line, {file.text(key)} AS key, "
            f"nullif(concat_ws(' ', {', '.join(file.text(value) for value in values)}), '') AS value FROM {file.table}"
            for number, (file, key, values) in enumerate(parts)
        )
        self.draft.connection.execute(
            f"CREATE TEMP TABLE {relation} AS SELECT key, value FROM ({rows}) WHERE key IS NOT NULL "
            "QUALIFY row_number() OVER (PARTITION BY key ORDER BY part DESC, _line DESC) = 1"
        )

    def _whole(self, file: RawFile) -> None:
        if file.loaded.misshapen and all(reading.file is not file for reading in self.plan.readings):
            line, fields = file.loaded.misshapen[0]
            raise Invalid(
                N_("In {file}, line {line} has {fields} fields where the first line has {expected}. A file for look-ups must be whole."),
                file=file.name, line=line, fields=fields, expected=len(file.header),
            )  # fmt: skip

    def _misshapen(self, reading: Reading) -> Iterator[Quarantined]:
        expected = len(reading.file.header)
        for line, fields in reading.misshapen:
            reason = _(REASON_FIELDS, fields=fields, expected=expected)
            yield Quarantined(reading.file.name, line, "", str(fields), reason)

    def _faulty(self, reading: Reading) -> Iterator[Quarantined]:
        rows = self.draft.connection.execute(
            f"SELECT _line, _fault, coalesce(_culprit, ''), coalesce(_code, ''), coalesce(_day::VARCHAR, '') "
            f"FROM {reading.judged} WHERE _fault IS NOT NULL AND _drop IS NULL ORDER BY _line"
        )
        while some := rows.fetchmany(_MANY):
            for line, number, culprit, code, day in some:
                fault = self.faults[reading.number][number - 1]
                reason = fault.reason.replace("{code}", code).replace("{day}", day)
                yield Quarantined(reading.file.name, line, fault.column, culprit, reason)
