"""The metric dictionary: one question per file, set work in SQL, findings in Python."""

from coachbook.metrics.metric import Metric
from coachbook.metrics.registry import METRICS, dictionary

__all__ = ["METRICS", "Metric", "dictionary"]
