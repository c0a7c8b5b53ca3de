"""One batch: an order is settled into a plan, workers make the pages, the folder records them."""

from coachbook.batch.folder import Row
from coachbook.batch.order import FORMATS, Order
from coachbook.batch.run import Failure, Outcome, run

__all__ = ["FORMATS", "Failure", "Order", "Outcome", "Row", "run"]
