"""ipywidgets components of coachbook."""
