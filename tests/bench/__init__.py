"""What `make bench` measures: one file a benchmark, one row each in build/bench.json.

`value` is ours and `against` the same work by the stock tools as a user would run them at best, in `unit`;
`ratio` = against / value, so above 1 ours is faster. `target` is the budget, null where none is set.
Facts are warm on both sides, outputs on neither: every page is of another rep or period, into an empty folder.
"""
