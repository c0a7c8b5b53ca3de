"""Pictures, tables and prose: one theme, a renderer that cannot run what it shows."""

from coachbook.charts.picture import Picture, show_for, svg
from coachbook.charts.prose import Prose
from coachbook.charts.table import Sheet

__all__ = ["Picture", "Prose", "Sheet", "show_for", "svg"]
