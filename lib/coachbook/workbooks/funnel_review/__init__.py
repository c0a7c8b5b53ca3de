"""The funnel review: where deals stick, whose matter it is, and whether one can know."""

from __future__ import annotations

from coachbook.workbooks.funnel_review.review import FunnelReview

__all__ = ["FunnelReview"]
