"""The font that Chinese text of charts is measured with: `make font`. Every sign is a square of one em.

Chinese signs are as wide as high in every font, so one glyph says all there is to measure. A real font has tens of
thousands, takes seven times as long, and is not on every machine.
"""

from __future__ import annotations

from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib.tables._c_m_a_p import CmapSubtable

FONT = Path(__file__).parents[2] / "lib/coachbook/charts/fonts/em.ttf"
EM = 1000
ASCENT, DESCENT = 880, -120
BLOCKS = (
    (0x2E80, 0x303E), (0x3041, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFE30, 0xFE4F),
    (0xFF01, 0xFF60), (0xFFE0, 0xFFE6), (0x1F300, 0x1FAFF), (0x20000, 0x323AF),
)  # fmt: skip
"""First and last signs of the Unicode blocks that are set one em wide (Unicode Standard Annex 11, "Wide")."""


def font() -> FontBuilder:
    """One square for all."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, DESCENT))
    for corner in ((0, ASCENT), (EM, ASCENT), (EM, DESCENT)):
        pen.lineTo(corner)
    pen.closePath()
    square = pen.glyph()
    made = FontBuilder(EM, isTTF=True)
    made.setupGlyphOrder([".notdef", "em"])
    made.setupCharacterMap({})
    made.setupGlyf({".notdef": square, "em": square})
    made.setupHorizontalMetrics({".notdef": (EM, 0), "em": (EM, 0)})
    made.setupHorizontalHeader(ascent=ASCENT, descent=DESCENT)
    made.setupNameTable({"familyName": "coachbook em", "styleName": "Regular", "psName": "coachbook-em"})
    made.setupOS2(sTypoAscender=ASCENT, usWinAscent=ASCENT, usWinDescent=-DESCENT)
    made.setupPost(keepGlyphNames=False)
    made.font["cmap"].tables = [_all_to_one()]
    made.font["head"].created = made.font["head"].modified = 0
    made.font.recalcTimestamp = False
    return made


def _all_to_one() -> CmapSubtable:
    """Format 13 says of whole ranges that they are one glyph."""
    table = CmapSubtable.newSubtable(13)
    table.platformID, table.platEncID, table.language = 3, 10, 0
    table.cmap = {sign: "em" for first, last in BLOCKS for sign in range(first, last + 1)}
    return table


if __name__ == "__main__":
    font().save(FONT)
