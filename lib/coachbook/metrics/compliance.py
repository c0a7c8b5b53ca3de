"""Were a stage's criteria met when deals entered it, and when they moved on?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any

import pandas as pd
from babel.numbers import get_currency_precision, list_currencies
from duckdb import DuckDBPyConnection

from coachbook.model.periods import Span
from coachbook.model.stages import Criterion, Stages

TABLES = ("activities", "deal_events")
"""What `Snapshot.known` has to give views of, for `compliance`."""
_HISTORY = {"amount": "amount_minor", "close_on": "close_on", "rep_id": "owner_id"}
"""Fields that have a history, as `known_history` calls them."""
_LISTED = {"amount": "amount_minor"}


def compliance(
    connection: DuckDBPyConnection, stages: Stages, spans: Mapping[str, Span], as_of: date
) -> pd.DataFrame:
    """How many visits met each criterion at the instant of entering a stage, or of moving on from it.

    Moving on is reaching a later stage or winning; who loses a deal or takes it back need not meet exit criteria.
    Nothing is guessed: a field without a recorded history is known while the deal list is seen to stand, activities
    are known from the first of their kinds that belongs to a deal up to their last import.

    Parameters
    ----------
    connection
        As of `Snapshot.known(as_of, TABLES)`.
    spans
        By name; a visit counts in those in which it began (entry) or ended (exit).

    Returns
    -------
    DataFrame
        `span`; `stage`, an id, or where `place` is missing a text that deals carry and no stage is called;
        `place`, from 0; `moment`, `entry` or `exit`; `criterion`, its place among those of the moment, from 0, or
        missing for all of them together; `rep_id`, who entered, or owned the deal before it moved on; `visits`;
        `known`, for how many of them the data tell; `met`, for how many of those it was met. Missing `met`: the data
        that it takes were not captured, or the stage has no criteria.
    """
    asked = [
        (stage.id, moment, place, criterion)
        for stage in stages.root
        for moment, criteria in (("entry", stage.entry), ("exit", stage.exit))
        for place, criterion in enumerate(criteria)
    ]
    tests = [_Test(nr, *each) for nr, each in enumerate(asked)]
    query = (files("coachbook.metrics") / "compliance.sql").read_text(encoding="utf-8")
    of_activities = [test for test in tests if test.criterion.activity]
    found = connection.execute(
        query.format(
            counts="".join(f", {test.count} AS {test.name}" for test in of_activities),
            starts="".join(f", {test.start} AS {test.name}" for test in of_activities),
            tests="".join(f", {test.answer} AS {test.name}" for test in tests),
            rows=" UNION ALL ".join([_together(tests), *(test.row for test in tests)]),
        ),
        _parameters(stages, spans, as_of) | {k: v for test in tests for k, v in test.parameters.items()},
    )
    whole = {"place": "Int64", "criterion": "Int64", "met": "Int64"}
    return found.df().astype(whole)


@dataclass(frozen=True)
class _Test:
    """One criterion as SQL; its name is that of its columns and parameters."""

    nr: int
    stage: str
    moment: str
    place: int
    criterion: Criterion

    @property
    def name(self) -> str:
        return f"c{self.nr}"

    @property
    def parameters(self) -> dict[str, Any]:
        asked = self.criterion
        values: dict[str, Any] = {f"{self.name}_stage": self.stage}
        if asked.activity:
            values |= {f"{self.name}_kinds": list(asked.activity)}
        if asked.activity or asked.at_least:
            values |= {f"{self.name}_least": asked.at_least or 1}
        if asked.one_of:
            values |= {f"{self.name}_texts": list(asked.one_of)}
        return values

    @property
    def _kinds(self) -> str:
        return f"list_contains(${self.name}_kinds::VARCHAR[], a.kind)"

    @property
    def count(self) -> str:
        """How many activities there were by then."""
        days = self.criterion.within_days
        lately = f" AND a.occurred_at > m.at_instant - to_days({days})" if days else ""
        return f"count(*) FILTER ({self._kinds}{lately})"

    @property
    def start(self) -> str:
        """Since when such activities are known."""
        return f"min(a.occurred_at) FILTER ({self._kinds})"

    @property
    def answer(self) -> str:
        """Whether it was met; NULL: not known."""
        field = self.criterion.field
        if not field:
            known = f"m.at_instant >= captured.{self.name} AND m.on_day <= captured.last_on"
            return f"CASE WHEN {known} THEN coalesce(counted.{self.name}, 0) >= ${self.name}_least END"
        listed = f"WHEN d.nr IS NOT NULL THEN {self._holds('d', _LISTED.get(field, field))}"
        told = f"WHEN told.{field} THEN {self._holds('h', _HISTORY[field])}" if field in _HISTORY else ""
        return f"CASE {told} {listed} END"

    def _holds(self, row: str, column: str) -> str:
        value = f"{row}.{column}"
        if self.criterion.one_of:
            return f"coalesce(list_contains(${self.name}_texts::VARCHAR[], {value}), false)"
        if self.criterion.at_least:
            units = _units(f"{row}.currency") if column == "amount_minor" else "1"
            return f"coalesce({value} >= ${self.name}_least * {units}, false)"
        return f"{value} IS NOT NULL"

    @property
    def here(self) -> str:
        """Whether a row speaks of its stage and moment."""
        return f"stage = ${self.name}_stage AND moment = '{self.moment}'"

    @property
    def row(self) -> str:
        """Its answers."""
        return f"SELECT span, stage, place, moment, {self.place} AS criterion, rep_id, {self.name} AS met FROM tested WHERE {self.here}"


def _together(tests: list[_Test]) -> str:
    """All criteria of a stage and moment: met if each is, not met if one is not, else not known."""
    groups: dict[tuple[str, str], list[_Test]] = {}
    for test in tests:
        groups.setdefault((test.stage, test.moment), []).append(test)
    cases = " ".join(
        f"WHEN {group[0].here} THEN {' AND '.join(test.name for test in group)}" for group in groups.values()
    )
    met = f"CASE {cases} END" if cases else "NULL::BOOLEAN"
    return f"SELECT span, stage, place, moment, NULL::INTEGER AS criterion, rep_id, {met} AS met FROM tested"


def _units(currency: str) -> str:
    """Minor units in one unit of a currency."""
    odd = {code: get_currency_precision(code) for code in sorted(list_currencies())}
    cases = " ".join(
        f"WHEN '{code}' THEN {10**precision}" for code, precision in odd.items() if precision != 2
    )
    return f"CASE {currency} {cases} ELSE 100 END"


def _parameters(stages: Stages, spans: Mapping[str, Span], as_of: date) -> dict[str, Any]:
    spelled = stages.spellings
    return {
        "texts": list(spelled), "ids": list(spelled.values()), "places": [stages.place(text) for text in spelled],
        "spans": list(spans), "first": [span.first for span in spans.values()],
        "after": [span.after for span in spans.values()], "as_of": as_of,
    }  # fmt: skip
