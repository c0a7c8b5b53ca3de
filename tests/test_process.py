"""What people did: counted as METRICS.md says, and nothing where nothing is captured."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from coachbook.metrics import process as made
from coachbook.metrics.funnel import NO_STAGES
from coachbook.metrics.process import TABLES, TOUCHES, Processes, Seen, conversions, process, record
from coachbook.metrics.velocity import NO_DAYS, NONE_OPEN, ORG
from coachbook.model.periods import Span
from coachbook.model.quality import Sentence
from tests.oracles import process as oracle
from tests.oracles.velocity import AS_OF, Company, Deal
from tests.oracles.velocity import made_up as company_of
from tests.test_velocity import exported, one

MARCH = Span(date(2026, 3, 1), date(2026, 4, 1))
PEOPLE: list[tuple[str, date, str | None]] = [
    ("a", date.min, "X"),
    ("b", date.min, "X"),
    ("c", date.min, "Y"),
]
FIRST = datetime(2026, 1, 7, 9)
"""When everything begins to be captured."""


def visit(day: int, *, month: int = 3, hour: int = 10, **more: Any) -> dict[str, Any]:
    """An effective one."""
    return {
        "rep_id": "a", "kind": "visit", "occurred_at": datetime(2026, month, day, hour), "account_id": "k1", "contact_id": "p1",
        "held": True, "outcome": "agreed", "minutes": 45, "checked_in": None, "deal_id": None, **more,
    }  # fmt: skip


def did(kind: str, day: int, deal: str | None = "d", *, month: int = 3, **more: Any) -> dict[str, Any]:
    return {
        "rep_id": "a",
        "kind": kind,
        "occurred_at": datetime(2026, month, day, 10),
        "deal_id": deal,
        **more,
    }


EARLIER = [
    visit(7, month=1, rep_id="c"),
    *({"rep_id": "c", "kind": k, "occurred_at": FIRST} for k in ("call", "document")),
]


def lead(day: int, days: int | None = None, *, month: int = 3, **more: Any) -> dict[str, Any]:
    """Created on a day of March, converted so many days after."""
    created = date(2026, month, day)
    decided = None if days is None else created + timedelta(days=days)
    return {
        "rep_id": "a",
        "created_on": created,
        "status": "open" if days is None else "converted",
        "decided_on": decided,
        **more,
    }


FIRST_LEAD = lead(5, 2, month=1, rep_id="c")


def _found(
    folder: Path, activities: Sequence[dict[str, Any]] = (), leads: Sequence[dict[str, Any]] = (), *,
    deals: Sequence[Deal] = (), span: Span = MARCH, as_of: date = AS_OF, on: date = AS_OF,
    people: list[tuple[str, date, str | None]] = PEOPLE, tables: dict[str, Any] | None = None, **asked: Any,
) -> Processes:  # fmt: skip
    numbered = [{"activity_id": f"x{n}", **row} for n, row in enumerate(activities)]
    waiting = [{"lead_id": f"l{n}", **row} for n, row in enumerate(leads)]
    given = {"activities": numbered} if numbered else {}
    given |= {"leads": waiting} if waiting else {}
    desk = exported(folder, Company(list(deals), people), on=on, **given, **(tables or {}))
    with desk.snapshots.current().known(as_of, TABLES) as connection:
        record(connection, as_of, zone=asked.pop("zone", "UTC"))
        return process(connection, span, as_of, **asked)


EFFECTIVE = {
    "as it should be": ([{}], 1),
    "called off": ([{"held": False}], 0),
    "nothing said of having been held": ([{"held": None}], 1),
    "no outcome": ([{"outcome": None}], 0),
    "an empty outcome": ([{"outcome": ""}], 0),
    "nobody named": ([{"contact_id": None}], 0),
    "too short": ([{"minutes": 29}], 0),
    "just long enough": ([{"minutes": 30}], 1),
    "short but checked in": ([{"minutes": 5, "checked_in": True}], 1),
    "no minutes, not checked in": ([{"minutes": None, "checked_in": False}], 0),
    "a meeting": ([{"kind": "meeting"}], 0),
    "twice on a day": ([{}, {"hour": 15}], 1),
    "twice on a day, two contacts": ([{}, {"contact_id": "p2"}], 1),
    "the first of two was none": ([{"outcome": None}, {}], 1),
    "two customers": ([{}, {"account_id": "k2"}], 2),
    "a customer that was merged into the other": ([{}, {"account_id": "old"}], 1),
    "the customer by the deal": ([{}, {"account_id": None, "deal_id": "d"}], 1),
    "the customer by the contact": ([{}, {"account_id": None, "contact_id": "p1"}], 1),
    "no customer but a contact": ([{"account_id": None, "contact_id": "p9"}, {"account_id": None, "contact_id": "p8"}], 2),
    "two days": ([{}, {"day": 10}], 2),
    "the last day": ([{"day": 31}], 1),
    "the day after": ([{"day": 1, "month": 4}], 0),
}  # fmt: skip


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A connection to a company whose activities a test writes itself."""
    accounts = [{"account_id": k, "name": k} for k in ("k1", "k2")] + [
        {"account_id": "old", "name": "o", "merged_into": "k1"}
    ]
    tables = {
        "accounts": accounts, "contacts": [{"contact_id": "p1", "name": "p", "account_id": "k1"}],
        "activities": [{"activity_id": "x", **EARLIER[0]}],
    }  # fmt: skip
    desk = exported(
        tmp_path_factory.mktemp("firm"), Company([one("d", date(2026, 2, 2), None)], PEOPLE), **tables
    )
    with desk.snapshots.current().known(AS_OF, TABLES) as connection:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE the_deal AS SELECT * REPLACE ('k1' AS account_id) FROM known"
        )
        connection.execute("CREATE OR REPLACE TEMP VIEW known AS FROM the_deal")
        yield connection


@pytest.mark.parametrize("case", EFFECTIVE)
def test_an_effective_visit(case: str, firm: Any) -> None:
    said, count = EFFECTIVE[case]
    visits = [EARLIER[0], *(visit(**{"day": 9, **more}) for more in said)]
    columns = (
        "rep_id",
        "kind",
        "occurred_at",
        "deal_id",
        "account_id",
        "contact_id",
        "held",
        "outcome",
        "minutes",
        "checked_in",
    )
    kinds = (
        "VARCHAR",
        "VARCHAR",
        "TIMESTAMP",
        "VARCHAR",
        "VARCHAR",
        "VARCHAR",
        "BOOLEAN",
        "VARCHAR",
        "BIGINT",
        "BOOLEAN",
    )
    unnested = ", ".join(f"unnest(${c}::{k}[]) AS {c}" for c, k in zip(columns, kinds, strict=True))
    firm.execute(
        f"CREATE OR REPLACE TEMP TABLE given AS SELECT row_number() OVER ()::VARCHAR AS activity_id, * FROM (SELECT {unnested})",
        {c: [row.get(c) for row in visits] for c in columns},
    )
    firm.execute("CREATE OR REPLACE TEMP VIEW known_activities AS FROM given")
    record(firm, AS_OF)
    found = process(firm, MARCH, AS_OF)
    for scope in (("rep", "a"), ("team", "X"), ORG):
        assert found.of(*scope).effective_visits.value == count
    assert found.of("rep", "b").effective_visits.value == 0


def test_joint_visits_are_one_for_the_team_and_one_for_each(tmp_path: Path) -> None:
    found = _found(
        tmp_path, [*EARLIER, visit(9), visit(9, rep_id="b"), visit(9, rep_id="b", hour=16, outcome=None)]
    )
    made_by = {scope: found.of(*scope).effective_visits.value for scope in found.scopes}
    assert made_by == {
        ("rep", "a"): 1,
        ("rep", "b"): 1,
        ("rep", "c"): 0,
        ("team", "X"): 1,
        ("team", "Y"): 0,
        ORG: 1,
    }
    assert [found.of(*scope).visits for scope in (("rep", "b"), ("team", "X"), ("rep", "c"))] == [2, 3, 0]


def test_no_visits_is_not_visits_that_are_not_captured(tmp_path: Path) -> None:
    none = _found(tmp_path / "none", EARLIER).of("rep", "a").effective_visits
    assert (none.value, none.n, none.reason) == (0, 0, None)
    assert none.interval
    assert (none.interval.low, none.interval.high) == (0, pytest.approx(stats.chi2.ppf(0.975, 2) / 2))
    lacking = {
        made.NO_VISITS: {"kind": "meeting"}, made.NO_OUTCOMES: {"outcome": None}, made.NO_CONTACTS: {"contact_id": None},
        made.NO_MINUTES: {"minutes": None},
    }  # fmt: skip
    for n, (reason, without) in enumerate(lacking.items()):
        found = _found(tmp_path / str(n), [visit(7, month=1, **without), visit(9, **without)])
        for scope in (("rep", "a"), ORG):
            said = found.of(*scope)
            assert (said.effective_visits.value, said.effective_visits.interval, said.visits) == (
                None,
                None,
                None,
            )
            assert str(said.effective_visits.reason) == reason


def test_nothing_is_captured_at_all(tmp_path: Path) -> None:
    said = _found(tmp_path, deals=[one("d", date(2026, 2, 2), None)]).of("rep", "a")
    reasons = [made.NO_VISITS, made.NO_DOCUMENTS, made.NO_TOUCHES, made.NO_LEADS, made.NO_LEADS]
    figures = [said.effective_visits, said.proposals, said.follow_up, said.new_leads, said.conversion]
    assert [str(f.reason) for f in figures] == reasons
    assert {f.value for f in figures} == {None}
    assert (said.too_young, said.undated) == (0, 0)


def test_before_and_after_what_is_captured(tmp_path: Path) -> None:
    """Outcomes are recorded from the 10th of March on only; everything was last imported on the 20th."""
    rows = [*(visit(n, outcome=None) for n in (2, 3)), visit(10), visit(11), visit(12, month=2, outcome=None)]
    part = _found(tmp_path / "part", rows)
    assert part.seen["effective_visits"].days == Span(date(2026, 3, 10), MARCH.after)
    said = part.of("rep", "a").effective_visits
    assert (said.value, said.reason) == (2, Sentence(made.BEFORE_CAPTURE, {"day": date(2026, 3, 10)}))
    january = _found(tmp_path / "before", rows, span=Span(date(2026, 1, 1), date(2026, 2, 1)))
    assert january.of("org").effective_visits.value is None
    assert january.seen["effective_visits"] == Seen(
        None, Sentence(made.BEFORE_CAPTURE, {"day": date(2026, 3, 10)})
    )
    late = _found(tmp_path / "late", [*EARLIER, visit(9)], on=date(2026, 3, 20), as_of=date(2026, 4, 5))
    assert late.seen["effective_visits"] == Seen(
        Span(MARCH.first, date(2026, 3, 21)), Sentence(made.AFTER_CAPTURE, {"day": date(2026, 3, 20)})
    )
    april = _found(
        tmp_path / "april",
        [*EARLIER, visit(9)],
        on=date(2026, 3, 20),
        as_of=date(2026, 4, 5),
        span=Span(date(2026, 4, 1), date(2026, 5, 1)),
    )
    assert april.of("org").effective_visits.reason == Sentence(made.AFTER_CAPTURE, {"day": date(2026, 3, 20)})
    ahead = _found(tmp_path / "ahead", EARLIER, span=Span(date(2026, 8, 1), date(2026, 9, 1)))
    assert str(ahead.of("org").effective_visits.reason) == NO_DAYS


def test_the_as_of_day_cuts_everything_later(tmp_path: Path) -> None:
    as_of = date(2026, 3, 9)
    rows = [
        *EARLIER,
        visit(9, hour=23),
        visit(10),
        did("call", 9, None),
        did("call", 10, None),
        did("document", 10),
    ]
    leads = [FIRST_LEAD, lead(1, 5), lead(1, 20), lead(9), lead(10)]
    found = _found(
        tmp_path, rows, leads, deals=[one("d", date(2026, 3, 2), None)], as_of=as_of, horizon_days=7
    )
    said = found.of("rep", "a")
    assert (said.effective_visits.value, said.visits, said.proposals.value) == (1, 1, 0)
    assert (said.new_leads.value, said.too_young, said.conversion.value, said.conversion.n) == (3, 1, 0.5, 2)
    assert found.of("org").follow_up.value == 0
    assert found.seen["follow_up"].days == Span(MARCH.first, date(2026, 3, 10))


def test_what_is_captured_later_is_not_captured_yet(tmp_path: Path) -> None:
    said = _found(tmp_path, [visit(10), did("document", 10)], [lead(10)], as_of=date(2026, 3, 9)).of("org")
    figures = [said.effective_visits, said.proposals, said.follow_up, said.new_leads]
    assert [str(f.reason) for f in figures] == [
        made.NO_VISITS,
        made.NO_DOCUMENTS,
        made.NO_TOUCHES,
        made.NO_LEADS,
    ]


def test_a_day_is_that_of_the_time_zone(tmp_path: Path) -> None:
    rows = [*EARLIER, visit(28, month=2, hour=17), visit(31, hour=17)]
    here = _found(tmp_path / "utc", rows).of("rep", "a")
    there = _found(tmp_path / "cn", [*rows, visit(1, hour=5)], zone="Asia/Shanghai").of("rep", "a")
    assert (here.visits, there.visits) == (1, 2)
    assert there.effective_visits.value == 1, "17 and 5 o'clock are one day there"


def test_proposals_are_stage_entries_or_documents(tmp_path: Path) -> None:
    def moved(name: str, *steps: tuple[int, str]) -> Deal:
        deal = one(name, date(2026, 2, 2), None)
        deal.steps += [
            (datetime(2026, 3, 1) + timedelta(seconds=at), {"stage": stage}) for at, stage in steps
        ]
        return deal

    day = 86_400
    deals = [
        moved("in", (5 * day, "B")), moved("and back and in", (5 * day, "B"), (6 * day, "A"), (7 * day, "B")),
        moved("passed", (5 * day, "B"), (5 * day + 1, "C")), moved("just stayed", (5 * day, "B"), (5 * day + 2, "C")),
        moved("later", (31 * day, "B")), moved("spelled", (5 * day, "b")),
    ]  # fmt: skip
    rows = [
        *EARLIER,
        did("document", 9),
        did("document", 10),
        did("document", 10, "e"),
        did("document", 9, None),
        did("document", 9, "f", held=False),
    ]
    asked: dict[str, Any] = {"proposal": ["B", "b"], "since": date(2026, 2, 1)}
    entered = _found(tmp_path / "stage", rows, deals=deals, **asked)
    assert (entered.of("rep", "a").proposals.value, entered.of("rep", "b").proposals.value) == (4, 0)
    sent = _found(tmp_path / "documents", rows, deals=deals).of("rep", "a")
    assert sent.proposals.value == 3
    assert (
        str(_found(tmp_path / "none", rows, deals=deals, proposal=["B"]).of("org").proposals.reason)
        == NO_STAGES
    )
    early = _found(tmp_path / "early", rows, deals=deals, proposal=["B"], since=date(2026, 3, 7))
    assert early.seen["proposals"].days == Span(date(2026, 3, 7), MARCH.after)
    assert early.of("org").proposals.value == 1


def test_follow_up_is_touches_per_deal_and_week_at_risk(tmp_path: Path) -> None:
    """Open for 14 days, the day of its decision one of them; touched 3 times, once by a colleague; the rest does not count."""
    deal = one("d", date(2026, 3, 5), date(2026, 3, 18))
    rows = [
        *EARLIER, did("call", 5), did("email", 18), did("meeting", 9, rep_id="b"), did("note", 9), did("task", 9),
        did("call", 4), did("call", 19), did("call", 9, None), did("visit", 9, held=False),
    ]  # fmt: skip
    found = _found(tmp_path, rows, deals=[deal, one("b's", date(2026, 3, 1), None, owner="b")])
    mine = found.of("rep", "a").follow_up
    assert mine.value == pytest.approx(3 / 2)
    assert (mine.n, mine.interval, mine.n_needed) == (1, None, made.SMALLEST_DEALS)
    assert (found.of("rep", "b").follow_up.value, str(found.of("rep", "c").follow_up.reason)) == (
        0,
        NONE_OPEN,
    )
    assert found.of("team", "X").follow_up.value == pytest.approx(3 / (14 + 31) * 7)


def test_the_interval_of_follow_up_is_a_bootstrap_over_deals(tmp_path: Path) -> None:
    """Five touches of one deal are less than one each of five."""
    deals = [one(f"d{n}", date(2026, 3, 1) + timedelta(days=n % 20), None) for n in range(40)]
    rows = [did("call", 28, f"d{n}") for n in range(40) for _ in range(n % 4 * 3)]
    found = _found(tmp_path, [*EARLIER, *rows], deals=deals).of("rep", "a").follow_up
    touches, days = np.array([n % 4 * 3 for n in range(40)]), np.array([31 - n % 20 for n in range(40)])
    picks = np.random.default_rng(1).integers(40, size=(8000, 40))
    low, high = np.quantile(touches[picks].sum(axis=1) / days[picks].sum(axis=1) * 7, [0.025, 0.975])
    assert found.value == pytest.approx(touches.sum() / days.sum() * 7)
    assert (found.n, found.interval is not None) == (40, True)
    assert found.interval
    assert found.interval.low == pytest.approx(low, abs=0.09 * (high - low))
    assert found.interval.high == pytest.approx(high, abs=0.09 * (high - low))


def test_lead_conversion_leaves_the_young_out(tmp_path: Path) -> None:
    """As of the 30th of June, 90 days back is the 1st of April."""
    rows = [
        FIRST_LEAD, lead(1, 0, month=4), lead(1, 60, month=4), lead(1, 90, month=4, rep_id="b"), lead(1, None, month=4),
        lead(1, 10, month=4, status="dropped"), lead(2, 1, month=4), lead(9, None, month=4),
    ]  # fmt: skip
    found = _found(tmp_path, leads=rows, span=Span(date(2026, 4, 1), date(2026, 5, 1)))
    whole, a = found.of("org"), found.of("rep", "a")
    assert (whole.new_leads.value, whole.conversion.n, whole.conversion.value, whole.too_young) == (
        7,
        5,
        0.6,
        2,
    )
    assert whole.conversion.interval
    bounds = (whole.conversion.interval.low, whole.conversion.interval.high)
    assert bounds == pytest.approx(proportion_confint(3, 5, method="wilson"))
    assert (a.conversion.value, a.conversion.n, a.conversion.interval, a.conversion.n_needed) == (
        0.5,
        4,
        None,
        5,
    )
    short = _found(
        tmp_path / "short", leads=rows, span=Span(date(2026, 4, 1), date(2026, 5, 1)), horizon_days=60
    )
    assert (short.of("org").conversion.value, short.of("org").conversion.n) == (3 / 7, 7)


def test_why_there_is_no_lead_conversion(tmp_path: Path) -> None:
    young = _found(tmp_path / "young", leads=[FIRST_LEAD, lead(9)], horizon_days=120).of("rep", "a")
    assert (young.conversion.value, str(young.conversion.reason)) == (
        None,
        str(Sentence(made.TOO_YOUNG, {"days": 120})),
    )
    none = _found(tmp_path / "none", leads=[FIRST_LEAD])
    assert (none.of("org").new_leads.value, str(none.of("org").conversion.reason)) == (0, made.NO_LEAD)
    undated = {"status": "converted", "decided_on": None}
    told = _found(tmp_path / "undated", leads=[FIRST_LEAD, lead(9, **undated)], horizon_days=30).of(
        "rep", "a"
    )
    assert (told.undated, told.conversion.n, str(told.conversion.reason)) == (1, 0, made.ALL_UNDATED)
    dealt = _found(
        tmp_path / "deal",
        leads=[FIRST_LEAD, lead(9, **undated, deal_id="d")],
        deals=[one("d", date(2026, 3, 12), None)],
    ).of("rep", "a")
    assert (dealt.undated, dealt.conversion.value) == (0, 1)


def test_leads_decided_before_the_file_began_are_not_in_it(tmp_path: Path) -> None:
    """A file that begins in midstream has of January's leads those alone that took long: no conversion of them is told."""
    rows = [lead(5, 75, month=1), lead(20, 60, month=1), lead(20, 5), lead(21, None)]
    found = _found(tmp_path, leads=rows)
    assert found.seen["new_leads"].days == Span(date(2026, 3, 21), MARCH.after)
    assert found.of("rep", "a").new_leads.value == 1


@pytest.mark.parametrize(
    ("seed", "zone", "as_of"),
    [(1, "UTC", AS_OF), (2, "Asia/Shanghai", AS_OF), (3, "America/New_York", date(2026, 5, 14))],
)
def test_a_plain_reading_finds_the_same(seed: int, zone: str, as_of: date, tmp_path: Path) -> None:
    company = company_of(seed, 60)
    activities, leads = oracle.made_up(company, seed)
    merged = [
        {"account_id": k, "name": k, "merged_into": "k1" if k == "k2" else None} for k in ("k1", "k2", "k3")
    ]
    contacts = [{"contact_id": p, "name": p, "account_id": None} for p in ("p1", "p2", "p3")]
    span, first, after = (
        Span(date(2026, 3, 10), date(2026, 6, 1)),
        date(2026, 3, 10),
        min(date(2026, 6, 1), as_of + timedelta(days=1)),
    )
    desk = exported(tmp_path, company, activities=activities, leads=leads, accounts=merged, contacts=contacts)
    with desk.snapshots.current().known(as_of, TABLES) as connection:
        record(connection, as_of, zone=zone)
        asked: dict[str, Any] = {"horizon_days": 30, "since": date(2026, 1, 1)}
        found = process(connection, span, as_of, proposal=["B"], **asked)
        by_documents = process(connection, span, as_of, **asked)
        of_age = conversions(connection, span, as_of, horizon_days=30)
    expected = oracle.leads(company, leads, first, after, 30, as_of)
    back = timedelta(days=30)
    elder = oracle.leads(
        company, leads, first - back, min(span.after - back, as_of + timedelta(days=1)), 30, as_of
    )
    visits = oracle.effective(company, activities, {"k2": "k1"}, (first, after), zone, 30)
    touched = oracle.followed(company, activities, first, after, zone, TOUCHES)
    entered = oracle.entered(company, "B", first, after)
    documents = oracle.documents(company, activities, first, after, zone)
    assert set(found.scopes) >= {*expected.index, *visits, *touched, *entered, *documents}
    for scope, said in found.scopes.items():
        assert (said.effective_visits.value, said.proposals.value) == (visits[scope], entered[scope])
        assert by_documents.of(*scope).proposals.value == documents[scope]
        touches, days, deals = touched.get(scope, (0, 0, 0))
        assert said.follow_up.n == deals
        assert said.follow_up.value == (pytest.approx(touches / days * 7) if days else None)
        made_of = (
            expected.loc[[scope]].iloc[0]
            if scope in expected.index
            else {"leads": 0, "aged": 0, "in_time": 0, "undated": 0}
        )
        n = made_of["aged"] - made_of["undated"]
        assert (said.new_leads.value, said.too_young, said.undated) == (
            made_of["leads"],
            made_of["leads"] - made_of["aged"],
            made_of["undated"],
        )
        old = elder.loc[[scope]].iloc[0] if scope in elder.index else {"aged": 0, "in_time": 0, "undated": 0}
        told = old["aged"] - old["undated"]
        if of_age[scope].n:
            assert (of_age[scope].n, of_age[scope].value) == (told, old["in_time"] / told)
        assert said.conversion.n == n
        assert said.conversion.value == (made_of["in_time"] / n if n else None)


def test_nobody_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        _found(tmp_path).of("rep", "nobody")
