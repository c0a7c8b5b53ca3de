"""What every page that stands alone has in common: its language, its policy, its style inside."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from coachbook import __version__
from coachbook.catalogue import shipped
from coachbook.text import _, active

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""A page without script and without a request."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d(?:-[0-9a-f]{8})?")


def frame() -> dict[str, Any]:
    """Values that the templates' shared parts need, in the active language."""
    return {"lang": active().html, "policy": POLICY, "style": _style(), "version": __version__}


def render(template: str, **values: Any) -> str:
    """A template of ours in `templates/static`; every value is text unless it says that it is markup."""
    return _templates().get_template(template).render(**frame(), **values)


@cache
def _style() -> Markup:
    sheets = ("coachbook.css", "static/static.css")
    return Markup("\n".join((shipped("templates") / s).read_text(encoding="utf-8") for s in sheets))  # noqa: S704


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(shipped("templates") / "static"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["_"] = _
    environment.filters["unbroken"] = _unbroken
    return environment


def _unbroken(text: object) -> Markup:
    """A text whose days and ids of snapshots do not break at their hyphens."""
    return Markup(_DAY.sub(r'<span class="cb-whole">\g<0></span>', str(escape(str(text)))))  # noqa: S704
