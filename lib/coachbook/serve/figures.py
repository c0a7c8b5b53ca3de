"""Figures that nobody has asked for yet: made once, beside whatever else is served."""

from __future__ import annotations

import asyncio
from pathlib import Path

from coachbook import facts
from coachbook.facts import Page
from coachbook.settings import Workspace


class Figures:
    """What is being made at the moment; visitors who ask for the same wait for the same."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._made: dict[Path, asyncio.Task[None]] = {}

    async def ready(self, page: Page, patience_seconds: float) -> bool:
        """Whether the page's figures are there by then; what goes wrong in making them is raised here."""
        file = facts.place(self.workspace, page)
        if not file.exists() and file not in self._made:
            self._made[file] = asyncio.create_task(asyncio.to_thread(self._make, page))
        if file not in self._made:
            return True
        making = self._made[file]
        await asyncio.wait({making}, timeout=patience_seconds)
        if making.done():
            self._made.pop(file, None)
            making.result()
        return making.done()

    def _make(self, page: Page) -> None:
        with facts.workers() as executor:
            facts.ensure(self.workspace, page, executor)
