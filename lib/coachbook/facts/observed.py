"""What the metrics see of everybody: rows dated into spans, by whose page they count on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from duckdb import DuckDBPyConnection

from coachbook.facts.plan import Plan
from coachbook.facts.roster import members
from coachbook.metrics.registry import sql
from coachbook.model.people import People
from coachbook.stats.sides import Flags, Ints, Observations, Pooled

Kind = Literal["rep", "team"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Who has pages."""
_PERSON = "CASE WHEN rep_id IS NULL THEN -1 ELSE (hash(rep_id) >> 1)::BIGINT END"
_POOLED = ("y_in_team", "y_in_all", "y_leaves_team", "y_leaves_all")


@dataclass(frozen=True)
class Sums:
    """Of one span: sums of the metric's `x` and `y`, how many deals and people stand behind them."""

    x: float = 0.0
    y: float = 0.0
    deals: int = 0
    people: int = 0


@dataclass(frozen=True)
class Whole:
    """One span of everybody, of peers alone, and how many people who are no peers there are in it."""

    everybody: Sums = Sums()
    peers: Sums = Sums()
    outsiders: int = 0


@dataclass(frozen=True)
class Tallied:
    """One metric over all spans: sums `x, y, n` by `span, entity, person, peer`; sums of all by span."""

    people: pd.DataFrame
    whole: dict[str, Whole]


def entities(people: People, plan: Plan, kind: Kind) -> pd.DataFrame:
    """Who gets a page: `id, name, team_id`, and `team`, the code of the group around (-1: none)."""
    found = sorted(members(people, plan.compared["now"]), key=lambda m: m.rep_id)
    reps = pd.DataFrame(
        [asdict(m) for m in found], columns=["rep_id", "name", "team_id", "team"], dtype="str"
    )
    reps["team_id"] = reps["team_id"].replace("", pd.NA)
    if kind == "rep":
        codes = pd.Series(pd.factorize(reps["team_id"])[0], index=reps.index)
        return pd.DataFrame(
            {"id": reps["rep_id"], "name": reps["name"], "team_id": reps["team_id"], "team": codes}
        )
    teams = reps.dropna(subset=["team_id"]).drop_duplicates("team_id").reset_index(drop=True)
    return pd.DataFrame(
        {"id": teams["team_id"], "name": teams["team"], "team_id": teams["team_id"], "team": -1}
    )


def date_deals(connection: DuckDBPyConnection, plan: Plan, who: pd.DataFrame, kind: Kind) -> Flags:
    """Make `decided`, `credited` and `open_deals`, which the metrics' queries read; which entities have any deal.

    `entity` is the code of whose page a deal counts on (-1: nobody's), `peer` whether its owner is a rep on the
    roster in that span.
    """
    run = connection.execute
    run("CREATE OR REPLACE TEMP TABLE spans (span VARCHAR, first_day DATE, after_day DATE)")
    connection.executemany("INSERT INTO spans VALUES (?, ?, ?)", plan.spans)
    codes = pd.DataFrame({"id": who["id"], "code": np.arange(len(who))})
    connection.register("codes", codes)
    run("CREATE OR REPLACE TEMP TABLE entities AS SELECT id::VARCHAR AS id, code::INTEGER AS code FROM codes")
    connection.unregister("codes")
    run(
        """
        CREATE OR REPLACE TEMP TABLE on_roster AS
        SELECT DISTINCT s.span, r.rep_id FROM spans AS s
        JOIN known_roster AS r ON r.from_on < s.after_day AND coalesce(r.until_on > s.first_day, true)
        WHERE r.role = 'rep'
        """
    )
    closing = "spans AS s ON k.close_on >= s.first_day AND k.close_on < s.after_day"
    state = "account_id, status, created_on, close_on, amount_minor"
    for table, source, columns, spans, statuses in (
        ("decided", "known", state, closing, "'won', 'lost'"),
        ("open_deals", "known", state, "spans AS s ON s.span = 'now'", "'open'"),
        ("credited", "known_credits", "credited_minor", closing, "'won'"),
    ):
        run(
            f"""
            CREATE OR REPLACE TEMP TABLE {table} AS
            SELECT s.span, coalesce(e.code, -1) AS entity, r.rep_id IS NOT NULL AS peer, deal_id, k.rep_id, team_id,
                {columns}
            FROM {source} AS k JOIN {spans} LEFT JOIN entities AS e ON e.id = k.{kind}_id
            LEFT JOIN on_roster AS r ON r.rep_id = k.rep_id AND r.span = s.span
            WHERE status IN ({statuses})
            """
        )
    having = run(
        f"SELECT DISTINCT e.code FROM known AS k JOIN entities AS e ON e.id = k.{kind}_id"
    ).fetchnumpy()
    return np.isin(np.arange(len(who)), having["code"])


def observe(
    connection: DuckDBPyConnection, plan: Plan, who: pd.DataFrame, metric_id: str
) -> dict[str, Observations]:
    """Rows of a metric in each compared span, in an order that does not depend on the file's."""
    # Who and what things are is told apart by hashes.
    query = f"""
        SELECT * EXCLUDE (span, rep_id, deal_id), {_PERSON} AS person, (hash(deal_id) >> 1)::BIGINT AS deal
        FROM ({sql(metric_id)}) WHERE span = $span ORDER BY rep_id, deal_id
        """
    return {
        span: _observations(connection.execute(query, {"span": span}).fetchnumpy(), who)
        for span in plan.compared
    }


def tally(connection: DuckDBPyConnection, metric_id: str) -> Tallied:
    """Sums of a metric in all spans."""
    people = connection.execute(
        f"""
        SELECT span, entity, {_PERSON} AS person, peer, sum(x)::DOUBLE AS x, sum(y)::DOUBLE AS y, count(*) AS n
        FROM ({sql(metric_id)}) GROUP BY ALL ORDER BY ALL
        """
    ).df()
    sums = "coalesce(sum(x) {0}, 0)::DOUBLE, coalesce(sum(y) {0}, 0)::DOUBLE, count(DISTINCT deal_id) {0}, count(DISTINCT rep_id) {0}"
    rows = connection.execute(
        f"""
        SELECT span, count(DISTINCT rep_id) FILTER (NOT peer), {sums.format("")}, {sums.format("FILTER (peer)")}
        FROM ({sql(metric_id)}) GROUP BY span
        """
    ).fetchall()
    return Tallied(
        people, {span: Whole(Sums(*sums[:4]), Sums(*sums[4:]), outsiders) for span, outsiders, *sums in rows}
    )


def _observations(columns: dict[str, Any], who: pd.DataFrame) -> Observations:
    y = columns["y"].astype(float)
    pools = [np.ma.filled(columns[c], 0.0) if c in columns else y for c in _POOLED]
    return Observations(
        entity=columns["entity"].astype(np.int64),
        team=who["team"].to_numpy(np.int64),
        person=_codes(columns["person"]),
        peer=columns["peer"].astype(bool),
        unit=_codes(columns["unit" if "unit" in columns else "deal"]),
        x=columns["x"].astype(float),
        y=y,
        pooled=Pooled(*pools),
    )


def _codes(things: Any) -> Ints:
    """By first appearance."""
    codes: Ints = pd.factorize(things)[0].astype(np.int64)
    return codes
