"""What was known at a day, resolved once: histories, states, visits, roster and rates."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files

from babel.numbers import get_currency_precision
from duckdb import DuckDBPyConnection

from coachbook.errors import Refused
from coachbook.model.calendar import Override, WorkingCalendar, days
from coachbook.model.people import People
from coachbook.model.periods import FiscalYear
from coachbook.model.tables import ACCOUNTS, FX_RATES, PRODUCTS, SPLITS, Table
from coachbook.text import N_
from coachbook.warehouse.credits import credits_sql
from coachbook.warehouse.database import CONVERTED
from coachbook.warehouse.rosters import people_as_known, write_roster
from coachbook.warehouse.versions import in_force

RESOLVED = ("days", "rates", "roster", "seats", "deal_history", "stage_visits", "deal_state", "credits")
"""Tables that are made from the canonical ones."""


@dataclass(frozen=True)
class Terms:
    """What resolving depends on, out of the settings in force at the as-of day."""

    as_of: date
    zone: str
    currency: str
    working: WorkingCalendar
    fiscal: FiscalYear | None

    @classmethod
    def of(cls, as_of: date, settings: str) -> Terms:
        """Out of the JSON that a publish keeps; an older one may know no calendar."""
        plain = json.loads(settings)
        calendar = {
            "country": "",
            "subdivision": "",
            "fiscal_year_starts": "",
            "overrides": [],
            **plain.get("calendar", {}),
        }
        own = tuple(Override(date.fromisoformat(o["day"]), o["working"]) for o in calendar["overrides"])
        fiscal = (
            FiscalYear(
                calendar["fiscal_year_starts"],
                calendar["fiscal"],
                calendar["fiscal_week_starts"],
                calendar["fiscal_rule"],
            )
            if calendar["fiscal_year_starts"]
            else None
        )
        working = WorkingCalendar(calendar["country"], calendar["subdivision"], own)
        return cls(as_of, plain["time_zone"], plain["currency"], working, fiscal)


def resolve(connection: DuckDBPyConnection, terms: Terms, *, raw: str, out: str) -> None:
    """Write the tables of `RESOLVED` into the catalogue `out`, from the canonical tables of `raw`.

    Raises
    ------
    Refused
        An amount has no rate into the reporting currency on its day: names both.
    """
    day = f"DATE '{terms.as_of}'"
    zone = f"'{terms.zone}'"
    local = terms.zone != "UTC"
    _days(connection, terms, raw, out)
    _rates(connection, terms, raw, out)
    people = people_as_known(connection, terms.as_of, raw=raw)
    write_roster(connection, people, f"{out}.roster")
    _seats(connection, people, terms.as_of, out)
    connection.execute(CONVERTED)
    text = (files("coachbook.warehouse") / "history.sql").read_text(encoding="utf-8")
    connection.execute(
        text.format(
            raw=raw, out=out, zone=zone, known_on=day, as_of=day, currency=f"'{terms.currency}'",
            begins=f"(day::TIMESTAMP AT TIME ZONE {zone}) AT TIME ZONE 'UTC'" if local else "day::TIMESTAMP",
            local_day=f"((instant AT TIME ZONE 'UTC') AT TIME ZONE {zone})::DATE" if local else "instant::DATE",
            accounts=_known(ACCOUNTS, raw, day), products=_known(PRODUCTS, raw, day),
            credited=credits_sql(f"{out}.deal_state", f"({_known(SPLITS, raw, day)})"),
        )
    )  # fmt: skip
    connection.execute("DROP VIEW settled")
    for name in (
        "shown",
        "gone",
        "based",
        "again",
        "observed",
        "origins",
        "listed",
        "filled",
        "changed",
        "decided_by",
    ):
        connection.execute(f"DROP TABLE IF EXISTS {name}")
    _all_rated(connection, terms, out)


def _seats(connection: DuckDBPyConnection, people: People, as_of: date, out: str) -> None:
    """A number per person by which rows are ordered: neighbours in it are a manager's people, then a team's."""
    roster, teams = people.at(as_of), {t.rep_id: t.team_id or "" for t in people.tenures}
    ordered = sorted(teams, key=lambda rep_id: (*reversed(roster.above(rep_id)), teams[rep_id], rep_id))
    connection.execute(
        f"CREATE TABLE {out}.seats AS SELECT unnest($people::VARCHAR[]) AS rep_id, unnest(range(1, $after))::INTEGER AS seat",
        {"people": ordered, "after": len(ordered) + 1},
    )


def _days(connection: DuckDBPyConnection, terms: Terms, raw: str, out: str) -> None:
    """The calendar of all days that may occur."""
    found = connection.execute(f"SELECT min(created_on) FROM {raw}.deals").fetchall()
    first = (found[0][0] or terms.as_of) - timedelta(days=366)
    columns = days(first, terms.as_of + timedelta(days=731), working=terms.working, fiscal=terms.fiscal)
    kinds = {"day": "DATE", "is_working": "BOOLEAN", "number": "BIGINT"}
    values = ", ".join(f"unnest(${name}::{kinds.get(name, 'VARCHAR')}[]) AS {name}" for name in columns)
    connection.execute(
        f"CREATE TABLE {out}.days AS SELECT {values}",
        {name: list(values) for name, values in columns.items()},
    )


def _rates(connection: DuckDBPyConnection, terms: Terms, raw: str, out: str) -> None:
    """Per currency and stretch of days, the fraction `num / den` that turns its minor units into reporting ones."""
    known = _known(FX_RATES, raw, f"DATE '{terms.as_of}'")
    rows = connection.execute(
        f'SELECT currency, "into", from_on, (rate * 10000000000)::HUGEINT FROM ({known}) WHERE rate > 0'
    ).fetchall()
    quoted: dict[tuple[str, str], dict[date, int]] = {}
    for currency, into, from_on, rate in rows:
        quoted.setdefault((currency, into), {})[from_on] = rate
    connection.execute(f"CREATE TABLE {out}.rates (currency VARCHAR, from_on DATE, num HUGEINT, den HUGEINT)")
    made = [(terms.currency, date(1, 1, 1), 1, 1)]
    for currency in sorted({c for pair in quoted for c in pair} - {terms.currency}):
        made += [
            (currency, day, num * _units(terms.currency), den * _units(currency))
            for day, num, den in _path(quoted, currency, terms.currency)
        ]
    connection.executemany(f"INSERT INTO {out}.rates VALUES (?, ?, ?, ?)", made)


def _known(table: Table, raw: str, day: str) -> str:
    return in_force(table, f"{raw}.{table.name}", day, exports=f"{raw}.exports")


def _path(
    quoted: dict[tuple[str, str], dict[date, int]], currency: str, reporting: str
) -> list[tuple[date, int, int]]:
    """Quoted directly, the other way round, or both into one third currency."""
    one = 10**10
    if direct := quoted.get((currency, reporting)):
        return [(day, rate, one) for day, rate in sorted(direct.items())]
    if inverse := quoted.get((reporting, currency)):
        return [(day, one, rate) for day, rate in sorted(inverse.items())]
    for third in sorted({into for _from, into in quoted}):
        ours, theirs = quoted.get((currency, third)), quoted.get((reporting, third))
        if ours and theirs:
            start = max(min(ours), min(theirs))
            return [
                (day, _on(ours, day), _on(theirs, day)) for day in sorted({*ours, *theirs}) if day >= start
            ]
    return []


def _on(rates: dict[date, int], day: date) -> int:
    return rates[max(d for d in rates if d <= day)]


def _units(currency: str) -> int:
    return int(10 ** get_currency_precision(currency))


def _all_rated(connection: DuckDBPyConnection, terms: Terms, out: str) -> None:
    found = connection.execute(
        f"""
        SELECT own_currency, min(counts_on), count(*) FROM {out}.deal_state
        WHERE own_minor IS NOT NULL AND amount_minor IS NULL GROUP BY own_currency ORDER BY own_currency
        """
    ).fetchall()
    for currency, day, count in found:
        raise Refused(
            N_('There is no rate from {there} to {asked} on {day}, and {count} deals need one. Import it into fx_rates, or write currency = "{there}" in coachbook.toml.'),
            there=currency, asked=terms.currency, day=day.isoformat(), count=count,
        )  # fmt: skip
