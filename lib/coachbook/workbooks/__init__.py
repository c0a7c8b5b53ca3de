"""One file per workbook, named like its notebook: it builds the frozen review that the notebook shows."""
