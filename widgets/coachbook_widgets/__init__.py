"""ipywidgets components of coachbook: what they show comes in as a callable."""

from coachbook_widgets.chooser import Chooser

__all__ = ["Chooser"]
