"""Pages that need no server: one for each executed notebook, and an index of them all."""
