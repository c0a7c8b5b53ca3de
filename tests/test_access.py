"""Grants: only the holder of the key can make one, and it covers what it names and no more."""

from __future__ import annotations

import pytest

from coachbook import access
from coachbook.errors import AccessDenied

GRANT = access.Grant(
    user="owner", reader="rep", scope=access.Scope("rep", "15"), workbook="retrospective", period="2021-10",
    as_of="2021-11-10", locale="en", host="batch", slice="slice.duckdb",
)  # fmt: skip


def test_a_grant_comes_back_as_it_was() -> None:
    assert access.verify(access.sign(GRANT, "key"), "key") == GRANT
    assert access.read(access.sign(GRANT, "key")) == GRANT


def test_nobody_else_can_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AccessDenied):
        access.verify(access.sign(GRANT, "another key"), "key")
    token = access.sign(GRANT, "key")
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: 4e9)
    with pytest.raises(AccessDenied, match="expired"):
        access.verify(token, "key")


@pytest.mark.parametrize("name", ["rep", "team", "period", "as_of"])
def test_a_grant_covers_what_it_names(name: str) -> None:
    GRANT.covers({"rep": "15", "team": "", "period": "2021-10", "as_of": ""})
    with pytest.raises(AccessDenied, match="other"):
        GRANT.covers({name: "other"})
