"""Pictures, tables and prose: one theme, a renderer that cannot run what it shows."""

from coachbook.charts import lean
from coachbook.charts.download import Download
from coachbook.charts.picture import CHART, Picture, show_for, svg
from coachbook.charts.prose import Prose
from coachbook.charts.table import Sheet

__all__ = ["CHART", "Download", "Picture", "Prose", "Sheet", "show_for", "svg"]
