"""People by date: stretches from roster rows, who led whom on a day, leaves, and days at work."""

from __future__ import annotations

import pickle
from datetime import date, timedelta
from itertools import pairwise
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coachbook.model.people import Entry, People, Tenure, resolve
from coachbook.model.periods import Period, Span

Q3 = Period.parse("2026-Q3").span
SEPTEMBER = Period.parse("2026-09").span


def on(text: str) -> date:
    return date.fromisoformat(f"2026-{text}")


def entry(rep: str, effective: str = "", **said: Any) -> Entry:
    plain: dict[str, Any] = {
        "name": rep.title(), "team_id": None, "team": None, "manager": None, "role": "rep", "start_on": None,
        "end_on": None, "presence": None, "ramp": None,
    }  # fmt: skip
    days = ("start_on", "end_on", "seen_on")
    told = {name: on(value) if name in days else value for name, value in said.items()}
    return Entry(rep, on(effective) if effective else None, **(plain | told))


def stretches(*entries: Entry) -> list[tuple[str | None, date | None, date | None]]:
    return [(t.team_id, None if t.from_on == date.min else t.from_on, t.until_on) for t in resolve(entries)]


def test_a_row_holds_until_the_persons_next() -> None:
    found = stretches(
        entry("ann", "07-01", team_id="west"),
        entry("ann", team_id="east"),
        entry("ann", "08-15", team_id="north"),
    )
    assert found == [
        ("east", None, on("07-01")), ("west", on("07-01"), on("08-15")), ("north", on("08-15"), None),
    ]  # fmt: skip


def test_the_last_day_on_the_job_is_a_day_on_the_job() -> None:
    people = People(resolve([entry("ann", start_on="03-02", end_on="09-15")]))
    there = [day for day in ("03-01", "03-02", "09-15", "09-16") if people.tenure("ann", on(day))]
    assert there == ["03-02", "09-15"]


def test_an_end_that_a_later_export_brings_ends_the_stretch_before() -> None:
    assert stretches(
        entry("ann", team_id="east"), entry("ann", seen_on="06-30", team_id="east", end_on="05-15")
    ) == [("east", None, on("05-16"))]
    assert stretches(
        entry("ann", "01-01", team_id="east"), entry("ann", "06-10", team_id="east", end_on="05-31")
    ) == [("east", on("01-01"), on("06-01"))]


def test_a_later_export_corrects_the_first_day_and_a_return_does_not() -> None:
    assert stretches(entry("ann", start_on="03-02"), entry("ann", seen_on="06-30", start_on="04-01")) == [
        (None, on("04-01"), on("06-30")), (None, on("06-30"), None),
    ]  # fmt: skip
    assert stretches(
        entry("ann", start_on="01-02", end_on="02-28"), entry("ann", seen_on="06-30", start_on="06-01")
    ) == [(None, on("01-02"), on("03-01")), (None, on("06-30"), None)]
    assert stretches(entry("ann", "01-02"), entry("ann", "06-01", start_on="06-01")) == [
        (None, on("01-02"), on("06-01")), (None, on("06-01"), None),
    ]  # fmt: skip


def test_of_two_rows_of_one_day_the_one_that_names_it_stands() -> None:
    rows = [entry("ann", seen_on="06-30", team_id="guessed"), entry("ann", "06-30", team_id="said")]
    assert stretches(*rows) == stretches(*rows[::-1]) == [("said", on("06-30"), None)]


def test_a_row_that_never_held_leaves_nothing() -> None:
    assert stretches(entry("ann", "07-01", end_on="06-30")) == []
    assert stretches(entry("ann", start_on="07-01", end_on="06-30")) == []


def test_empty_cells_are_at_work_and_on_full_quota() -> None:
    ann, bob = resolve([entry("ann"), entry("bob", ramp=0.0, presence="leave")])
    assert (ann.presence, ann.ramp, bob.presence, bob.ramp) == ("active", 1.0, "leave", 0.0)


def company(*entries: Entry) -> People:
    """Dora directs the managers Max and Mia; Max hands Ann over to Mia on 1 October."""
    return People(
        resolve(
            [
                entry("dora", role="director"),
                entry("max", role="manager", manager="dora", team_id="east"),
                entry("mia", role="manager", manager="Dora", team_id="west"),
                entry("ann", manager="max", team_id="east"),
                entry("ann", "10-01", manager="Mia", team_id="west"),
                entry("bob", manager="Max", team_id="east", start_on="02-02", end_on="09-15"),
                entry("cai", manager="mia", team_id="west", ramp=0.5, start_on="08-03"),
                entry("cai", "11-01", manager="mia", team_id="west"),
                *entries,
            ]
        )
    )


def test_who_led_whom_across_a_handover() -> None:
    people = company()
    before, after = people.at(on("09-30")), people.at(on("10-01"))
    assert (before.leader("ann"), after.leader("ann")) == ("max", "mia")
    assert (before.reports("max"), after.reports("max")) == (("ann",), ())
    assert (before.reports("mia"), after.reports("mia")) == (("cai",), ("ann", "cai"))
    assert before.reports("dora", deep=False) == after.reports("dora", deep=False) == ("max", "mia")
    assert before.reports("dora") == after.reports("dora") == ("ann", "cai", "max", "mia")
    assert before.above("ann") == ("max", "dora")
    assert (before.team("east"), after.team("east")) == (("ann", "max"), ("max",))
    assert before.teams == ("east", "west")
    assert (before.leader("dora"), before.leader("nobody"), before.reports("nobody")) == ("", "", ())


def test_the_roster_of_a_day_is_who_is_there() -> None:
    people = company()
    assert [sorted(people.at(on(day)).people) for day in ("02-01", "09-15", "09-16")] == [
        ["ann", "dora", "max", "mia"], ["ann", "bob", "cai", "dora", "max", "mia"], ["ann", "cai", "dora", "max", "mia"],
    ]  # fmt: skip
    assert people.at(on("09-16")).leader("bob") == ""
    assert people.at(on("09-16")).above("bob") == (
        "max",
        "dora",
    )  # whoever led last answers for what was left
    assert people.at(on("09-16")).reports("max", left=True) == ("ann", "bob")


def test_a_team_whose_manager_left_is_still_the_directors() -> None:
    roster = company(entry("max", "07-01", role="manager", manager="dora", end_on="07-31")).at(on("08-15"))
    assert "max" not in roster.people
    assert roster.leader("ann") == "max"
    assert roster.reports("dora") == ("ann", "bob", "cai", "mia")


def test_ramp_and_role_are_those_of_the_day() -> None:
    people = company(entry("bob", "05-01", role="manager"))
    ramps = [t.ramp for day in ("10-31", "11-01") if (t := people.tenure("cai", on(day)))]
    roles = [t.role for day in ("04-30", "05-01") if (t := people.tenure("bob", on(day)))]
    assert (ramps, roles) == ([0.5, 1.0], ["rep", "manager"])
    assert people.tenure("cai", on("08-02")) is None
    assert people.tenure("nobody", on("08-02")) is None


def test_a_leave_is_as_long_as_it_is_however_many_rows_tell_of_it() -> None:
    people = company(
        entry("eve", manager="max"),
        entry("eve", "07-06", manager="max", presence="leave"),
        entry("eve", "08-01", manager="mia", presence="leave"),
        entry("eve", "09-21", manager="mia"),
        entry("fay", "01-01", presence="leave"),
    )
    assert people.on_leave("eve", Q3) == (Span(on("07-06"), on("09-21")),)
    assert people.on_leave("eve", SEPTEMBER) == (Span(on("09-01"), on("09-21")),)
    assert people.on_leave("eve", Period.parse("2026-10").span) == ()
    assert people.on_leave("nobody", Q3) == ()
    on_roster, at_work = ({t.rep_id for t in found} for found in (people.during(Q3), people.active(Q3)))
    assert on_roster - at_work == {"fay"}
    august = {t.rep_id for t in people.active(Period.parse("2026-08").span)}
    assert "eve" not in august
    assert people.at(on("08-15")).leader("eve") == "mia"  # on leave, and still on the roster


def test_who_is_there_in_a_part_of_a_span_counts_with_the_last_stretch() -> None:
    people = company()
    year = Period.parse("2026").span
    assert {t.rep_id: t.team_id for t in people.during(year)} == {
        "ann": "west", "bob": "east", "cai": "west", "dora": None, "max": "east", "mia": "west",
    }  # fmt: skip
    assert {t.rep_id for t in people.during(Period.parse("2026-01").span)} == {"ann", "dora", "max", "mia"}
    assert "bob" in {t.rep_id for t in people.during(SEPTEMBER)}


def test_whoever_changed_teams_counts_in_each_for_the_days_there() -> None:
    people = company(
        entry("ann", "10-12", team_id="west", presence="leave"), entry("ann", "10-20", team_id="west")
    )
    days = people.days_at_work(Span(on("09-21"), on("11-01")))
    assert (days["ann", "east"], days["ann", "west"]) == (10, 11 + 12)
    assert ("bob", "east") not in days
    mondays = people.days_at_work(
        Span(on("09-21"), on("10-12")),
        count=lambda s: sum((s.first + timedelta(n)).weekday() == 0 for n in range(s.length_days)),
    )
    assert (mondays["ann", "east"], mondays["ann", "west"]) == (2, 1)


def test_a_name_leads_only_where_one_person_has_it() -> None:
    roster = company(
        entry("w1", name="王伟", role="manager"),
        entry("w2", name="王伟", start_on="06-01"),
        entry("gus", manager="王伟"),
        entry("hal", manager="w1"),
        entry("ida", manager="An Outsider"),
        entry("w1x", name="w1", role="manager"),
    )
    earlier, later = roster.at(on("05-31")), roster.at(on("06-01"))
    assert (earlier.leader("gus"), earlier.unclear) == ("w1", ())
    assert (later.leader("gus"), later.unclear) == ("", ("gus",))
    assert later.leader("hal") == "w1"  # an id comes before a name
    assert later.leader("ida") == "An Outsider"
    assert later.reports("An Outsider") == ("ida",)
    assert later.reports("王伟") == ()


def test_a_name_is_looked_for_among_those_who_are_there_first() -> None:
    people = company(
        entry("old", name="Sam", end_on="03-31"),
        entry("new", name="Sam", start_on="06-01"),
        entry("gus", manager="Sam"),
    )
    assert [people.at(on(day)).leader("gus") for day in ("03-31", "05-01", "06-01")] == ["old", "old", "new"]


def test_rings_are_cut_and_told_and_nobody_else_suffers() -> None:
    roster = company(
        entry("r1", manager="r2"),
        entry("r2", manager="r3"),
        entry("r3", manager="r1"),
        entry("below", manager="r2"),
        entry("self", manager="Self"),
        entry("under", manager="self"),
    ).at(on("09-01"))
    assert roster.rings == (("r1", "r2", "r3"),)
    assert [roster.leader(rep) for rep in ("r1", "r2", "r3", "self")] == ["", "", "", ""]
    assert [roster.reports(rep) for rep in ("r1", "r2", "r3", "self")] == [(), ("below",), (), ("under",)]
    assert roster.above("below") == ("r2",)
    assert roster.reports("dora") == ("ann", "bob", "cai", "max", "mia")


# Any rows at all, against walking day by day

FIRST = date(2026, 1, 1)
SPAN = Span(FIRST, FIRST + timedelta(days=40))
DAYS = [FIRST + timedelta(days=n) for n in range(40)]
REPS = ["a", "b", "c", "d", "e"]
a_day = st.sampled_from(DAYS)
dated = st.builds(
    Entry, rep_id=st.sampled_from(REPS), effective_on=a_day, name=st.sampled_from(["Ann", "Bo", "c"]),
    team_id=st.sampled_from([None, "t", "u"]), team=st.none(), manager=st.sampled_from([None, *REPS, "Ann", "Bo"]),
    role=st.just("rep"), start_on=st.none(), end_on=st.none(),
    presence=st.sampled_from([None, "leave"]), ramp=st.none(),
)  # fmt: skip
whatever = st.builds(
    Entry, rep_id=st.sampled_from(REPS), effective_on=st.none() | a_day, name=st.just("Ann"), team_id=st.none(),
    team=st.none(), manager=st.none(), role=st.just("rep"), start_on=st.none() | a_day, end_on=st.none() | a_day,
    presence=st.none(), ramp=st.none(), seen_on=st.none() | a_day,
)  # fmt: skip
rosters = st.lists(dated, max_size=20, unique_by=lambda e: (e.rep_id, e.effective_on))


@given(st.lists(whatever, max_size=12))
def test_stretches_never_overlap_nor_leave_the_job(entries: list[Entry]) -> None:
    tenures = resolve(entries)
    for before, after in pairwise(tenures):
        assert before.rep_id <= after.rep_id
        if before.rep_id == after.rep_id:
            assert before.until_on is not None
            assert before.until_on <= after.from_on
    for t in tenures:
        assert t.from_on < (t.until_on or date.max)
        assert t.start_on is None or t.start_on <= t.from_on
        assert t.end_on is None or (t.until_on is not None and t.until_on <= t.end_on + timedelta(days=1))


@given(rosters, a_day)
def test_the_last_row_by_a_day_says_what_somebody_is(entries: list[Entry], day: date) -> None:
    people = People(resolve(entries))
    for rep in REPS:
        begun = [e for e in entries if e.rep_id == rep and e.effective_on and e.effective_on <= day]
        latest = max(begun, key=lambda e: e.effective_on or FIRST, default=None)
        found = people.tenure(rep, day)
        assert (found is None) == (latest is None)
        assert (
            found is None
            or latest is None
            or (found.manager, found.presence) == (latest.manager, latest.presence or "active")
        )


@given(rosters, a_day)
def test_trees_are_those_of_a_slow_walk(entries: list[Entry], day: date) -> None:
    people = People(resolve(entries))
    roster = people.at(day)
    known = {rep: t for rep in REPS if (t := people.tenure(rep, day))}
    named: dict[str, str] = {}
    for rep, t in known.items():
        fits = (
            [t.manager]
            if t.manager in {e.rep_id for e in entries}
            else [r for r in known if known[r].name == t.manager]
        )
        leader = fits[0] if len(fits) == 1 else "" if fits else t.manager or ""
        named[rep] = "" if leader == rep else leader

    def chain(rep: str) -> list[str]:
        steps = [named.get(rep, "")]
        while steps[-1] and len(steps) < 10:
            steps.append(named.get(steps[-1], ""))
        return [step for step in steps if step]

    in_ring = {rep for rep in known if rep in chain(rep)}
    assert {rep for ring in roster.rings for rep in ring} == in_ring
    for manager in {*REPS, *named.values()} - {""}:
        below = set()
        for rep in set(known) - in_ring:
            above = chain(rep)
            cut = next((n for n, step in enumerate(above) if step in in_ring), len(above))
            if manager in above[: cut + 1]:
                below.add(rep)
        assert set(roster.reports(manager)) == below
        assert set(roster.reports(manager, deep=False)) == {r for r in below if named[r] == manager}


@given(rosters)
@settings(max_examples=50)
def test_days_at_work_and_leave_are_those_of_a_slow_count(entries: list[Entry]) -> None:
    people = People(resolve(entries))
    slow: dict[tuple[str, str | None], int] = {}
    leave: dict[str, int] = {}
    for rep in REPS:
        for day in DAYS:
            t = people.tenure(rep, day)
            if t and t.presence == "active":
                slow[rep, t.team_id] = slow.get((rep, t.team_id), 0) + 1
            elif t:
                leave[rep] = leave.get(rep, 0) + 1
    assert people.days_at_work(SPAN) == slow
    for rep in REPS:
        leaves = people.on_leave(rep, SPAN)
        assert sum(s.length_days for s in leaves) == leave.get(rep, 0)
        assert all(a.after < b.first for a, b in pairwise(leaves))
    assert {t.rep_id for t in people.active(SPAN)} == {rep for rep, _team in slow}


def test_ten_thousand_people_are_found_at_once() -> None:
    entries = [
        Entry(f"r{n}", None if k == 0 else FIRST + timedelta(days=30 * k), f"Name {n}", f"t{n // 10}", None,
              f"r{n // 8}", "rep", None, None, None, None)
        for n in range(1, 10_001) for k in range(4)
    ]  # fmt: skip
    began = process_time()
    people = People(resolve(entries))
    roster = people.at(date(2026, 3, 15))
    everybody = roster.reports("r1")
    chains = sum(len(roster.above(f"r{n}")) for n in range(1, 10_001))
    took = process_time() - began
    assert len(everybody) == 8 + 64 + 512 + 4096
    assert chains > 10_000
    assert people.at(date(2026, 3, 15)) is roster
    assert took < 5
    assert pickle.loads(pickle.dumps(people)).tenures == people.tenures


@pytest.mark.parametrize("field", ["team_id", "name"])
def test_a_tenure_cannot_be_changed(field: str) -> None:
    (tenure,) = resolve([entry("ann")])
    assert isinstance(tenure, Tenure)
    with pytest.raises(AttributeError):
        setattr(tenure, field, "other")
