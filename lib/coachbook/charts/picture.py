"""A chart as data: the specification and a text that says the same. Nothing in it can run as script."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import altair as alt

from coachbook.charts import theme

CHART = "application/vnd.coachbook.chart+json"
Host = Literal["", "batch", "serve"]

_FONTS = "FONTCONFIG_FILE"
_host: Host = ""


def show_for(host: Host) -> None:
    """Make this kernel's charts fit for where it runs: a served page, a batch, or ("") any Jupyter."""
    global _host
    _host = host


@dataclass(frozen=True)
class Picture:
    """A chart and its alternative text, which tells the same figures in words."""

    chart: alt.Chart | alt.LayerChart | alt.FacetChart
    text: str
    data: Mapping[str, Sequence[Mapping[str, Any]]]
    """Rows by the name under which the chart asks for them; a None is a gap. Altair would copy them at each step."""

    @property
    def spec(self) -> dict[str, Any]:
        """The Vega-Lite specification."""
        plain: dict[str, Any] = self.chart.to_dict(validate=False)
        plain["datasets"] = {name: list(rows) for name, rows in self.data.items()}
        plain["config"] = theme.CONFIG
        plain["usermeta"] = {"alt": self.text}
        # Axes may turn their labels where there is little room, which is known only once the rest is laid out.
        plain["autosize"] = {"type": "fit-x", "contains": "padding", "resize": True}
        plain["padding"] = theme.PADDING
        return plain

    def _repr_mimebundle_(self, **_kwargs: object) -> dict[str, Any]:
        """A served page embeds the specification, a batch leaves drawing to its worker, Jupyter gets SVG."""
        spec = self.spec
        bundle = {CHART: spec, "text/plain": self.text}
        if _host == "serve":
            bundle["text/html"] = embedded(spec, self.text)
        elif _host == "":
            bundle["image/svg+xml"] = svg(spec)
        return bundle


def embedded(spec: dict[str, Any], text: str) -> str:
    """The specification as inert data, which the page's one script draws."""
    data = json.dumps(spec, ensure_ascii=False)
    for sign in "&<>\u2028\u2029":
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    label = escape(text, quote=True)
    return (
        f'<div class="cb-chart" role="img" aria-label="{label}">'
        f'<script type="application/json">{data}</script></div>'
    )


def svg(spec: dict[str, Any], width: int = theme.STATIC_WIDTH) -> str:
    """Draw a specification, at that width if it takes the width it is given; nothing is fetched.

    About 0.3 s the first time, then 0.01. The same on every machine.
    """
    vega = _compiled(json.dumps(spec, ensure_ascii=False))
    fixed = {**vega, "width": width} if spec.get("width") == "container" else vega
    drawn: str = _drawing().vega_to_svg(fixed, allowed_base_urls=[])
    return drawn


@lru_cache(maxsize=32)
def _compiled(text: str) -> dict[str, Any]:
    """As Vega, for any width: the same chart is drawn for a screen and for a phone."""
    spec = json.loads(text)
    fixed = {**spec, "width": theme.STATIC_WIDTH} if spec.get("width") == "container" else spec
    compiled: dict[str, Any] = _drawing().vegalite_to_vega(fixed, vl_version="6.4")
    return compiled


@cache
def _drawing() -> ModuleType:
    """vl-convert, which measures text with our fonts alone: those of the machine take up to seven times as long.

    It reads which fonts there are once, when it is first asked for some.
    """
    import vl_convert

    fonts = Path(__file__).with_name("fonts")
    before = os.environ.get(_FONTS)
    os.environ[_FONTS] = str(fonts / "fonts.conf")
    try:
        vl_convert.register_font_directory(str(fonts))
    finally:
        del os.environ[_FONTS]
        if before is not None:
            os.environ[_FONTS] = before
    return vl_convert
