"""ipywidgets and anywidget components of coachbook, one file each. What only shows is HTML (`charts`) and needs none."""
