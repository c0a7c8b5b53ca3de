"""A client that sees when a kernel is ready, instead of waiting 0.2 s for silence, and misses no answer."""

from __future__ import annotations

from queue import Empty
from time import monotonic
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel

_REPLY_SECONDS = 1.0
_LOOK_SECONDS = 0.25
_IDLE_SECONDS = 0.2
"""As jupyter_client: a kernel whose reply came is asked once more if its idle status does not follow by then."""


class AwakeChannel(AsyncZMQSocketChannel):
    """Looks again now and then: a message sent while one is waited for can swallow the sign that an answer has come."""

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:  # type: ignore[override]
        """The next message.

        Raises
        ------
        Empty
            None came within `timeout` seconds.
        """
        end = monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            try:
                return await super().get_msg(max(0.0, min(_LOOK_SECONDS, end - monotonic())))
            except Empty:
                if monotonic() >= end:
                    raise


class PromptClient(AsyncKernelClient):
    """Ready is a kernel that has answered and said that it is idle again: nothing older can follow."""

    shell_channel_class = AwakeChannel

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Return when the kernel is ready.

        Raises
        ------
        RuntimeError
            It died, or was not ready within `timeout` seconds.
        """
        end = monotonic() + (float("inf") if timeout is None else timeout)
        while not await self._answers(self.kernel_info()):
            if not await self._async_is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if monotonic() > end:
                raise RuntimeError(f"Kernel didn't respond in {timeout} seconds")

    async def _answers(self, asked: str) -> bool:
        """Whether the reply to that request came, and behind it the idle status."""
        try:
            reply = await self.shell_channel.get_msg(timeout=_REPLY_SECONDS)
            while not _follows(reply, asked):
                reply = await self.shell_channel.get_msg(timeout=_REPLY_SECONDS)
            status: dict[str, Any] = {}
            while not (_follows(status, asked) and status["content"].get("execution_state") == "idle"):
                status = await self.iopub_channel.get_msg(timeout=_IDLE_SECONDS)
        except Empty:
            return False
        self._handle_kernel_info_reply(reply)
        return True


def _follows(message: dict[str, Any], asked: str) -> bool:
    parent: dict[str, Any] = message.get("parent_header", {})
    return parent.get("msg_id") == asked
