"""Build the facts of one period and as-of for everybody at once."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from duckdb import DuckDBPyConnection

from coachbook.facts.roster import members
from coachbook.metrics import judging
from coachbook.metrics.judging import Pages, Worth, add_metric
from coachbook.metrics.metric import AT_AS_OF, Metric
from coachbook.metrics.registry import MAIN, METRICS, sql
from coachbook.model.findings import K_ANONYMOUS, LEVEL, With
from coachbook.model.people import People
from coachbook.model.periods import Period, Span
from coachbook.settings import Settings
from coachbook.stats.intervals import Floats, wilson
from coachbook.stats.sides import Flags, Observations, Pooled, Sides
from coachbook.warehouse import Snapshot
from coachbook.warehouse.database import attach

FORMAT = "3"
"""Version of what a facts file and a slice hold; a file of another is never read."""
TREND = {"month": 12, "quarter": 8, "week": 13, "year": 3}
"""How many earlier periods a trend shows."""
TREND_METRICS = ("won_amount", "win_rate_count")
STRIP_METRIC = "win_rate_count"
EARLIER: tuple[With, ...] = ("previous", "year_ago")
BANDS = 3


def build(snapshot: Snapshot, settings: Settings, period: Period, as_of: date, target: Path) -> None:
    """Write the facts file: `scopes`, `pages` (a document per rep and team), `everyone`, `peers`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    people = snapshot.people(as_of)
    with snapshot.known(as_of) as connection:
        plan = _Plan.make(connection, period, as_of)
        reps = _gather(connection, people, plan, settings, by="rep_id")
        teams = _gather(connection, people, plan, settings, by="team_id")
        aside = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
        try:
            _write(connection, aside, reps, teams)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Plan:
    """The spans that are looked at, and the earlier ones that the data do not reach."""

    compared: dict[str, Span]
    missing: dict[With, str]
    trend: list[Period]
    partial: bool

    @classmethod
    def make(cls, connection: DuckDBPyConnection, period: Period, as_of: date) -> _Plan:
        """A period still running is compared with as many days of the earlier ones."""
        first = connection.execute("SELECT min(created_on) FROM known").fetchone()
        start = first[0] if first and first[0] else as_of
        now = period.until(as_of)
        partial = now != period.span
        compared = {"now": now}
        missing: dict[With, str] = {}
        earlier: dict[With, Period] = {"previous": period.previous, "year_ago": period.year_ago}
        for against, then in earlier.items():
            if then.span.after <= start:
                missing[against] = judging.BEFORE_DATA
            else:
                cut = then.span.first + timedelta(days=now.length_days)
                compared[against] = Span(
                    then.span.first, min(cut, then.span.after) if partial else then.span.after
                )
        trend = [p for p in period.back(TREND[period.kind]) if p.span.after > start]
        return cls(compared, missing, trend, partial)


@dataclass(frozen=True)
class _Gathered:
    """Everything about one kind of scope: who, and a document for each."""

    kind: str
    ids: list[str]
    names: list[str]
    teams: list[str | None]
    bodies: list[dict[str, Any]]
    strip: pd.DataFrame
    everyone: dict[bool, dict[str, Any]]


def _gather(
    connection: DuckDBPyConnection, people: People, plan: _Plan, settings: Settings, *, by: str
) -> _Gathered:
    """Findings, trend and bands of all reps (`by` rep_id) or of all teams (`by` team_id)."""
    who = _entities(people, plan, by)
    _date(connection, plan, by)
    frames = {m.id: _observed(connection, m.id) for m in METRICS}
    has_deals = _with_deals(connection, who, by)
    pages = Pages([[] for _ in who.index], [[] for _ in who.index])
    worth = Worth(settings.worth_acting.share, settings.worth_acting.relative)
    strip = pd.DataFrame()
    for metric in METRICS:
        spans, missing = _sides(metric, frames[metric.id], who, plan)
        unit = settings.currency if metric.unit == "money" else metric.unit
        add_metric(pages, metric, unit, spans, worth, reasons=missing, compared=has_deals)
        if metric.id == STRIP_METRIC:
            strip = _strip(who, spans["now"])
    trends = {m: _trend(MAIN[m], frames[m], who, plan) for m in TREND_METRICS}
    bands = [_bands(strip, own) for own in who["id"]]
    bodies = [
        {
            "findings": [f.to_dict() for f in pages.findings[e]],
            "named": [asdict(n) for n in pages.named(e)],
            "looked_at": sum(1 for look in pages.looks[e] if not np.isnan(look.p)),
            "trend": {metric: rows[e] for metric, rows in trends.items()},
            "bands": bands[e],
            "partial": plan.partial,
        }
        for e in range(len(who))
    ]
    return _Gathered(
        kind={"rep_id": "rep", "team_id": "team"}[by],
        ids=list(who["id"]),
        names=list(who["name"]),
        teams=list(who["team_id"]),
        bodies=bodies,
        strip=strip,
        everyone={
            True: _everyone(frames, who, plan, fewest=1),
            False: _everyone(frames, who, plan, fewest=K_ANONYMOUS + 1),
        },
    )


def _entities(people: People, plan: _Plan, by: str) -> pd.DataFrame:
    """Who gets a page: `id, name, team_id`, and `team`, the code of the group around (-1: none)."""
    found = sorted(members(people, plan.compared["now"]), key=lambda m: m.rep_id)
    reps = pd.DataFrame(
        [asdict(m) for m in found], columns=["rep_id", "name", "team_id", "team"], dtype="str"
    )
    reps["team_id"] = reps["team_id"].replace("", pd.NA)
    if by == "rep_id":
        codes = pd.Series(pd.factorize(reps["team_id"])[0], index=reps.index)
        return pd.DataFrame(
            {"id": reps["rep_id"], "name": reps["name"], "team_id": reps["team_id"], "team": codes}
        )
    teams = reps.dropna(subset=["team_id"]).drop_duplicates("team_id").reset_index(drop=True)
    return pd.DataFrame(
        {"id": teams["team_id"], "name": teams["team"], "team_id": teams["team_id"], "team": -1}
    )


def _date(connection: DuckDBPyConnection, plan: _Plan, by: str) -> None:
    """Make `decided`, `credited` and `open_deals`, which the metrics' queries read, and `dated`, all together.

    `entity` is whose page a deal counts on; `peer`, whether its owner is a rep on the roster in that span.
    """
    spans = [(name, span.first, span.after) for name, span in plan.compared.items()]
    spans += [(p.id, p.span.first, p.span.after) for p in plan.trend]
    connection.execute("CREATE OR REPLACE TEMP TABLE spans (span VARCHAR, first_day DATE, after_day DATE)")
    connection.executemany("INSERT INTO spans VALUES (?, ?, ?)", spans)
    peer = "r.rep_id IS NOT NULL AS peer"
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE on_roster AS
        SELECT DISTINCT s.span, r.rep_id FROM spans AS s
        JOIN known_roster AS r ON r.from_on < s.after_day AND coalesce(r.until_on > s.first_day, true)
        WHERE r.role = 'rep'
        """
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE decided AS
        SELECT s.span, k.*, k.{by} AS entity, {peer}
        FROM known AS k JOIN spans AS s ON k.close_on >= s.first_day AND k.close_on < s.after_day
        LEFT JOIN on_roster AS r ON r.rep_id = k.rep_id AND r.span = s.span
        WHERE k.status IN ('won', 'lost');
        CREATE OR REPLACE TEMP TABLE open_deals AS
        SELECT s.span, k.*, k.{by} AS entity, {peer}
        FROM known AS k JOIN spans AS s ON s.span = 'now'
        LEFT JOIN on_roster AS r ON r.rep_id = k.rep_id AND r.span = s.span
        WHERE k.status = 'open';
        CREATE OR REPLACE TEMP TABLE credited AS
        SELECT s.span, k.*, k.{by} AS entity, {peer}
        FROM known_credits AS k JOIN spans AS s ON k.close_on >= s.first_day AND k.close_on < s.after_day
        LEFT JOIN on_roster AS r ON r.rep_id = k.rep_id AND r.span = s.span
        WHERE k.status = 'won';
        CREATE OR REPLACE TEMP TABLE dated AS
        SELECT DISTINCT span, deal_id, rep_id, entity, peer FROM (
            SELECT span, deal_id, rep_id, entity, peer FROM decided
            UNION ALL SELECT span, deal_id, rep_id, entity, peer FROM open_deals
            UNION ALL SELECT span, deal_id, rep_id, entity, peer FROM credited
        )
        """
    )


def _observed(connection: DuckDBPyConnection, metric_id: str) -> pd.DataFrame:
    """The metric's rows over all spans, in an order that does not depend on the file's."""
    return connection.execute(
        f"""
        SELECT m.*, d.peer, d.entity FROM ({sql(metric_id)}) AS m JOIN dated AS d
            ON d.span = m.span AND d.deal_id = m.deal_id AND d.rep_id IS NOT DISTINCT FROM m.rep_id
        ORDER BY m.span, m.rep_id, m.deal_id
        """
    ).df()


def _with_deals(connection: DuckDBPyConnection, who: pd.DataFrame, by: str) -> Flags:
    """Whether an entity has any deal at all."""
    rows = connection.execute(f"SELECT DISTINCT {by} FROM known WHERE {by} IS NOT NULL").fetchall()
    return np.asarray(who["id"].isin([row[0] for row in rows]), dtype=bool)


def _observations(rows: pd.DataFrame, who: pd.DataFrame) -> Observations:
    """One span's rows as arrays."""
    y = rows["y"].to_numpy(float)
    pools = [rows[c].fillna(0).to_numpy(float) if c in rows else y for c in _POOLED]
    return Observations(
        entity=pd.Index(who["id"]).get_indexer(pd.Index(rows["entity"])).astype(np.int64),
        team=who["team"].to_numpy(np.int64),
        person=pd.factorize(rows["rep_id"])[0].astype(np.int64),
        peer=rows["peer"].to_numpy(bool),
        unit=pd.factorize(rows["unit" if "unit" in rows else "deal_id"])[0].astype(np.int64),
        x=rows["x"].to_numpy(float),
        y=y,
        pooled=Pooled(*pools),
    )


_POOLED = ("y_in_team", "y_in_all", "y_leaves_team", "y_leaves_all")


def _sides(
    metric: Metric, rows: pd.DataFrame, who: pd.DataFrame, plan: _Plan
) -> tuple[dict[str, Sides], dict[With, str]]:
    """The metric's sides in every span that it can be told for."""
    if metric.basis == AT_AS_OF:
        spans, missing = ["now"], dict.fromkeys(EARLIER, judging.NO_HISTORY)
    else:
        spans, missing = list(plan.compared), plan.missing
    made = {}
    for span in spans:
        seed = int.from_bytes(sha256(f"{metric.id} {metric.variant} {span}".encode()).digest()[:8])
        observed = _observations(rows[rows["span"] == span], who)
        made[span] = metric.estimate(observed, np.random.default_rng(seed), LEVEL)
    return made, missing


def _trend(metric: Metric, rows: pd.DataFrame, who: pd.DataFrame, plan: _Plan) -> list[list[dict[str, Any]]]:
    """Per entity, one point a period: own value with interval, and everybody's."""
    points: list[list[dict[str, Any]]] = [[] for _ in who.index]
    for period in plan.trend:
        span = rows[rows["span"] == period.id]
        own = span.groupby("entity").agg(x=("x", "sum"), y=("y", "sum"), n=("x", "size"))
        own = own.reindex(who["id"]).fillna(0.0)
        peers = span[span["peer"]]
        by_person = peers.groupby("entity")["rep_id"].nunique().reindex(who["id"]).fillna(0)
        people = peers["rep_id"].nunique() - by_person.to_numpy(int)
        value, low, high = _point(metric, own)
        all_of_them = _without_few_outsiders(span)
        x, y = (float(all_of_them[c].sum()) for c in ("x", "y"))
        everybody = x if metric.additive else _share(x, y)
        for e, line in enumerate(points):
            line.append(
                {
                    "period": period.id,
                    "value": _known(value[e]),
                    "low": _known(low[e]),
                    "high": _known(high[e]),
                    "n": int(own["n"].iloc[e]),
                    "everybody": _known(everybody) if people[e] >= K_ANONYMOUS else None,
                }
            )
    return points


def _point(metric: Metric, own: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    x, y, n = (own[c].to_numpy(float) for c in ("x", "y", "n"))
    unknown = np.full(len(x), np.nan)
    if metric.additive:
        return x, unknown, unknown
    value = np.divide(x, y, out=unknown.copy(), where=y > 0)
    low, high = wilson(value, n, LEVEL)
    enough = n >= metric.smallest_n
    return value, np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def _strip(who: pd.DataFrame, now: Sides) -> pd.DataFrame:
    """Everyone's figure with its interval, for those who may see people by name."""
    enough = now.own.n >= MAIN[STRIP_METRIC].smallest_n
    return pd.DataFrame(
        {
            "rep_id": who["id"],
            "name": who["name"],
            "team_id": who["team_id"],
            "value": now.own.value,
            "low": np.where(enough, now.low, np.nan),
            "high": np.where(enough, now.high, np.nan),
            "n": now.own.n,
        }
    ).dropna(subset=["value"])


def _bands(strip: pd.DataFrame, own: str) -> list[dict[str, Any]]:
    """The others in up to three bands by their figure, each pooled over at least k people."""
    others = strip[strip["rep_id"] != own].sort_values(["value", "rep_id"])
    count = min(BANDS, len(others) // K_ANONYMOUS)
    bands = []
    for part in np.array_split(np.arange(len(others)), count) if count else []:
        band = others.iloc[part]
        n = float(band["n"].sum())
        value = float((band["value"] * band["n"]).sum() / n)
        low, high = wilson(np.array([value]), np.array([n]), LEVEL)
        bands.append(
            {"value": value, "low": float(low[0]), "high": float(high[0]), "n": int(n), "people": len(band)}
        )
    return bands


def _everyone(
    frames: Mapping[str, pd.DataFrame], who: pd.DataFrame, plan: _Plan, *, fewest: int
) -> dict[str, Any]:
    """The company's plain figures, everybody in them, and how many people moved which way.

    What fewer than `fewest` people stand behind is not told: less one's own it would be a colleague's.
    """
    figures: dict[str, Any] = {}
    for metric in ("won_amount", "deals_won", "win_rate_count"):
        rows = frames[metric]
        figures[metric] = {
            span: _whole(MAIN[metric], rows[rows["span"] == span], fewest) if span in plan.compared else None
            for span in ("now", *EARLIER)
        }
    rows = frames["win_rate_count"]
    return {
        "without_outsiders": fewest > 1 and len(_without_few_outsiders(rows)) < len(rows),
        "figures": figures,
        "moved": {then: _moved(frames["win_rate_count"], who, then, fewest) for then in EARLIER},
    }


def _without_few_outsiders(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of everybody; of the roster alone where few others have any: less the roster they could be solved for."""
    outsiders = rows[~rows["peer"]]["rep_id"].nunique()
    return rows[rows["peer"]] if 0 < outsiders < K_ANONYMOUS else rows


def _whole(metric: Metric, rows: pd.DataFrame, fewest: int) -> dict[str, Any]:
    if fewest > 1:
        rows = _without_few_outsiders(rows)
    if 0 < rows["rep_id"].nunique() < fewest:
        return {"value": None, "n": None}
    x, y = float(rows["x"].sum()), float(rows["y"].sum())
    return {"value": round(x) if metric.additive else _share(x, y), "n": int(rows["deal_id"].nunique())}


def _moved(rows: pd.DataFrame, who: pd.DataFrame, then: str, fewest: int) -> dict[str, int] | None:
    """How many people's win rate fell, and rose, among those with decided deals in both spans."""
    by_span = [
        rows[rows["span"] == s].groupby("entity")["x"].mean().reindex(who["id"]) for s in ("now", then)
    ]
    change = (by_span[0] - by_span[1]).dropna()
    if 0 < len(change) < fewest:
        return None
    return {"fell": int((change < 0).sum()), "rose": int((change > 0).sum()), "of": len(change)}


def _share(x: float, y: float) -> float | None:
    return x / y if y else None


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def _write(connection: DuckDBPyConnection, path: Path, reps: _Gathered, teams: _Gathered) -> None:
    """One file: documents by scope, figures of everyone, and people by name."""
    attach(connection, path, "facts", read_only=False)
    path.chmod(0o600)
    both = [
        {"kind": g.kind, "id": i, "name": n, "team_id": t, "body": json.dumps(b, allow_nan=False)}
        for g in (reps, teams)
        for i, n, t, b in zip(g.ids, g.names, g.teams, g.bodies, strict=True)
    ]
    scopes = pd.DataFrame(both, columns=["kind", "id", "name", "team_id", "body"], dtype="str")
    everyone = pd.DataFrame([(json.dumps(b), o) for o, b in reps.everyone.items()], columns=["body", "open"])
    strip = reps.strip
    for name, frame in {"scopes": scopes, "everyone": everyone, "peers": strip}.items():
        connection.register("frame", frame)
        connection.execute(f"CREATE TABLE facts.{name} AS SELECT * FROM frame")
        connection.unregister("frame")
    connection.execute("CREATE VIEW facts.pages AS SELECT kind, id, body FROM scopes")
    connection.execute("DETACH facts")
