"""One file, or one folder of parts, per workbook, named like its notebook: it builds the frozen review that the notebook shows."""
