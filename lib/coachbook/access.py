"""Who may see what: roles, rights and scopes at a date; and grants. Roster, accounts and keys come in as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal, get_args

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from coachbook.errors import AccessDenied
from coachbook.model.people import People, Roster
from coachbook.text import N_

ENVIRONMENT = "COACHBOOK_GRANT"
"""Where a kernel that works for somebody finds its grant."""
LIFETIME = timedelta(hours=12)

Reader = Literal["rep", "manager"]
Host = Literal["batch", "serve"]
ScopeKind = Literal["rep", "team", "tree", "org"]


@dataclass(frozen=True)
class Scope:
    """Whose data: one rep; one team; a manager and everybody below, directly or not; the whole company."""

    kind: ScopeKind
    id: str = ""
    """Of the rep, the team or the manager; empty for the company."""


COMPANY = Scope("org")

Role = Literal["rep", "manager", "director", "operations", "owner"]
"""`owner` is whoever owns the workspace's folder; the others are what an account says."""
Right = Literal["figures", "aggregates", "names", "notes", "drafts", "data_health", "batches", "accounts"]
"""What can be seen:

`figures` deals, figures and pages of a scope · `aggregates` figures of a scope as a whole, nobody in it told
apart · `names` somebody's name beside a figure on another's page · `notes` of the one-on-ones with somebody ·
`drafts` what somebody has written and not yet shared · `data_health`, `batches`, `accounts` of the workspace.
"""
Relation = Literal["self", "led", "below", "team", "company", "any"]
"""How a scope stands to a user at a date:

`self` the user · `led` a direct report · `below` the user's tree: anybody in it, a team all of whose reps are
in it, a tree in it · `team` the team that the user is in · `company` the whole · `any` whatever it is.
"""


@dataclass(frozen=True)
class Rule:
    """One row of the table of rights: a role has a right over scopes in a relation to the user."""

    right: Right
    role: Role
    relation: Relation
    if_named: bool = False
    """Only where the workspace lets reps see each other by name."""


RIGHTS = (
    Rule("figures", "rep", "self"),
    Rule("figures", "manager", "self"),
    Rule("figures", "manager", "below"),
    Rule("figures", "director", "self"),
    Rule("figures", "director", "below"),
    Rule("figures", "owner", "any"),
    Rule("aggregates", "rep", "team"),
    Rule("aggregates", "rep", "company"),
    Rule("aggregates", "manager", "team"),
    Rule("aggregates", "manager", "below"),
    Rule("aggregates", "manager", "company"),
    Rule("aggregates", "director", "team"),
    Rule("aggregates", "director", "below"),
    Rule("aggregates", "director", "company"),
    Rule("aggregates", "owner", "any"),
    Rule("names", "rep", "self"),
    Rule("names", "rep", "any", if_named=True),
    Rule("names", "manager", "self"),
    Rule("names", "manager", "below"),
    Rule("names", "manager", "any", if_named=True),
    Rule("names", "director", "self"),
    Rule("names", "director", "below"),
    Rule("names", "director", "any", if_named=True),
    Rule("names", "owner", "any"),
    Rule("notes", "rep", "self"),
    Rule("notes", "manager", "self"),
    Rule("notes", "manager", "led"),
    Rule("notes", "director", "self"),
    Rule("notes", "director", "led"),
    Rule("notes", "owner", "any"),
    Rule("drafts", "rep", "self"),
    Rule("drafts", "manager", "self"),
    Rule("drafts", "director", "self"),
    Rule("drafts", "owner", "self"),
    Rule("data_health", "operations", "company"),
    Rule("data_health", "owner", "company"),
    Rule("batches", "operations", "company"),
    Rule("batches", "owner", "company"),
    Rule("accounts", "operations", "company"),
    Rule("accounts", "owner", "company"),
)
"""Who may see what. What no rule gives, nobody has."""


@dataclass(frozen=True)
class User:
    """Somebody who asks; `rep_id` says who that is on the roster, empty for somebody who is not on it."""

    name: str
    role: Role
    rep_id: str = ""


def may(user: User, right: Right, scope: Scope, people: People, day: date, *, named: bool = False) -> bool:
    """Whether the table of rights gives a user that right over a scope.

    `day` is the as-of day of the review, and the tree is that day's: a manager who got a team in October sees
    its September as of October, and not as of September; then it was somebody else's. Of who has left, the last
    day's tree counts. `named`: the workspace lets reps see each other by name.
    """
    relations = _relations(user.rep_id, scope, people.at(day))
    return any(
        rule.right == right
        and rule.role == user.role
        and rule.relation in relations
        and (named or not rule.if_named)
        for rule in RIGHTS
    )


def scopes(user: User, people: People, day: date) -> tuple[Scope, ...]:
    """All scopes whose pages a user may open as of a day: people, then teams, trees and the company."""
    roster = people.at(day)
    every = [
        *(Scope("rep", rep_id) for rep_id in sorted({*roster.people, *roster.left})),
        *(Scope("team", team_id) for team_id in roster.teams),
        *(Scope("tree", rep_id) for rep_id in roster.managers),
        COMPANY,
    ]
    return tuple(scope for scope in every if may(user, "figures", scope, people, day))


def _relations(me: str, scope: Scope, roster: Roster) -> set[Relation]:
    """How a scope stands to the person `me` of the roster."""
    if scope.kind == "org":
        return {"any", "company"}
    found: set[Relation] = {"any"}
    if not me:
        return found
    if scope.kind == "team":
        return found | _to_team(me, scope.id, roster)
    above = roster.above(scope.id)
    if scope.id == me:
        found.add("self" if scope.kind == "rep" else "below")
    if me in above:
        found.add("below")
        if scope.kind == "rep" and me == above[0]:
            found.add("led")
    return found


def _to_team(me: str, team_id: str, roster: Roster) -> set[Relation]:
    found: set[Relation] = set()
    reps = [rep_id for rep_id in roster.team(team_id) if roster.people[rep_id].role == "rep"]
    if me in roster.team(team_id):
        found.add("team")
    if reps and all(me in roster.above(rep_id) for rep_id in reps):
        found.add("below")
    return found


@dataclass(frozen=True)
class Grant:
    """What one kernel may see. `slice` is the one file that holds it; nothing else is needed."""

    user: str
    reader: Reader
    scope: Scope
    workbook: str
    period: str
    as_of: str
    locale: str
    host: Host
    slice: str

    def covers(self, asked: Mapping[str, str]) -> None:
        """Refuse parameters that ask for anything but what is granted; empty asks for the granted.

        Raises
        ------
        AccessDenied
            Names the parameter, what was asked for and what is granted.
        """
        granted = {kind: self.scope.id if self.scope.kind == kind else "" for kind in get_args(ScopeKind)}
        granted |= {"period": self.period, "as_of": self.as_of}
        for name, value in asked.items():
            if value and name in granted and value != granted[name]:
                raise AccessDenied(
                    N_("This page was opened for {name} = {granted}; {asked} was asked for."),
                    name=name, granted=granted[name] or "–", asked=value,
                )  # fmt: skip


def sign(grant: Grant, secret: str) -> str:
    """The grant as a token that only the holder of `secret` can make."""
    return _serializer(secret).dumps(asdict(grant))


def verify(token: str, secret: str) -> Grant:
    """The grant of a token.

    Raises
    ------
    AccessDenied
        The token is forged or has expired.
    """
    try:
        plain = _serializer(secret).loads(token, max_age=int(LIFETIME.total_seconds()))
    except SignatureExpired:
        raise AccessDenied(N_("This page has expired. Open it again.")) from None
    except BadSignature:
        raise AccessDenied(N_("This page's grant is not valid. Open it again.")) from None
    return _grant(plain)


def read(token: str) -> Grant:
    """What a token says, for the kernel it was made for: a kernel holds no key, and its slice is all it can reach.

    Raises
    ------
    AccessDenied
        The token cannot be read.
    """
    _readable, plain = _serializer("").loads_unsafe(token)
    return _grant(plain)


def _serializer(secret: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret, salt="coachbook.grant")


def _grant(plain: Any) -> Grant:
    try:
        return Grant(**{**plain, "scope": Scope(**plain["scope"])})
    except (KeyError, TypeError):
        raise AccessDenied(N_("This page's grant is not valid. Open it again.")) from None
