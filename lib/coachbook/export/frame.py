"""What every page that stands alone has in common: its language, its policy, its style inside."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from coachbook import __version__
from coachbook.catalogue import shipped
from coachbook.text import _, active

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""A page without script and without a request."""


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
    return environment
