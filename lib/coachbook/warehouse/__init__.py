"""Snapshots: immutable versions of everything imported, written aside, checked, then switched to."""

from coachbook.warehouse.draft import Draft
from coachbook.warehouse.snapshot import Snapshot
from coachbook.warehouse.snapshots import Snapshots
from coachbook.warehouse.working_years import calendar_warnings, years_counted

__all__ = ["Draft", "Snapshot", "Snapshots", "calendar_warnings", "years_counted"]
