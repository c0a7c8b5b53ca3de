"""What a check asks, as SQL over `prepare.sql`, and in words."""

from __future__ import annotations

from dataclasses import dataclass

from coachbook.model.quality import Mender, Severity


@dataclass(frozen=True)
class Told:
    """One more sentence about what was found: `query` fills it from `found`; without a row it is not told."""

    message: str
    query: str


@dataclass(frozen=True)
class Question:
    """One check.

    Parameters
    ----------
    what, remedy
        Message ids: what is looked for, as a heading; what to do about it.
    rows
        Query of the faults: `id`, if there are any `name` and `rep_id` (whose it is), and columns that show the
        fault, each with a word in `model.quality.LABELS`. With `times`, a row stands for so many faults.
    of
        Query of the number of things looked at; 0: there is nothing that could be wrong.
    order
        Which examples come first.
    told
        Sentences beside the count.
    values
        What fills `what` and `remedy`.
    """

    id: str
    severity: Severity
    mended_by: Mender
    what: str
    remedy: str
    rows: str
    of: str
    order: str = "id"
    told: tuple[Told, ...] = ()
    values: tuple[tuple[str, int], ...] = ()
