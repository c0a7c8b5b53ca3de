"""Independent answers, written by hand in plain pandas from the raw CSVs. Never imports coachbook."""
