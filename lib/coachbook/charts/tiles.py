"""Key figures side by side."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Literal

from coachbook.charts import theme

Tone = Literal["better", "worse", "unclear", ""]
_COLOURS = {"better": theme.BETTER, "worse": theme.WORSE, "unclear": theme.MUTED, "": theme.RULE}


@dataclass(frozen=True)
class Tile:
    """One figure: what, how much, and lines below it. `tone` colours the edge; it never stands alone."""

    title: str
    value: str
    lines: tuple[str, ...]
    tone: Tone = ""


@dataclass(frozen=True)
class Tiles:
    """A row of tiles that wraps on a narrow screen."""

    tiles: tuple[Tile, ...]

    def _repr_mimebundle_(self, **_kwargs: object) -> dict[str, str]:
        body = "".join(_html(tile) for tile in self.tiles)
        grid = "display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,250px),1fr));gap:12px"
        return {
            "text/html": f'<div class="cb-tiles {theme.NO_MATH}" style="{grid}">{body}</div>',
            "text/plain": str(self),
        }

    def __str__(self) -> str:
        return "\n".join(" · ".join([t.title, t.value, *t.lines]) for t in self.tiles)


def _html(tile: Tile) -> str:
    box = (
        f"border:1px solid {theme.RULE};border-left:4px solid {_COLOURS[tile.tone]};border-radius:6px;"
        f"padding:10px 12px;font-family:{theme.FONT};color:{theme.INK};background:#fff"
    )
    lines = "".join(
        f'<div style="font-size:12.5px;color:#565c64;line-height:1.45">{escape(line)}</div>'
        for line in tile.lines
    )
    return (
        f'<div class="cb-tile" style="{escape(box, quote=True)}">'
        f'<div style="font-size:13px;color:#565c64">{escape(tile.title)}</div>'
        f'<div style="font-size:25px;line-height:1.3;font-weight:600">{escape(tile.value)}</div>{lines}</div>'
    )
