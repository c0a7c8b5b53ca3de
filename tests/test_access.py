"""Who may see what: the table of rights row by row, scopes at a date, and grants that cannot be stretched."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date
from typing import Any, get_args

import pytest
from itsdangerous import URLSafeTimedSerializer

from coachbook import access
from coachbook.access import COMPANY, RIGHTS, Relation, Right, Role, Scope, User, may, scopes
from coachbook.errors import AccessDenied
from coachbook.model.people import People, Tenure

SEPTEMBER, OCTOBER = date(2026, 9, 30), date(2026, 10, 31)
HANDOVER = date(2026, 10, 1)


def tenure(
    rep: str,
    manager: str = "",
    team: str = "",
    role: str = "rep",
    *,
    first: date = date.min,
    until: date | None = None,
) -> Tenure:
    return Tenure(
        rep, first, until, rep.title(), team or None, None, manager or None, role, "active", 1.0, None, None
    )


PEOPLE = People(
    (
        tenure("ann", "max", "east", until=HANDOVER),
        tenure("ann", "mia", "east", first=HANDOVER),
        tenure("bob", "max", "east", until=HANDOVER),
        tenure("bob", "mia", "east", first=HANDOVER),
        tenure("cai", "mia", "west"),
        tenure("dan", "mia", "west", until=date(2026, 9, 16)),
        tenure("dora", "", "", "director"),
        tenure("eva", "max", "west", until=HANDOVER),  # in the west, led from the east
        tenure("eva", "mia", "west", first=HANDOVER),
        tenure("max", "dora", "east", "manager"),
        tenure("mia", "dora", "west", "manager"),
        tenure("zoe", "", "south"),
    )
)
"""Until September Max leads the east and Eva of the west; in October Mia leads everybody. Dan left in September."""

PERSON: dict[Role, str] = {
    "rep": "ann",
    "manager": "max",
    "director": "dora",
    "operations": "zoe",
    "owner": "",
}
SUBJECTS: dict[Role, dict[Relation, list[Scope]]] = {
    "rep": {
        "self": [Scope("rep", "ann")],
        "team": [Scope("team", "east")],
        "any": [Scope("rep", "bob"), Scope("rep", "max"), Scope("team", "west"), Scope("tree", "max"), Scope("tree", "ann")],
        "company": [COMPANY],
    },
    "manager": {
        "self": [Scope("rep", "max")],
        "led": [Scope("rep", "ann"), Scope("rep", "eva")],
        "below": [Scope("tree", "max")],
        "any": [Scope("rep", "cai"), Scope("rep", "dan"), Scope("rep", "mia"), Scope("rep", "dora"), Scope("team", "west"),
                Scope("tree", "mia"), Scope("tree", "dora")],
        "company": [COMPANY],
    },
    "director": {
        "self": [Scope("rep", "dora")],
        "led": [Scope("rep", "max"), Scope("rep", "mia")],
        "below": [Scope("rep", "ann"), Scope("rep", "dan"), Scope("team", "east"), Scope("team", "west"),
                  Scope("tree", "mia"), Scope("tree", "dora")],
        "any": [Scope("rep", "zoe"), Scope("team", "south")],
        "company": [COMPANY],
    },
    "operations": {
        "self": [Scope("rep", "zoe")],
        "team": [Scope("team", "south")],
        "any": [Scope("rep", "ann"), Scope("team", "east"), Scope("tree", "dora")],
        "company": [COMPANY],
    },
    "owner": {
        "any": [Scope("rep", "ann"), Scope("rep", "nobody"), Scope("team", "east"), Scope("tree", "max")],
        "company": [COMPANY],
    },
}  # fmt: skip
"""By role, scopes in each relation as of September, and in no nearer one."""
IMPLIED: dict[Relation, set[Relation]] = {
    "self": {"self", "any"}, "led": {"led", "below", "any"}, "below": {"below", "any"}, "team": {"team", "any"},
    "company": {"company", "any"}, "any": {"any"},
}  # fmt: skip
TOLD: dict[Right, dict[Role, set[Relation]]] = {
    "figures": {"rep": {"self"}, "manager": {"self", "below"}, "director": {"self", "below"}, "owner": {"any"}},
    "aggregates": {
        "rep": {"team", "company"}, "manager": {"team", "below", "company"}, "director": {"team", "below", "company"},
        "owner": {"any"},
    },
    "names": {"rep": {"self"}, "manager": {"self", "below"}, "director": {"self", "below"}, "owner": {"any"}},
    "notes": {"rep": {"self"}, "manager": {"self", "led"}, "director": {"self", "led"}, "owner": {"any"}},
    "drafts": {"rep": {"self"}, "manager": {"self"}, "director": {"self"}, "owner": {"self"}},
    "data_health": {"operations": {"company"}, "owner": {"company"}},
    "batches": {"operations": {"company"}, "owner": {"company"}},
    "accounts": {"operations": {"company"}, "owner": {"company"}},
}  # fmt: skip
"""The table as PRODUCT's words have it, written a second time."""


def user(role: Role, rep: str | None = None) -> User:
    return User("somebody", role, PERSON[role] if rep is None else rep)


CASES = [
    pytest.param(right, role, relation, scope, id=f"{right}-{role}-{relation}-{scope.kind}-{scope.id}")
    for right in get_args(Right)
    for role in get_args(Role)
    for relation, subjects in SUBJECTS[role].items()
    for scope in subjects
]


@pytest.mark.parametrize(("right", "role", "relation", "scope"), CASES)
def test_a_role_has_a_right_where_the_table_says_so_and_nowhere_else(
    right: Right, role: Role, relation: Relation, scope: Scope
) -> None:
    expected = bool(TOLD[right].get(role, set()) & IMPLIED[relation])
    assert may(user(role), right, scope, PEOPLE, SEPTEMBER) is expected


def test_every_row_of_the_table_is_told_of_and_no_more() -> None:
    assert len(set(RIGHTS)) == len(RIGHTS)
    plain = {(rule.right, rule.role, rule.relation) for rule in RIGHTS if not rule.if_named}
    assert plain == {
        (right, role, r) for right, roles in TOLD.items() for role, rs in roles.items() for r in rs
    }
    assert {(rule.right, rule.relation) for rule in RIGHTS if rule.if_named} == {("names", "any")}
    assert {rule.role for rule in RIGHTS if rule.if_named} == {"rep", "manager", "director"}


def test_names_of_others_are_told_where_the_workspace_says_so() -> None:
    for role, other in (("rep", "bob"), ("manager", "cai"), ("director", "zoe")):
        asked = (user(role), "names", Scope("rep", other), PEOPLE, SEPTEMBER)  # type: ignore[arg-type]
        assert [may(*asked, named=named) for named in (False, True)] == [False, True]  # type: ignore[arg-type]
    assert not may(user("operations"), "names", Scope("rep", "ann"), PEOPLE, SEPTEMBER, named=True)
    assert not may(user("rep"), "figures", Scope("rep", "bob"), PEOPLE, SEPTEMBER, named=True)


def test_operations_reads_no_private_note_of_anybody() -> None:
    everybody = [Scope("rep", rep) for rep in ("ann", "max", "dora", "zoe")]
    assert not any(may(user("operations"), "notes", scope, PEOPLE, SEPTEMBER) for scope in everybody)


ROLES: dict[str, Role] = {"ann": "rep", "bob": "rep", "max": "manager", "mia": "manager", "dora": "director"}


def test_a_note_is_its_rep_and_the_direct_managers_alone() -> None:
    note = Scope("rep", "ann")
    readers = {
        who for who, role in ROLES.items() if may(User(who, role, who), "notes", note, PEOPLE, SEPTEMBER)
    }
    assert readers == {"ann", "max"}


def ids(found: tuple[Scope, ...], kind: str) -> list[str]:
    return [scope.id for scope in found if scope.kind == kind]


def test_the_tree_is_the_as_of_days() -> None:
    """Who got the team in October sees September as of October, not as of September."""
    max_then, max_now = (scopes(user("manager", "max"), PEOPLE, day) for day in (SEPTEMBER, OCTOBER))
    mia_then, mia_now = (scopes(user("manager", "mia"), PEOPLE, day) for day in (SEPTEMBER, OCTOBER))
    assert (ids(max_then, "rep"), ids(max_now, "rep")) == (["ann", "bob", "eva", "max"], ["max"])
    assert (ids(mia_then, "rep"), ids(mia_now, "rep")) == (
        ["cai", "dan", "mia"], ["ann", "bob", "cai", "dan", "eva", "mia"],
    )  # fmt: skip


def test_a_team_is_whose_reps_are_all_led() -> None:
    """Eva of the west is led from the east in September: nobody but the director has the whole west."""
    leaders = ("max", "mia", "dora")
    then = {who: ids(scopes(User(who, ROLES[who], who), PEOPLE, SEPTEMBER), "team") for who in leaders}
    assert then == {"max": ["east"], "mia": [], "dora": ["east", "west"]}
    assert ids(scopes(user("manager", "mia"), PEOPLE, OCTOBER), "team") == ["east", "west"]


def test_scopes_by_role() -> None:
    assert scopes(user("rep"), PEOPLE, SEPTEMBER) == (Scope("rep", "ann"),)
    assert scopes(user("operations"), PEOPLE, SEPTEMBER) == ()
    assert ids(scopes(user("director"), PEOPLE, SEPTEMBER), "tree") == ["dora", "max", "mia"]
    everything = scopes(user("owner"), PEOPLE, SEPTEMBER)
    assert COMPANY in everything
    assert ids(everything, "team") == ["east", "south", "west"]
    assert "zoe" in ids(everything, "rep")
    assert scopes(user("manager", "nobody"), PEOPLE, SEPTEMBER) == ()
    assert scopes(user("manager", ""), PEOPLE, SEPTEMBER) == ()


def test_what_may_be_opened_is_what_is_listed() -> None:
    subjects = {scope for by in SUBJECTS.values() for told in by.values() for scope in told} - {Scope("rep", "nobody"), Scope("tree", "ann")}  # fmt: skip
    for role in get_args(Role):
        listed = set(scopes(user(role), PEOPLE, SEPTEMBER))
        assert {
            scope for scope in subjects if may(user(role), "figures", scope, PEOPLE, SEPTEMBER)
        } == listed & subjects


def test_nobody_and_nothing_are_nobodys() -> None:
    for role in ("rep", "manager", "director"):
        assert not may(User("somebody", role), "figures", Scope("rep", ""), PEOPLE, SEPTEMBER)
        assert not may(user(role), "figures", Scope("team", "nowhere"), PEOPLE, SEPTEMBER)
        assert not may(user(role), "figures", Scope("rep", "nobody"), PEOPLE, SEPTEMBER)
    staff = People((tenure("kim", "", "staff", "manager"), tenure("lee", "kim", "other")))
    assert not may(user("manager", "kim"), "figures", Scope("team", "staff"), staff, SEPTEMBER)


def test_a_ring_of_managers_gives_nobody_more() -> None:
    ring = People((tenure("r", "x"), tenure("x", "y", role="manager"), tenure("y", "x", role="manager")))
    assert ids(scopes(user("manager", "x"), ring, SEPTEMBER), "rep") == ["r", "x"]
    assert ids(scopes(user("manager", "y"), ring, SEPTEMBER), "rep") == ["y"]


# Grants

GRANT = access.Grant(
    user="owner", reader="rep", scope=Scope("rep", "15"), workbook="retrospective", period="2021-10",
    as_of="2021-11-10", locale="en", host="batch", slice="slice.duckdb",
)  # fmt: skip
SCOPES = [Scope("rep", "15"), Scope("team", "north"), Scope("tree", "7"), COMPANY]


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: scope.kind)
def test_a_grant_comes_back_as_it_was(scope: Scope) -> None:
    grant = replace(GRANT, scope=scope)
    assert access.verify(access.sign(grant, "key"), "key") == grant
    assert access.read(access.sign(grant, "key")) == grant


def _signed(plain: Any, *, salt: str = "coachbook.grant", key: str = "key") -> str:
    return URLSafeTimedSerializer(key, salt=salt).dumps(plain)


def _altered(token: str) -> str:
    """Another scope, under the signature of the first."""
    other = access.sign(replace(GRANT, scope=COMPANY), "another key")
    return ".".join([other.rsplit(".", 2)[0], *token.rsplit(".", 2)[1:]])


FORGED = {
    "another key": access.sign(GRANT, "another key"),
    "altered": _altered(access.sign(GRANT, "key")),
    "cut": access.sign(GRANT, "key")[:-1],
    "unsigned": access.sign(GRANT, "key").rsplit(".", 2)[0],
    "for another purpose": _signed(asdict(GRANT), salt="session"),
    "empty": "",
    "no grant": _signed({"user": "owner"}),
    "no mapping": _signed(["owner"]),
    "no scope": _signed({**asdict(GRANT), "scope": None}),
    "too much": _signed({**asdict(GRANT), "role": "owner"}),
}


@pytest.mark.parametrize("token", FORGED.values(), ids=list(FORGED))
def test_nobody_else_can_make_one(token: str) -> None:
    with pytest.raises(AccessDenied, match="not valid"):
        access.verify(token, "key")


@pytest.mark.parametrize("name", ["empty", "no grant", "no mapping", "no scope", "too much"])
def test_what_is_no_grant_is_refused_by_the_kernel_too(name: str) -> None:
    with pytest.raises(AccessDenied, match="not valid"):
        access.read(FORGED[name])


def test_a_grant_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 1_700_000_000
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: made)
    token = access.sign(GRANT, "key")
    hours = 3600
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: made + 12 * hours)
    assert access.verify(token, "key") == GRANT
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: made + 12 * hours + 1)
    with pytest.raises(AccessDenied, match="expired"):
        access.verify(token, "key")


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: scope.kind)
@pytest.mark.parametrize("asked", ["rep", "team", "tree", "org", "period", "as_of"])
def test_a_grant_covers_what_it_names(asked: str, scope: Scope) -> None:
    grant = replace(GRANT, scope=scope)
    grant.covers({"rep": "", "team": "", "period": "2021-10", "as_of": "", "locale": "zh_CN"})
    grant.covers({scope.kind: scope.id})
    with pytest.raises(AccessDenied, match="other"):
        grant.covers({asked: "other"})
