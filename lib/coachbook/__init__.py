"""coachbook: Jupyter workbooks for sales coaching."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coachbook.workbooks.book import open as open  # noqa: A004

__version__ = "0.1.0"
__all__ = ["open"]


def __getattr__(name: str) -> Any:
    """`cb.open` on first use: the command line starts without loading what only a notebook needs."""
    if name == "open":
        from coachbook.workbooks.book import open as open_book

        return open_book
    raise AttributeError(name)
