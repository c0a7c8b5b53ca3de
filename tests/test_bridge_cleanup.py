"""Clean-up has its own tag in the pipeline bridge, and changes nothing else of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from coachbook import cleanup
from coachbook.cleanup import Decisions
from coachbook.metrics.bridge import CLEAN_UP_DAYS, CLEANED, FLOWS, Amount, Bridge, CleanUp, bridges
from coachbook.model.periods import Span
from tests.oracles.bridge import Company, Event
from tests.test_bridge import (
    CASES,
    EARLIER,
    IN,
    LATER,
    NEW,
    RATED,
    SPAN,
    TEAMS,
    D,
    companies,
    everybody,
    known,
    log,
    made,
)
from tests.test_cleanup import decision
from tests.warehouse import Desk

Told = list[tuple[int, dict[str, Any]]]


def tagged(
    *clean_ups: CleanUp, of: list[Event], as_of: date = D[30], span: Span = SPAN, team: str = "X"
) -> dict[str, tuple[int, int]]:
    """What is clean-up, the same for the company, rep a and the team."""
    found = bridges(known(Company(of, TEAMS, RATED)), span, as_of, clean_ups=clean_ups)
    bare = bridges(known(Company(of, TEAMS, RATED)), span, as_of)
    assert [replace(one, cleaned_up={}) for one in everybody(found)] == list(everybody(bare))
    every = [found.org, found.reps["a"], found.teams[team]]
    assert every[0].cleaned_up == every[1].cleaned_up == every[2].cleaned_up
    return {name: (amount.count, amount.minor) for name, amount in every[0].cleaned_up.items()}


# Each flow, by the kind of decision that calls for it


FLOW_OF: dict[str, tuple[Told, tuple[int, int]]] = {
    "lost": ([(1, NEW), (4, {"status": "lost"})], (1, 100)),
    "deleted": ([(1, NEW), (4, {"status": "deleted"})], (1, 100)),
    "pulled_in": ([(1, {**NEW, "close_on": LATER}), (4, {"close_on": IN})], (1, 100)),
    "pushed_in": ([(1, {**NEW, "close_on": EARLIER}), (4, {"close_on": IN})], (1, 100)),
    "dated_in": ([(1, {**NEW, "close_on": None}), (4, {"close_on": IN})], (1, 100)),
    "pushed_out": ([(1, NEW), (4, {"close_on": LATER})], (1, 100)),
    "pulled_out": ([(1, NEW), (4, {"close_on": EARLIER})], (1, 100)),
    "increases": ([(1, NEW), (4, {"amount": 130})], (0, 30)),
    "decreases": ([(1, NEW), (4, {"amount": 80})], (0, 20)),
    "won": ([(1, NEW), (4, {"status": "won"})], (1, 100)),
    "reopened": ([(1, {**NEW, "status": "lost"}), (4, {"status": "open"})], (1, 100)),
    "dated_out": ([(1, NEW), (4, {"close_on": None})], (1, 100)),
    "created": ([(4, NEW)], (1, 100)),
}  # fmt: skip
KIND_OF = {
    "lost": "dead", "deleted": "dead", "pulled_in": "close_on", "pushed_in": "close_on", "dated_in": "close_on",
    "pushed_out": "close_on", "pulled_out": "close_on", "increases": "amount", "decreases": "amount",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["dead", "close_on", "amount", "next_step", "keep"])
@pytest.mark.parametrize("flow", FLOW_OF)
def test_a_flow_is_clean_up_only_if_a_decision_of_its_kind_called_for_it(flow: str, kind: str) -> None:
    told, expected = FLOW_OF[flow]
    found = tagged(CleanUp("x", kind, D[4]), of=log("x", *told))
    assert found == ({flow: expected} if KIND_OF.get(flow) == kind else {})


def test_transfers_are_never_clean_up() -> None:
    assert set(CLEANED) == set(KIND_OF)
    told = log("x", (1, NEW), (4, {"owner": "c", "amount": 80}))
    found = bridges(known(Company(told, TEAMS, RATED)), SPAN, D[30], clean_ups=[CleanUp("x", k, D[4]) for k in set(KIND_OF.values())])  # fmt: skip
    assert (
        dict(found.reps["a"].cleaned_up) == {"decreases": Amount(0, 20)} == dict(found.teams["X"].cleaned_up)
    )
    assert dict(found.reps["c"].cleaned_up) == {}


# When


@pytest.mark.parametrize(
    ("days_before", "counts"), [(-1, False), (0, True), (1, True), (CLEAN_UP_DAYS, True), (CLEAN_UP_DAYS + 1, False)]
)  # fmt: skip
def test_it_counts_from_its_day_for_sixty_days(days_before: int, counts: bool) -> None:
    assert CLEAN_UP_DAYS == 60
    made_on = D[4] - timedelta(days=days_before)
    found = tagged(CleanUp("x", "dead", made_on), of=log("x", (1, NEW), (4, {"status": "lost"})))
    assert found == ({"lost": (1, 100)} if counts else {})


@pytest.mark.parametrize(("until", "counts"), [(D[3], False), (D[4], False), (D[5], True), (None, True)])
def test_it_counts_no_longer_once_something_else_is_decided(until: date | None, counts: bool) -> None:
    found = tagged(CleanUp("x", "dead", D[2], until), of=log("x", (1, NEW), (4, {"status": "lost"})))
    assert found == ({"lost": (1, 100)} if counts else {})


def test_only_the_deal_that_was_decided_about_is_tagged_and_once_however_often_it_was() -> None:
    events = [
        *log("x", (1, NEW), (4, {"status": "lost"})),
        *log("y", (1, {**NEW, "amount": 7}), (4, {"status": "lost"})),
    ]
    assert tagged(CleanUp("x", "dead", D[2]), CleanUp("x", "dead", D[3]), of=events) == {"lost": (1, 100)}
    assert tagged(CleanUp("y", "dead", D[2]), CleanUp("x", "dead", D[3]), of=events) == {"lost": (2, 107)}
    assert tagged(CleanUp("z", "dead", D[2]), of=events) == {}


def test_a_deal_of_0_is_tagged_by_its_count() -> None:
    assert tagged(
        CleanUp("x", "dead", D[2]), of=log("x", (1, {**NEW, "amount": None}), (4, {"status": "lost"}))
    ) == {"lost": (1, 0)}


@pytest.mark.parametrize("as_of", D[3:8])
def test_what_is_decided_after_the_day_changes_nothing_of_a_review_of_it(as_of: date) -> None:
    events = log("x", (1, NEW), (4, {"amount": 80}), (6, {"status": "lost"}))
    first = [CleanUp("x", "amount", D[4])]
    expected = {"decreases": (0, 20)} if as_of >= D[4] else {}
    later = [CleanUp("x", kind, as_of + timedelta(days=1)) for kind in ("dead", "amount", "close_on")]
    assert (
        tagged(*first, of=events, as_of=as_of) == tagged(*first, *later, of=events, as_of=as_of) == expected
    )
    withdrawn = [CleanUp("x", "amount", D[4], as_of + timedelta(days=1))]
    assert tagged(*withdrawn, of=events, as_of=as_of) == expected


# Any log


KINDS = st.sampled_from(["dead", "close_on", "amount", "next_step", "keep"])
DECIDED = st.lists(
    st.builds(CleanUp, st.sampled_from(["deal0", "deal1", "deal2", "deal3"]), KINDS, st.sampled_from(D[:12]), st.sampled_from([None, *D[3:12]])),
    max_size=6,
)  # fmt: skip


@settings(max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(companies(currencies=("USD", "EUR")), DECIDED)
def test_whatever_was_decided_flows_and_residual_stay_and_the_tag_is_a_part_of_them(
    company: Company, decided: list[CleanUp]
) -> None:
    bare = made(company)
    found = bridges(known(company), SPAN, D[30], clean_ups=decided)
    for one, without in zip(everybody(found), everybody(bare), strict=True):
        assert replace(one, cleaned_up={}) == without
        assert one.residual == Amount(0, 0)
        assert set(one.cleaned_up) <= set(CLEANED)
        for name, amount in one.cleaned_up.items():
            assert 0 <= amount.count <= one.flows[name].count
            assert amount != Amount()
    everything = bridges(known(company), SPAN, D[30], clean_ups=[
        CleanUp(deal, kind, D[0]) for deal in {e.deal for e in company.events} for kind in ("dead", "close_on", "amount")
    ])  # fmt: skip
    for one in everybody(everything):
        assert dict(one.cleaned_up) == {n: a for n, a in one.flows.items() if n in CLEANED and a != Amount()}


# As it is written, and from decisions


def test_a_review_names_clean_up_in_the_order_of_flows_and_only_what_there_is() -> None:
    plain = made(Company(log("x", (1, NEW)), TEAMS, RATED)).org.to_dict()
    assert plain["cleanup"] == {}
    bridge = Bridge(
        Amount(),
        Amount(),
        dict.fromkeys(FLOWS, Amount(2, 9)),
        cleaned_up={"deleted": Amount(1, 4), "decreases": Amount(0, 3)},
    )
    assert list(bridge.to_dict()) == ["start", "end", "flows", "residual", "cleanup"]
    assert list(bridge.to_dict()["cleanup"].items()) == [
        ("decreases", {"count": 0, "minor": 3}),
        ("deleted", {"count": 1, "minor": 4}),
    ]
    assert list(bridge.to_dict()["flows"]) == list(FLOWS)


def test_from_exports_and_decisions_to_the_tag(tmp_path: Path) -> None:
    deal = {"close_on": IN, "amount_minor": 100, "rep_id": "a"}
    desk = Desk(tmp_path)
    desk.export(
        D[2],
        deals=[{**deal, "deal_id": i} for i in "xyzv"],
        reps=[{"rep_id": "a", "name": "a", "team_id": "X", "role": "rep"}],
    )
    desk.export(D[6], deals=[
        {**deal, "deal_id": "x", "status": "lost"}, {**deal, "deal_id": "y", "status": "lost"},
        {**deal, "deal_id": "z", "amount_minor": 60}, {**deal, "deal_id": "v", "close_on": LATER},
    ])  # fmt: skip
    decided = Decisions((
        decision("x", "dead", on=4), decision("y", "dead", on=3), decision("y", "keep", on=5),
        decision("z", "amount", "60", on=4, currency="USD"), decision("v", "close_on", LATER.isoformat(), on=7),
    ))  # fmt: skip
    snapshot = desk.snapshots.current()
    with closing(snapshot.known(D[8])) as connection:
        [found] = [bridges(connection, SPAN, D[8], clean_ups=decided.known(D[8]).clean_ups).org]
    assert found.flows["lost"] == Amount(2, 200)
    assert dict(found.cleaned_up) == {"lost": Amount(1, 100), "decreases": Amount(0, 40)}
    assert found.residual == Amount(0, 0)
    assert cleanup.outcomes(decided, snapshot).to_dict()["done"] == 3


def cases() -> Iterator[Any]:
    return (pytest.param(told, id=name) for name, (told, _expected) in CASES.items())


@pytest.mark.parametrize("told", cases())
def test_a_decision_never_makes_a_flow(told: Told) -> None:
    events = log("x", *told)
    found = tagged(*(CleanUp("x", kind, D[0]) for kind in ("dead", "close_on", "amount")), of=events)
    bare = made(Company(events, TEAMS, RATED)).org.flows
    assert found == {n: (a.count, a.minor) for n, a in bare.items() if n in CLEANED and a != Amount()}
