"""Metric results for everybody at once, kept beside the snapshot, and from a request to a slice."""

from coachbook.facts.local import workers
from coachbook.facts.pages import Asked, Page, about, cut, ensure, periods, place, roster, settle, settle_all
from coachbook.facts.prepared import Prepared, prepare
from coachbook.facts.roster import Member

__all__ = [
    "Asked",
    "Member",
    "Page",
    "Prepared",
    "about",
    "cut",
    "ensure",
    "periods",
    "place",
    "prepare",
    "roster",
    "settle",
    "settle_all",
    "workers",
]
