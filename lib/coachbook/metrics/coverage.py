"""Whether what is open is enough for what is still missing, by what such pipelines brought before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files

import numpy as np
import pandas as pd
from duckdb import DuckDBPyConnection

from coachbook.metrics.bridge import Amount
from coachbook.metrics.judging import NOT_ENOUGH
from coachbook.metrics.velocity import ORG, SEED, Kind, Scope, everybody, joint_draws, spread
from coachbook.model.findings import K_ANONYMOUS, LEVEL, Interval, Verdict
from coachbook.model.periods import Period, Span
from coachbook.model.quality import Sentence
from coachbook.stats.intervals import percentiles
from coachbook.text import N_
from coachbook.warehouse.database import CONVERTED

TABLES = ("quotas",)
"""What `Snapshot.known` has to give views of."""
EARLIER = {"month": 12, "quarter": 8, "week": 26, "year": 3}
"""How many earlier periods tell what a pipeline brings."""
SMALLEST_N = 20
"""Fewest deals in earlier pipelines that may tell it."""

NO_QUOTA = N_("there is no quota for this period")
QUOTA_OF_0 = N_("the quota is 0")
NO_RATE = N_("the quota is in {there}, and no rate is known on the first day of the period")
MET = N_("the quota is met")
OVER = N_("the period is over")
NO_YIELD = N_("nothing of such a pipeline was won in earlier periods")
NONE_EARLIER = N_("no earlier period is known whole")


@dataclass(frozen=True)
class Needed:
    """How many times what is missing the open pipeline has to be: 1 / yield.

    Attributes
    ----------
    times
        Lower is easier. None: see `reason`.
    interval
        Of `times`, by bootstrap over deals; open above where it may be that nothing is won of such a pipeline.
    share
        The yield: of the open pipeline at the same point of earlier periods, what was won by their end, amount by
        amount; normally in [0, 1], above it where deals grow. Higher is better. Won later from deals that were
        not in it is not in it either: where much is created and won within a period, less is needed than this.
    n
        Deals in those pipelines; one that was in several counts once. `periods`: how many pipelines.
    of
        Whose they are: the scope's own, or, where it had fewer than `SMALLEST_N`, the team's, or the company's.
    """

    times: float | None
    interval: Interval | None
    share: float | None
    n: int
    periods: int
    of: Kind
    reason: Sentence | None = None


@dataclass(frozen=True)
class Coverage:
    """Open pipeline closing in the period / (quota − won), at the end of the as-of day; higher is better.

    Attributes
    ----------
    times
        None: see `reason`. A count of what is there, so it has no interval; what is needed has one.
    pipeline
        Open deals with a close date in the period; `overdue` are those among them whose day has passed. Minor units
        of the reporting currency at the as-of day's rate.
    won_minor
        Credited of what was won with a close date in the period; of a team and the company each deal once.
    quota_minor
        Signed basis, at the rate of the period's first day; a team's and the company's is their own, not the reps'
        together. None: there is none.
    remaining_minor
        Quota − won; not above 0: `is_met`.
    """

    times: float | None
    pipeline: Amount
    overdue: Amount
    won_minor: int
    quota_minor: int | None
    remaining_minor: int | None
    is_met: bool
    needed: Needed
    reason: Sentence | None

    @property
    def is_enough(self) -> Verdict:
        """True: more than the whole interval of what is needed; False: less than all of it; None: cannot tell."""
        if self.times is None or self.needed.interval is None:
            return None
        if self.times >= self.needed.interval.high:
            return True
        return False if self.times < self.needed.interval.low else None


def coverage(
    connection: DuckDBPyConnection, period: Period, as_of: date, *, earlier: int | None = None,
    since: date | None = None, level: float = LEVEL, seed: int = SEED,
) -> Mapping[Scope, Coverage]:  # fmt: skip
    """Of everybody who ever was on the roster, every team, and the company, at once.

    The same point of an earlier period is the day from which it had as many working days left.

    Parameters
    ----------
    connection
        Of `Snapshot.known(as_of, TABLES)`.
    earlier
        How many periods before it are looked at, by default as `EARLIER` has it; only those that are over at
        the as-of day, and whose point is not before `since`.
    since
        First day from which the history is whole (`Visits.since`); None: the day of the first deal.
    """
    connection.execute(CONVERTED)
    first = connection.execute("SELECT min(created_on) FROM known").fetchall()[0][0]
    points = _points(connection, period, as_of, EARLIER[period.kind] if earlier is None else earlier)
    whole = since or first or date.max
    before = [(day, span) for day, span in points if day >= whole and span.after <= as_of + timedelta(days=1)]
    scopes = everybody(connection)
    rows = _pipelines(connection, [*before, (as_of, period.span)])
    now = rows[rows["look"] == len(before)]
    yields = _yields(rows[rows["look"] < len(before)], scopes, level, seed)
    pipes = _sums(now, scopes), _sums(now[now["is_overdue"]], scopes)
    teams = _teams(connection, as_of)
    won, quotas = _won(connection, period.span), _quotas(connection, period)
    over = as_of >= period.span.last
    return {
        scope: _coverage(
            (pipes[0][i], pipes[1][i]), won.get(scope, 0), quotas.get(scope),
            _needless(scope) if over else _needed(scope, teams, yields, level), over=over,
        )
        for i, scope in enumerate(scopes)
    }  # fmt: skip


def _points(
    connection: DuckDBPyConnection, period: Period, as_of: date, earlier: int
) -> list[tuple[date, Span]]:
    """Of each earlier period, the day with as many working days left in it as there are now in this one."""
    spans = [p.span for p in period.back(earlier)[:-1]]
    rows = connection.execute(
        """
        WITH left_now AS (
            SELECT (SELECT number FROM known_days WHERE day = $last) - (SELECT number FROM known_days WHERE day = $as_of) AS days
        ),
        ends AS (SELECT unnest($lasts::DATE[]) AS last_day)
        SELECT e.last_day, min(d.day)
        FROM ends AS e JOIN known_days AS l ON l.day = e.last_day JOIN known_days AS d ON d.number = l.number - (SELECT days FROM left_now)
        GROUP BY e.last_day ORDER BY e.last_day
        """,
        {"last": period.span.last, "as_of": min(as_of, period.span.last), "lasts": [s.last for s in spans]},
    ).fetchall()
    found = dict(rows)
    return [(found[span.last], span) for span in spans if span.last in found]


def _pipelines(connection: DuckDBPyConnection, looks: Sequence[tuple[date, Span]]) -> pd.DataFrame:
    query = (files("coachbook.metrics") / "coverage.sql").read_text(encoding="utf-8")
    asked = {
        "days": [day for day, _span in looks],
        "firsts": [span.first for _day, span in looks],
        "afters": [span.after for _day, span in looks],
    }
    return connection.execute(query, asked).df()


def _sums(rows: pd.DataFrame, scopes: list[Scope]) -> list[Amount]:
    line, place = spread(rows, scopes)
    count = np.bincount(place, minlength=len(scopes))
    minor = np.bincount(place, rows["minor"].to_numpy(dtype=float)[line], minlength=len(scopes))
    return [Amount(int(n), round(m)) for n, m in zip(count, minor, strict=True)]


@dataclass(frozen=True)
class _Yield:
    share: float
    low: float
    high: float
    n: int
    people: int
    periods: int


def _yields(rows: pd.DataFrame, scopes: list[Scope], level: float, seed: int) -> dict[Scope, _Yield]:
    line, place = spread(rows, scopes)
    unit = pd.factorize(rows["deal_id"])[0].astype(np.int64)
    values = rows[["minor", "won"]].to_numpy(dtype=float)
    draws = joint_draws(place, unit[line], values[line], size=len(scopes), seed=seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(draws[0] > 0, draws[1] / draws[0], np.nan)
    seen = pd.DataFrame(
        {
            "place": place,
            "deal": unit[line],
            "look": rows["look"].to_numpy()[line],
            "who": rows["rep_id"].to_numpy()[line],
        }
    )
    counted = seen.groupby("place").nunique().reindex(range(len(scopes)), fill_value=0)
    low, high = percentiles(shares, counted["deal"].to_numpy(dtype=float), level)
    sums = np.zeros((len(scopes), 2))
    np.add.at(sums, place, values[line])
    return {
        scope: _Yield(
            float(sums[i, 1] / sums[i, 0]), float(low[i]), float(high[i]), int(counted["deal"].iloc[i]),
            int(counted["who"].iloc[i]), int(counted["look"].iloc[i]),
        )
        for i, scope in enumerate(scopes) if sums[i, 0] > 0
    }  # fmt: skip


def _needed(scope: Scope, teams: Mapping[str, str], yields: Mapping[Scope, _Yield], level: float) -> Needed:
    """By the nearest scope that has deals enough; a wider one only if it does not tell what a few others did."""
    wider: list[Scope] = [("team", teams[scope[1]])] if scope[0] == "rep" and scope[1] in teams else []
    own = yields.get(scope)
    people = own.people if own else 0
    known = [(scope, own)] if own else []
    known += [
        (of, yields[of]) for of in (*wider, ORG) if of in yields and of != scope and yields[of].people - people >= K_ANONYMOUS
    ]  # fmt: skip
    of, found = next(((s, y) for s, y in known if y.n >= SMALLEST_N), (scope, own))
    if found is None:
        return Needed(None, None, None, 0, 0, scope[0], Sentence(NONE_EARLIER))
    if found.n < SMALLEST_N:
        few = Sentence(NOT_ENOUGH, {"n": found.n, "needs": SMALLEST_N})
        return Needed(None, None, found.share, found.n, found.periods, of[0], few)
    if found.share <= 0:
        return Needed(None, None, found.share, found.n, found.periods, of[0], Sentence(NO_YIELD))
    interval = Interval(1 / found.high, 1 / found.low if found.low > 0 else np.inf, level)
    return Needed(1 / found.share, interval, found.share, found.n, found.periods, of[0])


def _needless(scope: Scope) -> Needed:
    """Nothing can come any more."""
    return Needed(None, None, None, 0, 0, scope[0], Sentence(OVER))


def _teams(connection: DuckDBPyConnection, as_of: date) -> dict[str, str]:
    """The last team of each person by that day."""
    rows = connection.execute(
        "SELECT rep_id, last(team_id ORDER BY from_on) FROM known_roster WHERE from_on <= ? GROUP BY rep_id",
        [as_of],
    )
    return {rep_id: team_id for rep_id, team_id in rows.fetchall() if team_id is not None}


def _won(connection: DuckDBPyConnection, span: Span) -> dict[Scope, int]:
    """Credited; parts of a deal add up to it, so a team that has all of them has the deal once."""
    rows = connection.execute(
        """
        SELECT CASE grouping(rep_id, team_id) WHEN 1 THEN 'rep' WHEN 2 THEN 'team' ELSE 'org' END AS kind,
            coalesce(rep_id, team_id, ''), coalesce(sum(credited_minor), 0)::BIGINT
        FROM known_credits WHERE status = 'won' AND close_on >= $first AND close_on < $after
        GROUP BY GROUPING SETS ((rep_id), (team_id), ())
        HAVING grouping(rep_id, team_id) = 3 OR rep_id IS NOT NULL OR team_id IS NOT NULL
        """,
        {"first": span.first, "after": span.after},
    )
    return {(kind, id_): minor for kind, id_, minor in rows.fetchall()}


def _quotas(connection: DuckDBPyConnection, period: Period) -> dict[Scope, tuple[int | None, str]]:
    """In the reporting currency (None: no rate), and the own one."""
    rows = connection.execute(
        """
        SELECT q.holder, coalesce(q.holder_id, ''), converted(q.amount_minor, r.num, r.den), q.currency
        FROM known_quotas AS q
        LEFT JOIN (
            SELECT currency, arg_max(num, from_on) AS num, arg_max(den, from_on) AS den
            FROM known_rates WHERE from_on <= $first GROUP BY currency
        ) AS r USING (currency)
        WHERE q.period = $period AND coalesce(q.basis, 'signed') = 'signed'
        """,
        {"period": period.id, "first": period.span.first},
    )
    return {(kind, "" if kind == "org" else id_): (minor, own) for kind, id_, minor, own in rows.fetchall()}


def _coverage(
    pipes: tuple[Amount, Amount], won: int, quota: tuple[int | None, str] | None, needed: Needed, *, over: bool
) -> Coverage:  # fmt: skip
    pipeline, overdue = pipes
    minor = quota[0] if quota else None
    remaining = minor - won if minor is not None and minor > 0 else None
    is_met = remaining is not None and remaining <= 0
    if quota is None:
        reason: Sentence | None = Sentence(NO_QUOTA)
    elif minor is None:
        reason = Sentence(NO_RATE, {"there": quota[1]})
    elif remaining is None:
        reason = Sentence(QUOTA_OF_0)
    elif is_met:
        reason = Sentence(MET)
    else:
        reason = Sentence(OVER) if over else None
    times = pipeline.minor / remaining if remaining and not reason else None
    return Coverage(times, pipeline, overdue, won, minor, remaining, is_met, needed, reason)
