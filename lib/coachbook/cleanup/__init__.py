"""Clean-up after a review: what was decided about deals, and what became of it in the CRM."""

from coachbook.cleanup.adding import Added, add
from coachbook.cleanup.candidates import Candidate, among, candidates
from coachbook.cleanup.decisions import Decision, Decisions, Kind
from coachbook.cleanup.outcomes import Outcome, Outcomes, outcomes
from coachbook.cleanup.store import keep, kept
from coachbook.cleanup.worksheet import worksheet

__all__ = [
    "Added",
    "Candidate",
    "Decision",
    "Decisions",
    "Kind",
    "Outcome",
    "Outcomes",
    "add",
    "among",
    "candidates",
    "keep",
    "kept",
    "outcomes",
    "worksheet",
]
