"""Stages: visits, the reached funnel, conversion, dwell and flow, against an oracle and one trap after the other."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from coachbook.catalogue import shipped
from coachbook.metrics.funnel import Funnel, Stage, funnel
from coachbook.metrics.visits import lay_out
from coachbook.model.periods import Period, Span
from coachbook.settings import Workspace
from coachbook.warehouse import Snapshots
from tests.oracles.funnel import Oracle, from_files, live
from tests.warehouse import Desk

STAGES = ("A", "B", "C", "D")
D = [date(2026, 1, day) for day in range(1, 32)]
END = D[30]
WINDOW = Span(D[11], D[24])
HORIZONS = {"onward": 3, "won": 6}
DEMO_STAGES = ("Lead acquisition", "First contact", "Needs confirmed", "Proposal submitted", "Negotiation", "Closed")  # fmt: skip
TEAMS = [("r1", date.min, "t1"), ("r2", date.min, "t1"), ("r3", date.min, "t2"), ("r3", D[14], "t1")]
Events = list[dict[str, Any]]


# A deal as its source tells it


class Life:
    """Events of one made-up deal, each a change from the one before."""

    def __init__(self, name: str, *, at: datetime, stage: str = "A", owner: str = "r1", customer: str = "c1"):
        self.name, self.customer, self.at, self.seq = name, customer, at, 0
        self.now: dict[str, str | None] = {"stage": None, "status": None, "owner": None}
        self.events: Events = []
        self.created = at.date()
        self.then(stage=stage, status="open", owner=owner)

    def then(self, day: int | None = None, *, seconds: float = 0, **changes: str) -> Life:
        """What changes, on a day of January at noon, or so many seconds later."""
        self.at = datetime(2026, 1, day, 12) if day else self.at + timedelta(seconds=seconds)
        self.seq += 1
        for field, new in changes.items():
            self.events.append(
                {"deal_id": self.name, "occurred_at": self.at, "field": field, "seq": self.seq, "old": self.now[field], "new": new}
            )  # fmt: skip
            self.now[field] = new
        return self

    @property
    def row(self) -> dict[str, Any]:
        status = self.now["status"]
        return {
            "deal_id": self.name, "account_id": self.customer, "created_on": self.created, "stage": self.now["stage"],
            "status": status, "rep_id": self.now["owner"],
        }  # fmt: skip


def begun(name: str, day: int, **more: str) -> Life:
    return Life(name, at=datetime(2026, 1, day, 9), **more)


def bring(
    folder: Path, lives: Sequence[Life], *, shuffle: Callable[[Events], None] = lambda _rows: None
) -> Desk:
    desk = Desk(folder)
    reps = [
        {"rep_id": rep, "name": rep, "team_id": team, "role": "rep", "effective_on": None if day == date.min else day}
        for rep, day, team in TEAMS
    ]  # fmt: skip
    events = [e for life in lives for e in life.events]
    deals = [life.row for life in lives]
    for rows in (deals, events, reps):
        shuffle(rows)
    desk.export(END, deals=deals, deal_events=events, reps=reps)
    return desk


def figures(
    desk: Desk, span: Span = WINDOW, *, as_of: date = END, since: date | None = None, stages: Sequence[str] = STAGES
) -> Funnel:  # fmt: skip
    with desk.snapshots.current().known(as_of) as connection:
        visits = lay_out(connection, stages, as_of, since=since)
        return funnel(connection, visits, span, onward_days=HORIZONS["onward"], won_days=HORIZONS["won"])


def oracle(lives: Sequence[Life], *, as_of: date = END, since: date | None = None) -> Oracle:
    deals = [live(x.name, x.created, x.customer, x.events, as_of) for x in lives if x.created <= as_of]
    return Oracle(deals, TEAMS, STAGES, as_of, since)


# Against the oracle


def compare(found: Funnel, expected: Oracle, horizons: dict[str, int] = HORIZONS) -> None:
    assert found.visits.since == expected.since
    seen = found.seen
    if seen is None:
        assert found.cohorts.empty
        assert found.dwells.empty
        return
    names = (*found.visits.stages, *found.visits.others)
    entity = [(row.kind, row.id) for row in found.visits.entities.itertuples()]
    counts = {
        (*entity[e], names[code], what): tuple(row[what][m] for m in ("deals", "customers", "times"))
        for (e, code), row in found.counts.iterrows()
        for what in found.counts.columns.unique(0)
        if row[what]["times"]
    }
    counted = expected.counted(seen.first, seen.last)
    assert counts == {key: tuple(row) for key, row in zip(counted.index, counted.to_numpy(), strict=True)}
    created = {entity[e]: found.created_and_reached(*entity[e]) for e in found.created.index}
    assert created == {e: tuple(row) for e, row in expected.created(seen.first, seen.last).items()}
    cohorts = expected.cohort(seen.first, seen.last, horizons)
    same(found.cohorts, {(o, entity.index(e), k): row for (o, e, k), row in cohorts.items()})
    dwells = {
        (clock, entity.index(e), names.index(stage)): row
        for clock in ("latest", "cumulative")
        for (e, stage), row in expected.dwell(seen.first, seen.last, cumulative=clock == "cumulative").items()
    }
    same(found.dwells, dwells)


def same(found: pd.DataFrame, expected: dict[Any, dict[str, float]]) -> None:
    assert set(found.index) == set(expected)
    if expected:
        wanted = pd.DataFrame.from_dict(expected, orient="index")
        pd.testing.assert_frame_equal(
            found.loc[list(expected), wanted.columns].astype(float).reset_index(drop=True),
            wanted.astype(float).reset_index(drop=True), check_exact=False, rtol=1e-9,
        )  # fmt: skip


def hold(found: Funnel) -> None:
    """What is so whatever happened."""
    assert (np.diff(found.created.to_numpy(), axis=1) <= 0).all()
    shares = found.cohorts[["ended_share", "lost_share", "staying"]].sum(axis=1, skipna=False).dropna()
    assert np.allclose(shares, 1)
    assert (found.cohorts["ended"] + found.cohorts["lost"] <= found.cohorts["n"]).all()
    kinds = found.visits.entities["kind"]
    times = found.counts.xs("times", axis=1, level=1)
    kind, code = kinds.loc[times.index.get_level_values(0)].to_numpy(), times.index.get_level_values(1)
    everybody = times[kind == "all"].droplevel(0)
    for level in ("rep", "team"):
        sums = times[kind == level].groupby(code[kind == level]).sum()
        pd.testing.assert_frame_equal(sums, everybody, check_names=False)
    for name in ("ended_share", "lost_share"):
        low, value, high = (found.cohorts[f"{name}{end}"].dropna() for end in ("_low", "", "_high"))
        assert ((low <= value + 1e-9) & (value <= high + 1e-9)).all()


@st.composite
def lives(draw: st.DrawFn) -> list[Life]:
    """A few deals that skip, go back, hop, are decided and taken up again, change hands, and get lost among stages."""
    made = []
    for i in range(draw(st.integers(1, 12))):
        life = Life(
            f"d{i}", at=datetime(2026, 1, draw(st.integers(1, 20)), draw(st.integers(0, 23))),
            stage=draw(st.sampled_from("AAABX")), owner=draw(st.sampled_from(["r1", "r2", "r3"])),
            customer=draw(st.sampled_from(["c1", "c2", "c3"])),
        )  # fmt: skip
        for _step in range(draw(st.integers(0, 6))):
            wait = draw(st.sampled_from([0, 0.5, 1, 2, 40_000, 90_000, 200_000, 400_000]))
            if (life.at + timedelta(seconds=wait)).date() > D[29]:
                break
            status = str(life.now["status"])
            kind = draw(st.sampled_from(["stage", "stage", "stage", "owner", "status"]))
            if kind == "status" or status != "open":
                after = ["won", "lost", "lost", "deleted"] if status == "open" else ["open"]
                life.then(seconds=wait, status=draw(st.sampled_from(after)))
            else:
                options = [
                    x for x in ("ABCDX" if kind == "stage" else ("r1", "r2", "r3")) if x != life.now[kind]
                ]
                life.then(seconds=wait, **{kind: draw(st.sampled_from(options))})
        made.append(life)
    return made


SLOW = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.generate],
}


def examine(log: list[Life], random: Any, since: date | None, as_of: date) -> None:
    folder = Path(mkdtemp())
    try:
        found = figures(bring(folder, log, shuffle=random.shuffle), as_of=as_of, since=since)
        compare(found, oracle(log, as_of=as_of, since=since))
        if found.seen:
            hold(found)
    finally:
        shutil.rmtree(folder)


@settings(max_examples=10, derandomize=True, **SLOW)
@given(
    lives(), st.randoms(use_true_random=False), st.sampled_from([D[2], D[15]]), st.sampled_from([D[17], END])
)
def test_random_logs_give_what_the_oracle_gives(
    log: list[Life], random: Any, since: date, as_of: date
) -> None:
    examine(log, random, since, as_of)


@pytest.mark.verify
@settings(max_examples=150, **SLOW)
@given(
    lives(),
    st.randoms(use_true_random=False),
    st.sampled_from([None, D[2], D[15]]),
    st.sampled_from([D[17], END]),
)
def test_more_random_logs_give_what_the_oracle_gives(
    log: list[Life], random: Any, since: date | None, as_of: date
) -> None:
    examine(log, random, since, as_of)


# One trap each; 2026-01-12 is a Monday


def seen(tmp_path: Path, *made: Life, **more: Any) -> Funnel:
    found = figures(bring(tmp_path, made), since=more.pop("since", D[0]), **more)
    compare(found, oracle(made, as_of=more.get("as_of", END), since=found.visits.since))
    return found


def at(found: Funnel, stage: str, kind: Any = "all", name: str = "") -> Stage:
    return next(s for s in found.stages(kind, name) if s.stage == stage)


def moved(stage: Stage) -> dict[str, int]:
    """How often what happened, without what did not."""
    assert stage.moves
    tallies = {name: x.times for name, x in vars(stage.moves).items() if name != "per_week"}
    return {name: times for name, times in tallies.items() if times}


def reached(found: Funnel, stage: str, kind: Any = "all", name: str = "") -> tuple[int, int, int]:
    part = at(found, stage, kind, name).reached
    assert part
    return part.n, part.onward, part.lost


def median(found: Funnel, stage: str, clock: int = 0, kind: Any = "all", name: str = "") -> float | None:
    return at(found, stage, kind, name).dwells[clock].median.value


def test_a_visit_says_what_came_of_it_and_what_is_not_known_of_it(tmp_path: Path) -> None:
    x = (
        begun("x", 9)
        .then(13, stage="B")
        .then(seconds=1, stage="C")
        .then(19, status="lost")
        .then(20, status="open")
    )
    desk = bring(tmp_path, [x.then(21, owner="r2"), begun("b", 12, stage="B")])
    with desk.snapshots.current().known(END) as connection:
        lay_out(connection, STAGES, END, since=D[11])
        visits = connection.execute(
            """
            SELECT position, entered_on, left_on, left_number - entered_number, went, skipped, hops, is_reopening,
                is_truncated, is_open, before_days
            FROM visits WHERE deal_id = 'x' ORDER BY nr
            """
        ).fetchall()
        holders = connection.execute(
            """
            SELECT e.id, s.from_on, s.handed_on, s.is_first FROM stays AS s JOIN entities AS e ON e.code = s.rep
            WHERE deal_id = 'x' AND s.is_open ORDER BY from_on
            """
        ).fetchall()
    assert visits == [
        (0, D[8], D[12], 2, "onward", 0, 1, False, True, False, 0),
        (2, D[12], D[18], 4, "lost", 0, 0, False, False, False, 0),
        (2, D[19], None, None, None, 0, 0, True, False, True, 4),
    ]
    assert holders == [("r1", D[19], D[20], True), ("r2", D[20], None, False)]


def test_a_skip_counts_as_reached_and_is_told(tmp_path: Path) -> None:
    other = begun("other", 12).then(13, stage="B").then(14, stage="C").then(15, status="lost")
    found = seen(tmp_path, other, begun("skips", 12).then(13, stage="C").then(14, stage="D"))
    assert [reached(found, s) for s in "ABCD"] == [(2, 2, 0), (2, 2, 0), (2, 1, 1), (1, 0, 0)]
    assert moved(at(found, "A")) == {"came_in": 2, "moved_on": 2, "skipped": 1}
    assert moved(at(found, "B")) == {"came_in": 1, "moved_on": 1}
    assert found.created_and_reached("all") == (2, 2, 2, 1, 0)


def test_a_stage_in_which_no_deal_ever_was_cannot_be_skipped_and_says_so(tmp_path: Path) -> None:
    found = seen(tmp_path, begun("x", 12).then(13, stage="C").then(14, stage="D", status="won"))
    assert moved(at(found, "A")) == {"came_in": 1, "moved_on": 1}
    assert moved(at(found, "C")) == {"came_in": 1, "moved_on": 1, "won": 1}
    for stage in (at(found, "B"), at(found, "D")):
        assert str(stage.reason) == "no deal was ever in this stage"
        assert (stage.moves, stage.reached) == (None, None)
    assert found.created_and_reached("all") == (1, 1, 1, 1, 1)


def test_a_regression_is_told_and_time_is_counted_by_visit_and_in_all(tmp_path: Path) -> None:
    life = begun("x", 12).then(13, stage="B").then(14, stage="A").then(16, stage="B").then(20, stage="C")
    found = seen(tmp_path, life)
    assert moved(at(found, "A")) == {"came_in": 2, "moved_on": 2}
    assert moved(at(found, "B")) == {"came_in": 2, "moved_on": 1, "back": 1}
    assert [median(found, "A", clock) for clock in (0, 1)] == [2, 3]
    assert [median(found, "B", clock) for clock in (0, 1)] == [2, 3]
    assert [reached(found, s) for s in "AB"] == [(1, 1, 0), (1, 1, 0)]


def test_hops_within_a_second_are_no_visits_and_no_skips(tmp_path: Path) -> None:
    life = begun("x", 12).then(14, stage="B").then(seconds=0.4, stage="C").then(seconds=0.6, stage="D")
    back = begun("back", 12).then(14, stage="B").then(seconds=1, stage="A").then(16, stage="B")
    found = seen(tmp_path, life, back, begun("c", 12, stage="C"))
    assert moved(at(found, "A")) == {"came_in": 2, "moved_on": 2}
    assert moved(at(found, "B")) == {"came_in": 1}
    assert moved(at(found, "C")) == {"came_in": 1}
    assert found.dwells.loc[("latest", found.visits.codes["all", ""], 0), "n"] == 2
    assert at(found, "A").dwells[0].upper_quartile == 4
    slower = begun("y", 12).then(14, stage="B").then(seconds=2, stage="C")
    assert moved(at(seen(tmp_path / "slower", slower), "B")) == {"came_in": 1, "moved_on": 1}


def test_a_whole_life_written_in_one_second_has_no_visits(tmp_path: Path) -> None:
    life = begun("x", 12).then(seconds=0, stage="B").then(seconds=0, status="won")
    found = seen(tmp_path, life, begun("y", 12))
    assert found.created_and_reached("all") == (1, 0, 0, 0, 0)
    assert moved(at(found, "A")) == {"came_in": 1}


def test_a_deal_taken_up_again_counts_by_how_it_stands(tmp_path: Path) -> None:
    life = begun("x", 12).then(13, status="lost").then(15, status="open").then(16, stage="B")
    found = seen(tmp_path, life)
    assert moved(at(found, "A")) == {"came_in": 2, "reopened": 1, "lost": 1, "moved_on": 1}
    assert reached(found, "A") == (1, 1, 0)
    undone = begun("z", 12).then(13, status="won").then(15, status="open").then(16, status="lost")
    found = seen(tmp_path / "undone", undone)
    assert found.created_and_reached("all") == (1, 0, 0, 0, 0)
    assert reached(found, "A") == (1, 0, 1)


def test_a_deleted_deal_is_in_no_cohort_and_left_its_stage(tmp_path: Path) -> None:
    found = seen(tmp_path, begun("x", 12).then(13, status="deleted"), begun("y", 12))
    assert moved(at(found, "A")) == {"came_in": 2, "deleted": 1}
    assert reached(found, "A") == (1, 0, 0)


def test_who_takes_a_deal_over_answers_for_the_days_from_then_on(tmp_path: Path) -> None:
    old = begun("old", 12).then(21, owner="r2").then(22, stage="B")
    fresh = [begun(f"f{i}", 12, owner="r2").then(14, stage="B") for i in range(3)]
    found = seen(tmp_path, old, *fresh, begun("g", 12, owner="r2"))
    assert moved(at(found, "A", "rep", "r1")) == {"came_in": 1, "handed_over": 1}
    assert moved(at(found, "A", "rep", "r2")) == {"came_in": 4, "taken_over": 1, "moved_on": 4}
    assert median(found, "A", 0, "rep", "r2") == 2
    assert median(found, "A", 0, "rep", "r1") is None
    assert at(found, "A", "rep", "r1").dwells[0].left == 0
    assert reached(found, "A", "rep", "r1") == (1, 1, 0)
    assert reached(found, "B", "rep", "r2") == (4, 0, 0)


def test_a_deal_passed_on_the_day_it_came_is_whose_it_is_at_the_end_of_that_day(tmp_path: Path) -> None:
    found = seen(tmp_path, begun("x", 12).then(12, owner="r2"))
    assert moved(at(found, "A", "rep", "r1")) == {}
    assert moved(at(found, "A", "rep", "r2")) == {"came_in": 1}


def test_who_changes_teams_counts_in_each_for_the_days_there(tmp_path: Path) -> None:
    found = seen(tmp_path, begun("x", 12, owner="r3").then(19, stage="B"))
    assert moved(at(found, "A", "team", "t2")) == {"came_in": 1, "handed_over": 1}
    assert moved(at(found, "A", "team", "t1")) == {"taken_over": 1, "moved_on": 1}
    assert at(found, "B", "team", "t1").there == at(found, "B", "rep", "r3").there
    assert reached(found, "A", "team", "t2") == (1, 1, 0)


def test_a_customer_of_two_reps_counts_once_in_their_team(tmp_path: Path) -> None:
    found = seen(tmp_path, begun("x", 12), begun("y", 13, owner="r2"))
    came = [s.moves.came_in for s in (at(found, "A", "team", "t1"), at(found, "A", "rep", "r1")) if s.moves]
    assert [(t.deals, t.customers, t.times) for t in came] == [(2, 1, 2), (1, 1, 1)]


def test_an_open_visit_is_waiting_and_not_left_out(tmp_path: Path) -> None:
    done = [begun(f"d{n}", 12).then(12 + n, stage="B") for n in (1, 2, 3)]
    stuck = [begun(f"s{n}", 12) for n in range(4)]
    found = seen(tmp_path, *done, *stuck)
    dwell = at(found, "A").dwells[0]
    assert (dwell.median.value, dwell.median.n, dwell.left, dwell.still_there) == (None, 7, 3, 4)
    assert str(dwell.median.reason) == "more than half stay longer than 9 working days"
    assert dwell.lower_quartile == 2
    assert median(seen(tmp_path / "done", *done, *stuck[:2]), "A") == 3  # of the finished alone it is 2


def test_what_was_there_before_the_days_seen_enters_late(tmp_path: Path) -> None:
    """Risk sets by hand: of 3 there from the 6th on, none is known to have left on the days before the 12th."""
    old = [begun(f"o{n}", 6).then(12 + n, stage="B") for n in (0, 1)]
    new = [begun(f"n{n}", 12).then(12 + n, stage="B") for n in (1, 2, 8)] + [begun("n", 12), begun("m", 12)]
    found = seen(tmp_path, *old, *new, begun("o", 6))
    dwell = at(found, "A").dwells[0]
    # Days 1, 2: 5 and 4 at risk, one left each; day 4: those of the 6th come in, 3 + 3 at risk, one left, then of 5.
    assert (dwell.lower_quartile, dwell.median.value, dwell.upper_quartile) == (2, 4, None)
    assert (dwell.median.n, dwell.left, dwell.still_there) == (8, 5, 3)


def test_a_view_from_before_the_end_knows_nothing_later(tmp_path: Path) -> None:
    lives = [begun("x", 12).then(13, stage="B").then(20, status="lost"), begun("y", 19)]
    found = seen(tmp_path, *lives, as_of=D[13])
    assert found.seen == Span(D[11], D[14])
    assert moved(at(found, "B")) == {"came_in": 1}
    assert reached(found, "B") == (1, 0, 0)
    [_onward, won] = at(found, "A").conversions
    assert (won.ended.value, won.ended.n, won.resolved) == (None, 1, 0)
    assert str(won.ended.reason) == "not enough data (n = 1, needs 5)"


def test_a_conversion_nobody_was_followed_for_is_not_told(tmp_path: Path) -> None:
    found = seen(tmp_path, *(begun(f"d{n}", 12) for n in range(5)), as_of=D[14])
    onward, won = at(found, "A").conversions
    assert (onward.ended.value, onward.staying, onward.at_risk, onward.resolved) == (0, 1, 5, 1)
    assert onward.ended.interval
    assert 0.3 < onward.ended.interval.high < 0.6
    assert (won.ended.value, won.resolved) == (None, 0)
    assert str(won.ended.reason) == "no deal has been followed for 6 working days yet"


def test_a_stage_out_of_the_order_is_named_counted_and_out_of_the_funnel(tmp_path: Path) -> None:
    found = seen(tmp_path, begun("x", 12).then(13, stage="Z").then(15, stage="B"), begun("z", 12, stage="Z"))
    assert found.visits.others == ("Z",)
    stage = at(found, "Z")
    assert (stage.position, stage.reached, stage.conversions) == (None, None, ())
    assert str(stage.reason) == "the stage is not in the configuration"
    assert moved(stage) == {"came_in": 2, "aside": 1}
    assert stage.there
    assert stage.there.deals == 1
    assert stage.dwells[0].median.n == 2
    assert moved(at(found, "A")) == {"came_in": 1, "aside": 1}
    assert reached(found, "A") == (1, 1, 0)
    assert found.created_and_reached("all") == (1, 1, 0, 0, 0)


def test_two_spellings_of_a_stage_are_one_stage_and_one_visit(tmp_path: Path) -> None:
    life = (
        begun("x", 12, stage="First contact")
        .then(13, stage="A")
        .then(16, stage="初步接触")
        .then(17, stage="B")
    )
    desk = bring(tmp_path, [life])
    with desk.snapshots.current().known(END) as connection:
        visits = lay_out(connection, STAGES, END, spellings={"First contact": "A", "初步接触": "A", "A": "A"})
        walked = connection.execute("SELECT position, entered_on, left_on FROM visits ORDER BY nr").fetchall()
    assert visits.others == ()
    assert walked == [(0, D[11], D[16]), (1, D[16], None)]


def test_events_before_creation_are_taken_as_they_are(tmp_path: Path) -> None:
    life = begun("x", 5).then(13, stage="B")
    life.created = D[11]
    assert reached(seen(tmp_path, life, begun("y", 12)), "A") == (1, 0, 0)


def test_a_history_that_starts_late_says_so_and_counts_from_then_on(tmp_path: Path) -> None:
    lives = [begun("x", 2).then(13, stage="B"), begun("y", 2).then(14, status="lost"), begun("z", 16)]
    found = figures(bring(tmp_path, lives))
    assert found.visits.since == D[13]
    compare(found, oracle(lives))
    assert found.seen == Span(D[13], D[24])
    assert str(found.reason) == "the history of stages begins on 2026-01-14"
    assert at(found, "A").reason == found.reason
    assert reached(found, "A") == (1, 0, 0)
    assert moved(at(found, "A")) == {"came_in": 1, "lost": 1}
    early = figures(bring(tmp_path / "early", lives), Span(D[0], D[9]))
    assert [(s.moves, s.there, s.reached, s.dwells) for s in early.stages("all")[:2]] == [
        (None, None, None, ())
    ] * 2
    assert early.created_and_reached("all") == (0,) * 5


def test_without_any_history_there_are_reasons_and_no_zeros(regional: Workspace) -> None:
    day = date(2021, 11, 10)
    with Snapshots(regional.store).current().known(day) as connection:
        open_now = dict(
            connection.execute(
                "SELECT stage, count(*) FROM known WHERE status = 'open' GROUP BY 1"
            ).fetchall()
        )
        visits = lay_out(connection, sorted(open_now), day)
        now, past = (
            funnel(connection, visits, Period.parse(p).span, onward_days=20, won_days=60)
            for p in ("2021-11", "2021-10")
        )
    assert visits.since is None
    assert len(open_now) > 1
    assert {s.stage: s.there.deals for s in now.stages("all") if s.there} == open_now
    for stage in (*now.stages("all"), *past.stages("rep", "1")):
        assert str(stage.reason) == "the data hold no history of stages"
        assert (stage.moves, stage.reached, stage.conversions, stage.dwells) == (None, None, (), ())
    assert [s.there for s in past.stages("all")] == [None] * len(open_now)


def test_one_deal_and_none_at_all_make_a_funnel(tmp_path: Path) -> None:
    found = seen(tmp_path / "one", begun("x", 12))
    [onward, _won] = at(found, "A").conversions
    assert (onward.ended.value, onward.ended.n, onward.ended.interval, onward.ended.n_needed) == (
        0,
        1,
        None,
        5,
    )
    nothing = figures(bring(tmp_path / "none", []), since=D[0])
    assert {str(s.reason) for s in nothing.stages("all")} == {"no deal was ever in this stage"}
    assert nothing.stages("rep", "nobody") == nothing.stages("all")


def test_a_stage_named_twice_counts_at_its_first_place(tmp_path: Path) -> None:
    desk = bring(tmp_path, [begun("x", 12).then(13, stage="B")])
    assert figures(desk, since=D[0], stages="ABA").visits.stages == ("A", "B")


def test_flow_is_deals_that_moved_on_per_week(tmp_path: Path) -> None:
    found = seen(tmp_path, *(begun(f"d{n}", 12).then(13, stage="B") for n in range(4)), begun("x", 12))
    moves = at(found, "A").moves
    assert moves
    assert moves.per_week.value == pytest.approx(4 / (13 / 7))
    assert moves.per_week.interval
    # Garwood 1936: 4 events, 1.0899 to 10.2416
    bounds = (moves.per_week.interval.low * 13 / 7, moves.per_week.interval.high * 13 / 7)
    assert bounds == pytest.approx((1.0899, 10.2416), abs=1e-4)


@contextmanager
def machine_in(zone: str) -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()


def test_the_machines_time_zone_does_not_matter(tmp_path: Path) -> None:
    lives = [Life(f"d{n}", at=datetime(2026, 1, 12, 3 * n)).then(seconds=90_000, stage="B") for n in range(8)]
    found = []
    for zone in ("Pacific/Kiritimati", "America/Los_Angeles"):
        with machine_in(zone):
            found.append(figures(bring(tmp_path / zone, lives), since=D[0]))
    for name in ("counts", "created", "cohorts", "dwells"):
        pd.testing.assert_frame_equal(getattr(found[0], name), getattr(found[1], name))


# The made-up company


def test_everybodys_stages_are_those_of_the_files(demo: Workspace) -> None:
    snapshot = Snapshots(demo.store).current()
    span, horizons = Period.parse("2026-08").span, {"onward": 20, "won": 60}
    with snapshot.known(snapshot.as_of) as connection:
        visits = lay_out(connection, DEMO_STAGES, snapshot.as_of)
        found = funnel(connection, visits, span, onward_days=20, won_days=60)
    compare(found, from_files(shipped("sample_data") / "demo", DEMO_STAGES, snapshot.as_of), horizons)
    hold(found)
    assert len(found.dwells) > 150
