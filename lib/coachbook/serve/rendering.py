"""A notebook becomes a page, piece by piece, while its kernel starts and runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from voila.notebook_renderer import NotebookRenderer

WIDGET = '<script type="application/vnd.voila.cell-output+json">'
"""Where a page has an output that takes Voilà's front end."""


class Renderer(NotebookRenderer):  # type: ignore[misc]
    """Voilà's, which is made for every page, with templates that are compiled once."""

    async def initialize(self, **kwargs: Any) -> None:
        """Read the notebook and make ready to show it."""
        await super().initialize(**kwargs)
        self.exporter.environment.bytecode_cache = _COMPILED

    async def pieces(self, kernel_id: str, kernel: Awaitable[Any]) -> AsyncIterator[str]:
        """The page's HTML: what stands before the cells first, and when `kernel` has started, every cell as it is done.

        It is made in a task of its own, since nbclient takes a cancellation for the death of its kernel and goes on.
        """
        self.page_config["kernelId"] = kernel_id
        made: asyncio.Queue[str | None] = asyncio.Queue()

        async def make() -> None:
            try:
                async for html, _resources in self.generate_content_generator(kernel_id, kernel):
                    made.put_nowait(html)
            finally:
                made.put_nowait(None)

        making = asyncio.ensure_future(make())
        while not making.done():
            pieces = [await made.get()]
            while not made.empty():
                pieces.append(made.get_nowait())
            yield "".join(filter(None, pieces))
        await making


class _Compiled(BytecodeCache):
    """Compiled templates, in memory."""

    def __init__(self) -> None:
        self.code: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self.code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.code[bucket.key, bucket.checksum] = bucket.code


_COMPILED = _Compiled()
