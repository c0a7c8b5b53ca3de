"""Altair without what no chart needs; imported before anything else imports Altair.

Altair loads jsonschema, and that, where Jupyter's extras are installed, builds a grammar of international
web addresses while it is imported: 2 s of CPU, in a kernel 5. Without the grammar jsonschema merely does
not check the format `iri`, which no chart holds.
"""

import sys
from importlib import import_module

_GRAMMAR = "rfc3987_syntax"

if _GRAMMAR not in sys.modules:
    sys.modules[_GRAMMAR] = None  # type: ignore[assignment]
    try:
        import_module("altair")
    finally:
        del sys.modules[_GRAMMAR]
