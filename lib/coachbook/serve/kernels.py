"""Kernels that belong to somebody: started with a grant and nothing else, touched by their owner alone."""

from __future__ import annotations

import asyncio
import os
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from jupyter_server.auth.authorizer import Authorizer
from jupyter_server.auth.decorator import authorized
from jupyter_server.auth.identity import User
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.web import authenticated
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from coachbook.access import ENVIRONMENT

_NECESSARY = ("PATH", "TMPDIR", "SYSTEMROOT")
"""What of the server's environment a kernel needs to run at all."""


@dataclass
class Visit:
    """One opening of a page: who, with which grant, and the kernel that it got."""

    user: str
    grant: str
    kernel_id: str = ""


visiting: ContextVar[Visit] = ContextVar("coachbook_visit")
"""The visit that this task works for; set before a kernel is asked for."""


def environment(grant: str) -> dict[str, str]:
    """All that a kernel has of an environment: no password, no secret, no address of the server's."""
    necessary = {name: os.environ[name] for name in _NECESSARY if name in os.environ}
    return {**necessary, "LANG": "C.UTF-8", "PYTHONUTF8": "1", ENVIRONMENT: grant}


class OwnedKernels(AsyncMappingKernelManager):
    """Starts kernels for visits, and knows whose each is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.owners: dict[str, str] = {}
        self._endings: set[asyncio.Future[Any]] = set()

    async def _async_start_kernel(
        self, *, kernel_id: str | None = None, path: Any = None, **kwargs: Any
    ) -> str:
        visit = visiting.get()
        visit.kernel_id = kernel_id or self.new_kernel_id()
        self.owners[visit.kernel_id] = visit.user
        kwargs["env"] = environment(visit.grant)
        start: Any = super()._async_start_kernel(kernel_id=visit.kernel_id, path=path, **kwargs)
        starting = asyncio.ensure_future(start)
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A start broken off would leave a kernel that nobody knows.
            starting.add_done_callback(self._unwanted)
            raise

    start_kernel = _async_start_kernel  # type: ignore[assignment]

    def _unwanted(self, started: asyncio.Future[str]) -> None:
        """End a kernel whose visitor left while it started."""
        if not started.cancelled() and not started.exception():
            ending = asyncio.ensure_future(self.shutdown_kernel(started.result(), now=True))  # type: ignore[no-untyped-call]
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    def remove_kernel(self, kernel_id: str) -> Any:
        """Forget a kernel that has ended, and its owner."""
        self.owners.pop(kernel_id, None)
        return super().remove_kernel(kernel_id)


class OwnersOnly(Authorizer):
    """Whatever is done to a kernel, its owner does it; nothing else is allowed to anybody."""

    def is_authorized(self, handler: JupyterHandler, user: User, action: str, resource: str) -> bool:  # noqa: ARG002
        """Asked by status, websocket, delete and `Leave`."""
        kernel_id = handler.path_kwargs.get("kernel_id", "")
        kernels = handler.kernel_manager
        assert isinstance(kernels, OwnedKernels)
        return resource == "kernels" and kernels.owners.get(kernel_id) == user.username


class Channels(VoilaKernelWebsocketHandler):  # type: ignore[misc]
    """What a kernel and the browser say to each other."""

    async def open(self, kernel_id: str) -> None:
        """Send every message at once; the network would keep a small one for 0.04 s, waiting for more."""
        self.set_nodelay(True)
        await super().open(kernel_id)


class Leave(APIHandler):
    """Where the browser says that a page is left: ends its kernel. Voilà's own asks nobody's leave."""

    auth_resource = "kernels"

    @authenticated
    @authorized("write")  # type: ignore[untyped-decorator]
    async def post(self, kernel_id: str) -> None:
        """End the kernel."""
        await self.kernel_manager.shutdown_kernel(kernel_id, now=True)
        self.set_status(204)
        self.finish()
