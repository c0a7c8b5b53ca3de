"""A page for one executed notebook: no script, no request, readable from a memory stick in ten years."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from bs4 import BeautifulSoup
from nbconvert import HTMLExporter, TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbformat import NotebookNode
from traitlets.config import Config

from coachbook.catalogue import shipped
from coachbook.charts import CHART, svg
from coachbook.export.about import About
from coachbook.export.frame import frame

_SHOWN = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/plain"]
_NARROW = 350
"""Width of a chart drawn once more for phones: scaled down, its words would be too small to read."""
_SCRIPT = re.compile(r"<script\b", re.IGNORECASE)


def static_page(notebook: NotebookNode, about: About) -> str:
    """The executed notebook as HTML in the active language: prose and results, no code."""
    # Without HTMLExporter's own pass, which reads the finished page again to name its pictures: ours have names.
    html, _resources = TemplateExporter.from_notebook_node(_exporter(), notebook, {"about": about, **frame()})
    return str(html)


@cache
def _exporter() -> HTMLExporter:
    """Built once per process: the first page costs 0.2 s, each further one 0.02 s and what its charts take."""
    return HTMLExporter(
        template_name="static",
        optimistic_validation=True,
        extra_template_basedirs=[str(shipped("templates"))],
        config=Config({"NbConvertBase": {"display_data_priority": _SHOWN}}),
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
        filters={"highlight_code": Highlight2HTML(), "without_scripts": _without_scripts, "narrow": _narrow},
    )


def _without_scripts(html: str) -> str:
    """Script that an output brings along would not run here; it is not carried along either."""
    if not _SCRIPT.search(html):
        return html
    soup = BeautifulSoup(html, "html.parser")
    for script in soup("script"):
        script.decompose()
    return str(soup)


def _narrow(data: Mapping[str, Any]) -> str:
    """A chart that takes the width it is given, as SVG for a phone; "" for any other output."""
    spec = data.get(CHART, {})
    return svg(spec, _NARROW) if spec.get("width") == "container" else ""
