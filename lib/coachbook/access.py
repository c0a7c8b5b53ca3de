"""Grants: a signed, expiring statement of user, role, scope and workbook. Roster and keys come in as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Literal

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from coachbook.errors import AccessDenied
from coachbook.text import N_

ENVIRONMENT = "COACHBOOK_GRANT"
"""Where a kernel that works for somebody finds its grant."""
LIFETIME = timedelta(hours=12)

Reader = Literal["rep", "manager"]
Host = Literal["batch", "serve"]
ScopeKind = Literal["rep", "team"]


@dataclass(frozen=True)
class Scope:
    """Whose data: one rep, or one team."""

    kind: ScopeKind
    id: str


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
        granted = {
            "rep": self.scope.id if self.scope.kind == "rep" else "",
            "team": self.scope.id if self.scope.kind == "team" else "",
            "period": self.period,
            "as_of": self.as_of,
        }
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
        return _grant(_serializer(secret).loads(token, max_age=int(LIFETIME.total_seconds())))
    except SignatureExpired:
        raise AccessDenied(N_("This page has expired. Open it again.")) from None
    except BadSignature:
        raise AccessDenied(N_("This page's grant is not valid. Open it again.")) from None


def read(token: str) -> Grant:
    """What a token says, for the kernel it was made for: a kernel holds no key, and its slice is all it can reach.

    Raises
    ------
    AccessDenied
        The token cannot be read.
    """
    _readable, plain = _serializer("").loads_unsafe(token)
    if plain is None:
        raise AccessDenied(N_("This page's grant is not valid. Open it again."))
    return _grant(plain)


def _serializer(secret: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret, salt="coachbook.grant")


def _grant(plain: dict[str, Any]) -> Grant:
    return Grant(**{**plain, "scope": Scope(**plain["scope"])})
