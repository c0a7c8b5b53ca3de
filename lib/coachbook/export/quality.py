"""What the checks of the data found, as a page that stands alone and can be passed on."""

from __future__ import annotations

from coachbook.export.frame import render
from coachbook.model.quality import Report, Severity
from coachbook.text import _, day

OWNERS = 12
"""Most owners that are named beside one check; the JSON document has all."""


def quality_page(report: Report, *, brand: str) -> str:
    """All checks of a report as HTML in the active language.

    Parameters
    ----------
    brand
        The workspace's name.
    """
    return render(
        "quality.html.j2",
        title=" · ".join((_("Data health"), day(report.as_of), brand)),
        brand=brand,
        report=report,
        severities=[(severity, report.count(severity)) for severity in Severity],
        when=day(report.as_of),
        most=OWNERS,
    )
