"""Where deals have been, and who had them: what every figure about stages is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from importlib.resources import files

import pandas as pd
from duckdb import DuckDBPyConnection

from coachbook.model.periods import Span


@dataclass(frozen=True)
class Visits:
    """What was laid out in a connection's temporary tables `visits`, `stays` and `reached` (see visits.sql).

    Attributes
    ----------
    stages
        Ids of the stages in their order: a stage's code is its place in it.
    others
        Ids of stages that deals were in though they are not in the order; their codes go on from there.
    unused
        Stages of the order in which no deal ever was: nobody can skip them.
    as_of
        The day whose knowledge it is.
    since
        First day from which the history of stages is whole; None: there is no history.
    entities
        `kind` (rep, team, all) and `id` by code; the id '' is nobody's, and no team's.
    """

    stages: tuple[str, ...]
    others: tuple[str, ...]
    unused: frozenset[str]
    as_of: date
    since: date | None
    entities: pd.DataFrame

    def seen(self, span: Span) -> Span | None:
        """The days of a span that the history covers; None: not one."""
        first = max(span.first, self.since or date.max)
        after = min(span.after, self.as_of + timedelta(days=1))
        return Span(first, after) if first < after else None

    @cached_property
    def codes(self) -> dict[tuple[str, str], int]:
        """Code of an entity by kind and id."""
        return dict(
            zip(
                zip(self.entities["kind"], self.entities["id"], strict=True),
                range(len(self.entities)),
                strict=True,
            )
        )


def outside(connection: DuckDBPyConnection, span: Span) -> float:
    """Of the visits on days of a span the share, in [0, 1], that are to stages outside the order; after `lay_out`."""
    (share,) = connection.execute(
        "SELECT avg((position IS NULL)::INTEGER) FROM visits WHERE entered_on < ? AND coalesce(left_on >= ?, true)",
        [span.after, span.first],
    ).fetchall()[0]
    return share or 0.0


def lay_out(
    connection: DuckDBPyConnection, stages: Sequence[str], as_of: date, *, since: date | None = None,
    spellings: Mapping[str, str] | None = None,
) -> Visits:  # fmt: skip
    """Lay out all visits to stages, as known in a connection of `Snapshot.known(as_of)`.

    Parameters
    ----------
    stages
        Ids in the order in which a deal goes through them; one that comes twice counts at its first place. Winning
        comes after the last. A closing stage may stand in it: a deal that is won in it was never open there.
    since
        First day from which stages and decisions are recorded whole. By default the later of two: the first
        day on which a deal is known to have left a stage, and the first on which a deal that is decided now was.
    spellings
        The id behind every other text that deals carry for a stage (`Stages.spellings`).
    """
    ordered = list(dict.fromkeys(stages))
    spelled = spellings or {}
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE stage_spellings AS SELECT unnest($texts::VARCHAR[]) AS text, unnest($ids::VARCHAR[]) AS id",
        {"texts": list(spelled), "ids": list(spelled.values())},
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE stage_order AS
        SELECT unnest($stages::VARCHAR[]) AS stage, unnest(range($count))::INTEGER AS position
        """,
        {"stages": ordered, "count": len(ordered)},
    )
    text = (files("coachbook.metrics") / "visits.sql").read_text(encoding="utf-8")
    begun = "NULL::DATE" if since is None else f"DATE '{since}'"
    won = len(ordered)
    firsts = ", ".join(f"min(day) FILTER (position >= {position})" for position in range(won + 1))
    connection.execute(text.format(as_of=f"DATE '{as_of}'", since=begun, won=won, firsts=firsts))
    places = connection.execute(
        "SELECT stage, position IS NULL, is_used FROM places ORDER BY code"
    ).fetchall()
    found = connection.execute("FROM beginning").fetchone()
    return Visits(
        stages=tuple(ordered),
        others=tuple(stage for stage, is_other, _used in places if is_other),
        unused=frozenset(stage for stage, _other, is_used in places if not is_used),
        as_of=as_of,
        since=found[0] if found else None,
        entities=connection.execute("SELECT kind, id FROM entities ORDER BY code").df(),
    )
