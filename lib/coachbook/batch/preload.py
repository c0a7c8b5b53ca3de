"""What a worker is forked with. Nothing is collected meanwhile: a fifth of the time, for garbage that imports leave none of."""

import gc

gc.disable()
from coachbook.batch import work  # noqa: E402, F401

gc.enable()
