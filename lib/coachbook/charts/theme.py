"""The one look of charts and tables."""

from __future__ import annotations

from typing import Any

ACCENT = "#1f5fa8"
BETTER = "#1b7f5c"
WORSE = "#b3452c"
MUTED = "#7a7f87"
INK = "#22262b"
RULE = "#d9dde2"
FONT = (
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', "
    "'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif"
)
SIZE = 14
NO_MATH = "mathjax_ignore"
"""Class of everything that we write: to JupyterLab's MathJax, two amounts in dollars are a formula."""
PADDING = {"left": 16, "right": 32, "top": 5, "bottom": 5}
"""Room for labels where the reader's font is wider than the one the chart was measured with."""
STATIC_WIDTH = 640
"""Width of a chart in pages that cannot resize it."""

CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": SIZE, "titleFontSize": SIZE, "titleFontWeight": "normal", "titleColor": MUTED, "titlePadding": 10,
        "labelColor": INK, "gridColor": RULE, "domainColor": RULE, "tickColor": RULE, "labelLimit": 260,
    },
    # Room between entries, too: the reader's font may be a sixth wider.
    "legend": {"labelFontSize": SIZE, "titleFontSize": SIZE, "orient": "top", "title": None, "columnPadding": 32},
    "text": {"fontSize": SIZE, "font": FONT},
    "line": {"strokeWidth": 2.5},
    "point": {"filled": True, "size": 60},
}  # fmt: skip
