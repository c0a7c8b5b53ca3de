"""A review as data: its MIME type, and what every one begins with."""

from __future__ import annotations

from typing import Any

from coachbook.text import active
from coachbook.warehouse.slices import Slice

SCHEMA = "coachbook.review/1"
MIME = "application/vnd.coachbook.review+json"


def head(workbook: str, seen: Slice) -> dict[str, Any]:
    """Schema, whose review of which workbook it is, from which data, for whom and in which language."""
    of_page = {key: seen.about[key] for key in ("scope", "period", "as_of", "snapshot", "reader")}
    return {"schema": SCHEMA, "workbook": workbook, **of_page, "locale": active().value}
