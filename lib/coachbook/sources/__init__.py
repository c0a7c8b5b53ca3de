"""Files in: a declarative mapping, an account of every row, and quarantine for what cannot be used."""

from coachbook.sources.accounting import Accounting, FileAccount
from coachbook.sources.importing import import_paths
from coachbook.sources.intakes import presets
from coachbook.sources.outgoing import ChangeList, Changes, change_lists
from coachbook.sources.quality import doctor
from coachbook.sources.templates import write_templates

__all__ = [
    "Accounting",
    "ChangeList",
    "Changes",
    "FileAccount",
    "change_lists",
    "doctor",
    "import_paths",
    "presets",
    "write_templates",
]
