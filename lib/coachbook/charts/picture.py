"""A chart as data: the specification and a text that says the same. Nothing in it can run as script."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any, Literal

import altair as alt

from coachbook.charts import theme

CHART = "application/vnd.coachbook.chart+json"
Host = Literal["", "batch", "serve"]

_FIRST_CHINESE = "\u2e80"
_host: Host = ""


def show_for(host: Host) -> None:
    """Make this kernel's charts fit for where it runs: a served page, a batch, or ("") any Jupyter."""
    global _host
    _host = host


def is_served() -> bool:
    """Whether somebody sees this kernel's output live, in a served page."""
    return _host == "serve"


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
        plain["autosize"] = {"type": "fit-x", "contains": "padding"}
        plain["padding"] = theme.PADDING
        return plain

    def _repr_mimebundle_(self, **_kwargs: object) -> dict[str, Any]:
        """A served page embeds the specification, a batch leaves drawing to its worker, Jupyter gets SVG."""
        spec = self.spec
        bundle = {CHART: spec, "text/plain": self.text}
        if is_served():
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

    About 0.3 s the first time, then 0.02.
    """
    import vl_convert

    text = json.dumps(spec, ensure_ascii=False)
    if text.isascii() or not any(sign >= _FIRST_CHINESE for sign in text):
        text = text.replace(theme.FONT, theme.FONT_WITHOUT_CHINESE)
    vega = _compiled(text)
    fixed = {**vega, "width": width} if spec.get("width") == "container" else vega
    drawn: str = vl_convert.vega_to_svg(fixed, allowed_base_urls=[])
    return drawn


@lru_cache(maxsize=32)
def _compiled(text: str) -> dict[str, Any]:
    """As Vega, for any width: the same chart is drawn for a screen and for a phone."""
    import vl_convert

    spec = json.loads(text)
    fixed = {**spec, "width": theme.STATIC_WIDTH} if spec.get("width") == "container" else spec
    compiled: dict[str, Any] = vl_convert.vegalite_to_vega(fixed, vl_version="6.4")
    return compiled
