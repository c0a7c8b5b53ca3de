"""From folders of files with their mappings to the next snapshot, with an account of every row."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.numbers import get_currency_precision
from duckdb import DuckDBPyConnection

from coachbook.catalogue import shipped
from coachbook.errors import Invalid, NotFound, Refused, nearest
from coachbook.model.periods import parse_day
from coachbook.model.tables import DEALS, TABLES, Table
from coachbook.settings import Settings, Workspace
from coachbook.sources import files
from coachbook.sources.accounting import SUPERSEDED, Accounting, FileAccount, Quarantined, quarantining
from coachbook.sources.judging import REASON_FIELDS, Fault, Terms, judged
from coachbook.sources.mapping import FILE, Mapping
from coachbook.sources.plan import Plan, Reading
from coachbook.text import N_, _, shown
from coachbook.warehouse import Draft, Snapshots


def presets() -> list[str]:
    """Names of the mappings that come with coachbook, each beside its sample data."""
    return sorted(path.parent.name for path in shipped("sample_data").glob(f"*/{FILE}"))


def import_paths(
    workspace: Workspace,
    paths: Sequence[Path],
    *,
    preset: str = "",
    as_of: str = "",
    full: bool = False,
    on_progress: files.Progress | None = None,
) -> Accounting:
    """Import folders of files into the workspace's next snapshot.

    Parameters
    ----------
    workspace
        Where to.
    paths
        Folders that hold a `mapping.toml` each; several become one snapshot.
    preset
        Name of a mapping that comes with coachbook: for the folders in `paths`, or, if there are none,
        for the sample data beside it.
    as_of
        The day at whose end the files were exported; empty: what the mapping says, else today.
    full
        The files hold every deal: those that are missing are removed.
    on_progress
        Called with a file's name and the share of it that is read.

    Raises
    ------
    CoachbookError
        Nothing was changed: names the file, line, column or key, and what would be right.
    """
    settings = workspace.settings
    mapped = [(folder, Mapping.read(file)) for folder, file in _mapped(paths, preset)]
    stated = parse_day(as_of) if as_of else max((m.as_of for _f, m in mapped if m.as_of), default=None)
    plan = Plan()
    for folder, mapping in mapped:
        plan.add(folder, mapping, f"{folder.name}/" if len(mapped) > 1 else "")
    full = full or any(mapping.export == "full" for _f, mapping in mapped)
    with Snapshots(workspace.store).drafting() as draft:
        quarantined = _read(draft.connection, plan, settings, on_progress)
        for table in TABLES.values():
            _merge(draft, table, [r for r in plan.readings if r.table is table], full=full)
        accounts = tuple(_account(draft.connection, reading) for reading in plan.readings)
        day = _publish_instant(draft, stated, settings)
        with quarantining(workspace.quarantine, day, quarantined) as quarantine:
            snapshot = draft.publish(as_of=day, settings=settings.reporting)
    return Accounting(snapshot, accounts, quarantine)


def _mapped(paths: Sequence[Path], preset: str) -> Iterator[tuple[Path, Path]]:
    """Each folder with the mapping that reads it."""
    if preset and preset not in presets():
        raise NotFound(
            N_("There is no preset {name}. There is: {known}."),
            name=f"“{preset}”", known=nearest(preset, presets()),
        )  # fmt: skip
    shared = shipped("sample_data") / preset / FILE if preset else None
    folders = [path.parent if path.name == FILE else path for path in paths]
    for folder in folders or ([shared.parent] if shared else []):
        if not os.path.isdir(folder):  # noqa: PTH112 - pathlib's raises on a name that is too long
            raise NotFound(
                N_("{folder} is not a folder. Name one with a {file} in it, or write {preset}."),
                folder=folder, file=FILE, preset="--preset regional_sales",
            )  # fmt: skip
        yield folder, shared or folder / FILE
    if not folders and not shared:
        raise NotFound(
            N_("Nothing to import was named. Name a folder with a {file} in it, or write {preset}."),
            file=FILE, preset="--preset regional_sales",
        )  # fmt: skip


def _publish_instant(draft: Draft, stated: date | None, settings: Settings) -> date:
    """The latest as-of of all imports; an import that says none and brings nothing new does not move it."""
    today = datetime.now(ZoneInfo(settings.time_zone)).date()
    if draft.current is None:
        return stated or today
    if stated is None and not draft.changed():
        return draft.current.as_of
    return max(draft.current.as_of, stated or today)


def _read(
    connection: DuckDBPyConnection, plan: Plan, settings: Settings, on_progress: files.Progress | None
) -> list[Quarantined]:
    """Load every file and judge every row; what comes back could not be used."""
    for file in plan.files.values():
        file.load(connection, on_progress)
        if file.loaded.misshapen and all(reading.file is not file for reading in plan.readings):
            line, fields = file.loaded.misshapen[0]
            raise Invalid(
                N_("In {file}, line {line} has {fields} fields where the first line has {expected}. A file for look-ups must be whole."),
                file=file.name, line=line, fields=fields, expected=len(file.header),
            )  # fmt: skip
    quarantined: list[Quarantined] = []
    for reading in plan.readings:
        faults = _judge(connection, reading, settings)
        quarantined += sorted(_unusable(connection, reading, faults), key=lambda row: row.line)
    return quarantined


def _judge(connection: DuckDBPyConnection, reading: Reading, settings: Settings) -> list[Fault]:
    relation = reading.file.table
    for origin in reading.source.columns.values():
        if origin.lookup:
            lookup, name, other = reading.lookups[id(origin)]
            key, value = other.sql(lookup.key), other.sql(lookup.value)
            connection.execute(
                f"CREATE TEMP TABLE {name} AS SELECT {key} AS key, {value} AS value FROM {other.table} "
                f"WHERE {key} IS NOT NULL QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY _line DESC) = 1"
            )
            relation += f" LEFT JOIN {name} ON {name}.key = {reading.file.sql(origin.column or '')}"
    terms = Terms(
        reading.file.sql, reading.found, settings.currency, get_currency_precision(settings.currency)
    )
    query, faults = judged(reading.table, reading.source, terms, relation)
    connection.execute(f"CREATE TEMP TABLE {reading.judged} AS {query}")
    return faults


def _unusable(connection: DuckDBPyConnection, reading: Reading, faults: list[Fault]) -> Iterator[Quarantined]:
    name, expected = reading.file.name, len(reading.file.header)
    for line, fields in reading.file.loaded.misshapen:
        yield Quarantined(name, line, "", str(fields), _(REASON_FIELDS, fields=fields, expected=expected))
    rows = connection.execute(
        f"SELECT _line, _fault, coalesce(_culprit, '') FROM {reading.judged} WHERE _fault IS NOT NULL AND _drop IS NULL"
    ).fetchall()
    for line, number, culprit in rows:
        fault = faults[number - 1]
        yield Quarantined(name, line, fault.column, culprit, fault.reason.replace("{value}", shown(culprit)))


def _merge(draft: Draft, table: Table, readings: list[Reading], *, full: bool) -> None:
    """Supersede the table's rows by the good ones read; where a key comes twice, the later row stands."""
    if not readings:
        return
    every = " UNION ALL ".join(f"SELECT {r.number} AS _source, * FROM {r.judged}" for r in readings)
    draft.connection.execute(
        f"CREATE TEMP TABLE new_{table.name} AS FROM ({every}) WHERE _fault IS NULL AND _drop IS NULL "
        f"QUALIFY row_number() OVER (PARTITION BY {table.key} ORDER BY _source DESC, _line DESC) = 1"
    )
    keep = ""
    if full and table is DEALS and not _unknown_keys(draft.connection, readings, every):
        keep = f"kept_{table.name}"
        draft.connection.execute(
            f"CREATE TEMP TABLE {keep} AS SELECT {table.key} FROM ({every}) WHERE _drop IS NULL"
        )
    draft.supersede(table.name, f"new_{table.name}", keep=keep)


def _unknown_keys(connection: DuckDBPyConnection, readings: list[Reading], every: str) -> bool:
    """Whether a row in quarantine may be any deal: then none can be said to be missing.

    Raises
    ------
    Refused
        A full export without a single row would remove everything.
    """
    if not any(reading.file.loaded.rows for reading in readings):
        raise Refused(
            N_("{file} has no rows, and a full export would remove every deal. Export it again, or import it as partial."),
            file=readings[0].file.name,
        )  # fmt: skip
    key = readings[0].table.key
    nameless = connection.execute(
        f"SELECT count(*) FROM ({every}) WHERE {key} IS NULL AND _drop IS NULL"
    ).fetchall()[0][0]
    return bool(nameless) or any(reading.file.loaded.misshapen for reading in readings)


def _account(connection: DuckDBPyConnection, reading: Reading) -> FileAccount:
    misshapen = len(reading.file.loaded.misshapen)
    table, columns = reading.table, ", ".join(f'"{name}"' for name in reading.table.names)
    mine = f"FROM new_{table.name} WHERE _source = {reading.number}"
    loaded, unchanged, faulty, good = (
        connection.execute(f"SELECT count(*) {what}").fetchall()[0][0]
        for what in (
            mine,
            f"FROM (SELECT {columns} {mine} INTERSECT SELECT {columns} FROM current.{table.name})",
            f"FROM {reading.judged} WHERE _fault IS NOT NULL AND _drop IS NULL",
            f"FROM {reading.judged} WHERE _fault IS NULL AND _drop IS NULL",
        )
    )
    dropped = dict(
        connection.execute(
            f"SELECT _drop, count(*) FROM {reading.judged} WHERE _drop IS NOT NULL GROUP BY _drop ORDER BY _drop"
        ).fetchall()
    )
    if good > loaded:
        dropped[SUPERSEDED] = dropped.get(SUPERSEDED, 0) + good - loaded
    return FileAccount(
        reading.file.name,
        table.name,
        reading.file.loaded.rows,
        loaded,
        faulty + misshapen,
        unchanged,
        dropped,
    )
