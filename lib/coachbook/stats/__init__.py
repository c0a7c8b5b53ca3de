"""Statistics on arrays: intervals, draws, multiplicity. Nothing here knows what a deal is."""
