"""Who is asking: one-time links, and the signed sessions they open."""

from __future__ import annotations

import secrets
from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User
from tornado.web import RequestHandler

OWNER = "owner"
"""The one user for now: whoever started the server."""
SESSION_DAYS = 7


class Identity(IdentityProvider):
    """Nobody is anybody without a session cookie; a session is opened by a link that works once.

    For now only the owner of the workspace can get a link, so a session may see the whole workspace.
    """

    auth_enabled = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cookie_options = {"expires_days": None, "samesite": "Lax"}
        self.get_secure_cookie_kwargs = {"max_age_days": SESSION_DAYS}
        self._links: dict[str, User] = {}

    def get_cookie_name(self, handler: RequestHandler) -> str:  # noqa: ARG002
        """By port: browsers keep one jar for all servers of a computer."""
        app: Any = self.parent
        return f"coachbook-{app.port}"

    def invite(self, username: str) -> str:
        """A new one-time token for that user."""
        token = secrets.token_urlsafe(32)
        self._links[token] = User(username)
        return token

    def is_open(self, token: str) -> bool:
        """Whether the token can still be spent."""
        return token in self._links

    def spend(self, token: str) -> User | None:
        """The user of a token, once."""
        return self._links.pop(token, None)

    def get_user(self, handler: RequestHandler) -> Any:
        """The user of the session cookie; addresses and headers name nobody."""
        return self.get_user_cookie(handler)

    def user_to_cookie(self, user: User) -> str:
        """What stands in the session cookie."""
        return user.username

    def user_from_cookie(self, cookie_value: str) -> User:
        """Inverse of `user_to_cookie`."""
        return User(cookie_value)
