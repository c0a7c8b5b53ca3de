"""One batch: an order is settled into a plan, workers make the pages, the folder records them."""

from coachbook.batch.folder import Row
from coachbook.batch.order import FORMATS, Order
from coachbook.batch.run import Outcome, run

__all__ = ["FORMATS", "Order", "Outcome", "Row", "run"]
