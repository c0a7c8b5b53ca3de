"""Files in: a declarative mapping, an account of every row, and quarantine for what cannot be used."""

from coachbook.sources.accounting import Accounting, FileAccount
from coachbook.sources.importing import import_paths, presets

__all__ = ["Accounting", "FileAccount", "import_paths", "presets"]
