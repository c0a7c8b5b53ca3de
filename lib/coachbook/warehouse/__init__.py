"""Snapshots: immutable versions of everything imported, written aside, checked, then switched to."""

from coachbook.warehouse.snapshots import Draft, Snapshot, Snapshots

__all__ = ["Draft", "Snapshot", "Snapshots"]
