"""What the deals in each stage are worth at the end of a day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files

from duckdb import DuckDBPyConnection

from coachbook.metrics.funnel import Kind
from coachbook.metrics.visits import Visits
from coachbook.warehouse.database import CONVERTED


@dataclass(frozen=True)
class StageValues:
    """Open amounts in minor units of the reporting currency; `minor` by codes of entity and stage."""

    visits: Visits
    minor: Mapping[tuple[int, int], int]

    def of(self, kind: Kind, name: str = "") -> tuple[int, ...]:
        """Of one entity by stage, in the order of `visits.stages` and `visits.others`; 0 where there is no deal."""
        entity = self.visits.codes.get((kind, name), -1)
        stages = len(self.visits.stages) + len(self.visits.others)
        return tuple(self.minor.get((entity, code), 0) for code in range(stages))


def stage_values(connection: DuckDBPyConnection, visits: Visits, day: date, *, rated_on: date) -> StageValues:
    """At the end of a day, out of what `visits.lay_out` laid out in the connection.

    At the rates of the first day of a period, the stages of a scope add up to the End of its bridge of all open deals,
    less deals in no stage.
    """
    connection.execute(CONVERTED)
    sql = (files("coachbook.metrics") / "stage_value.sql").read_text(encoding="utf-8")
    rows = connection.execute(sql, {"day": day, "rated_on": rated_on}).fetchall()
    return StageValues(visits, {(entity, code): minor for entity, code, minor in rows})
