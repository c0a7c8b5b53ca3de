"""Split credit: what people are credited with is the deal's amount, to the last minor unit."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from fractions import Fraction
from random import Random
from time import perf_counter

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coachbook.warehouse.credits import credits_sql

Deal = tuple[str, str | None, int | None]
Split = tuple[str, str, str, float]
Credit = tuple[str, str | None, int | None, bool]


def credited(
    deals: Iterable[Deal], splits: Iterable[Split]
) -> dict[tuple[str, str | None], tuple[int | None, float, bool]]:
    """What the query says: by deal and person, the amount, the share and whether it is the owner's."""
    with closing(duckdb.connect()) as connection:
        for name, columns, rows in (
            ("deals", "deal_id VARCHAR, rep_id VARCHAR, amount_minor BIGINT", list(deals)),
            ("splits", "deal_id VARCHAR, rep_id VARCHAR, kind VARCHAR, share DOUBLE", list(splits)),
        ):
            connection.execute(f"CREATE TABLE {name} ({columns})")
            lists = [list(column) for column in zip(*rows, strict=True)]
            if rows:
                unnested = ", ".join("unnest(?)" for _column in lists)
                connection.execute(f"INSERT INTO {name} SELECT {unnested}", lists)
        found = connection.execute(credits_sql("deals", "splits")).fetchall()
        assert len({row[:2] for row in found}) == len(found)
        return {(deal, rep): (minor, share, owner) for deal, rep, minor, share, owner in found}


def of_one(
    amount: int | None, *splits: tuple[str, float], owner: str | None = "o", overlay: str = ""
) -> dict[str | None, int | None]:
    rows: list[Split] = [("d", rep, "revenue", share) for rep, share in splits]
    rows += [("d", overlay, "overlay", 1.5)] if overlay else []
    return {
        rep: minor for (_deal, rep), (minor, _share, _owner) in credited([("d", owner, amount)], rows).items()
    }


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ([], {"o": 1000}),
        ([("a", 0.6), ("b", 0.4)], {"a": 600, "b": 400}),
        ([("o", 0.5), ("b", 0.5)], {"o": 500, "b": 500}),
        ([("a", 0.25)], {"a": 250, "o": 750}),
        ([("a", 0.25), ("o", 0.25)], {"a": 250, "o": 750}),
        ([("a", 0.6), ("b", 0.6)], {"o": 1000}),
        ([("a", 0.0)], {"o": 1000}),
        ([("a", 0.0), ("b", 1.0)], {"b": 1000}),
        ([(rep, 0.1) for rep in "abcdefghij"], dict.fromkeys("abcdefghij", 100)),
    ],
)  # fmt: skip
def test_who_has_what(splits: list[tuple[str, float]], expected: dict[str, int]) -> None:
    assert of_one(1000, *splits) == expected
    assert of_one(-1000, *splits) == {rep: -minor for rep, minor in expected.items()}
    assert of_one(0, *splits) == dict.fromkeys(expected, 0)
    assert of_one(None, *splits) == dict.fromkeys(expected)


def test_the_last_cents_go_to_the_largest_remainders() -> None:
    assert of_one(100, ("a", 1 / 3), ("b", 1 / 3), ("c", 1 / 3)) == {"a": 34, "b": 33, "c": 33}
    assert of_one(100, ("a", 0.333333), ("b", 0.333333), ("c", 0.333333)) == {"a": 34, "b": 33, "c": 33}
    assert of_one(200, ("z", 1 / 3), ("o", 1 / 3), ("b", 1 / 3)) == {"o": 67, "b": 67, "z": 66}
    assert of_one(3, ("a", 0.5), ("b", 0.3), ("c", 0.2)) == {"a": 1, "b": 1, "c": 1}
    assert of_one(1, ("a", 0.5), ("b", 0.5)) == {"a": 1, "b": 0}
    assert of_one(-1, ("a", 0.5), ("b", 0.5)) == {"a": -1, "b": 0}


def test_two_digits_leave_the_owner_the_rest() -> None:
    assert of_one(10_000, ("a", 0.33), ("b", 0.33), ("c", 0.33)) == {
        "a": 3300,
        "b": 3300,
        "c": 3300,
        "o": 100,
    }


def test_an_overlay_never_counts() -> None:
    assert of_one(1000, ("a", 0.6), ("b", 0.4), overlay="x") == {"a": 600, "b": 400}
    assert of_one(1000, overlay="x") == {"o": 1000}


def test_a_deal_of_nobody_keeps_its_rest() -> None:
    assert of_one(1000, owner=None) == {None: 1000}
    assert of_one(1000, ("a", 0.4), owner=None) == {None: 600, "a": 400}


def test_shares_and_owner_are_told() -> None:
    found = credited(
        [("d", "o", 10), ("e", "o", 10)], [("d", "a", "revenue", 0.25), ("x", "a", "revenue", 1.0)]
    )
    assert found == {("d", "a"): (2, 0.25, False), ("d", "o"): (8, 0.75, True), ("e", "o"): (10, 1.0, True)}


@pytest.mark.parametrize("share", [1e300, float("inf"), float("nan"), 3.0])
def test_no_share_is_too_much_for_it(share: float) -> None:
    assert of_one(2**63 - 1, ("a", share)) == {"o": 2**63 - 1}


def by_hand(deal: Deal, splits: list[Split]) -> dict[tuple[str, str | None], int | None]:
    """The rule in fractions: whole parts first, then one more for the largest remainders."""
    deal_id, owner, amount = deal
    typed: dict[str | None, Fraction] = {
        rep: Fraction(round(share * 10**9), 10**9)
        for d, rep, kind, share in splits
        if (d, kind) == (deal_id, "revenue")
    }
    total, near = sum(typed.values(), Fraction()), Fraction(1, 10**6)
    parts = dict(typed) if 0 < total <= 1 + near else {}
    if sum(parts.values(), Fraction()) < 1 - near:
        parts[owner] = parts.get(owner, Fraction()) + 1 - sum(parts.values(), Fraction())
    parts = {rep: part for rep, part in parts.items() if part}
    if amount is None:
        return {(deal_id, rep): None for rep in parts}
    due = {rep: abs(amount) * part / sum(parts.values()) for rep, part in parts.items()}
    whole = {rep: int(exact) for rep, exact in due.items()}
    order = sorted(due, key=lambda rep: (whole[rep] - due[rep], rep != owner, rep or "~"))
    for rep in order[: abs(amount) - sum(whole.values())]:
        whole[rep] += 1
    return {(deal_id, rep): minor if amount >= 0 else -minor for rep, minor in whole.items()}


people = st.sampled_from(["a", "b", "c", "d", "o"])
shares = st.one_of(
    st.integers(0, 100).map(lambda n: n / 100), st.sampled_from([1 / 3, 2 / 3, 0.333333, 0.6666667, 1 / 7, 1.0, 2.5]),
    st.integers(0, 12 * 10**8).map(lambda n: n / 10**9),
)  # fmt: skip


@st.composite
def split_deals(draw: st.DrawFn) -> tuple[Deal, list[Split]]:
    deal: Deal = (
        "d",
        draw(people | st.none()),
        draw(st.none() | st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-50, 50)),
    )
    told = draw(st.dictionaries(people, shares, max_size=5))
    if told and sum(told.values()) and draw(st.booleans()):
        told = {rep: share / sum(told.values()) for rep, share in told.items()}
    rows: list[Split] = [("d", rep, "revenue", share) for rep, share in told.items()]
    return deal, rows + [("d", rep, "overlay", 0.5) for rep in draw(st.sets(people, max_size=2))]


@given(split_deals())
@settings(max_examples=150, deadline=None)
def test_the_query_is_the_rule_in_fractions(case: tuple[Deal, list[Split]]) -> None:
    deal, splits = case
    found = {key: minor for key, (minor, _share, _owner) in credited([deal], splits).items()}
    assert found == by_hand(deal, splits)
    if deal[2] is not None:
        assert sum(minor or 0 for minor in found.values()) == deal[2]


def test_a_hundred_thousand_deals_add_up_at_once() -> None:
    random = Random(20260930)
    deals: list[Deal] = [
        (f"d{n}", f"r{random.randrange(900)}", random.randint(-(10**6), 10**12)) for n in range(100_000)
    ]
    splits: list[Split] = []
    for deal_id, owner, _amount in deals[:60_000]:
        count = random.randint(1, 4)
        cuts = sorted(random.random() for _cut in range(count - 1))
        sizes = [
            b - a for a, b in zip([0.0, *cuts], [*cuts, random.choice([1.0, 1.0, 0.9, 1.3])], strict=True)
        ]
        who = random.sample([owner or "", *(f"s{k}" for k in range(9))], count)
        splits += [(deal_id, rep, "revenue", max(size, 0.0)) for rep, size in zip(who, sizes, strict=True)]
    began = perf_counter()
    found = credited(deals, splits)
    took = perf_counter() - began
    sums: dict[str, int] = {}
    for (deal_id, _rep), (minor, _share, _owner) in found.items():
        sums[deal_id] = sums.get(deal_id, 0) + (minor or 0)
    assert sums == {deal_id: amount for deal_id, _owner, amount in deals}
    assert took < 20
    by_deal: dict[str, list[Split]] = {}
    for split in splits:
        by_deal.setdefault(split[0], []).append(split)
    for deal in random.sample(deals, 2000):
        for key, minor in by_hand(deal, by_deal.get(deal[0], [])).items():
            assert found[key][0] == minor
