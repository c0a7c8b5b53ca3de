"""Decisions about deals: which stand, from which day on, and until when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from json import dumps
from typing import Any, Literal, get_args

from coachbook.metrics.bridge import CleanUp

Kind = Literal["dead", "close_on", "amount", "next_step", "keep"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WHOLE = ("dead", "keep")
"""Speak of the deal as a whole: nothing else that was decided about it stands beside one of these."""


@dataclass(frozen=True)
class Decision:
    """What is to become of one deal, as people agreed.

    Parameters
    ----------
    kind
        `dead`: it is to be closed as lost · `close_on`, `amount`, `next_step`: the field gets the value · `keep`: it
        stays as it is, and what was decided before is withdrawn.
    value
        A day as 2026-12-01, an amount in minor units of `currency` as digits, a text; of a dead deal the reason, or
        empty.
    was
        What the field held in the data on which it was decided, written like `value`; None: nothing. Of a dead deal
        its status.
    by
        Who decided.
    decided_on
        The day from which it counts, in the workspace's time zone.
    recorded_at
        When it was written down (UTC).
    """

    deal_id: str
    kind: Kind
    value: str
    was: str | None
    currency: str
    by: str
    decided_on: date
    recorded_at: datetime

    def excludes(self, other: Decision) -> bool:
        """Whether the two cannot stand beside each other."""
        return self.deal_id == other.deal_id and (
            self.kind == other.kind or self.kind in WHOLE or other.kind in WHOLE
        )

    def says(self, other: Decision) -> bool:
        """Whether it says the same, whoever decided it and when."""
        return (self.deal_id, self.kind, self.value, self.currency) == (
            other.deal_id,
            other.kind,
            other.value,
            other.currency,
        )

    def told(self, value: str | None) -> str | int | None:
        """A value of its field as JSON has it: an amount is an integer."""
        return int(value) if value and self.kind == "amount" else value

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `from_dict` reads it back."""
        return {
            "deal_id": self.deal_id, "kind": self.kind, "value": self.told(self.value), "was": self.told(self.was),
            "currency": self.currency, "by": self.by, "decided_on": self.decided_on.isoformat(),
            "recorded_at": self.recorded_at.isoformat(),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Decision:
        """Read what `to_dict` wrote.

        Raises
        ------
        ValueError, KeyError, TypeError
            It did not.
        """
        if told["kind"] not in KINDS:
            raise ValueError(told["kind"])
        return cls(
            deal_id=told["deal_id"], kind=told["kind"], value=str(told["value"]),
            was=None if told["was"] is None else str(told["was"]), currency=told["currency"], by=told["by"],
            decided_on=date.fromisoformat(told["decided_on"]), recorded_at=datetime.fromisoformat(told["recorded_at"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Decisions:
    """All decisions, in the order in which they were decided; of one day, in which they were written down."""

    all: tuple[Decision, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "all", tuple(sorted(self.all, key=lambda d: d.decided_on)))

    def __len__(self) -> int:
        return len(self.all)

    def known(self, as_of: date) -> Decisions:
        """Those that were made by the end of that day: a later one changes nothing of what was seen then."""
        return Decisions(tuple(d for d in self.all if d.decided_on <= as_of))

    def stretches(self) -> Iterator[tuple[Decision, date | None]]:
        """Each with the day from which a later one stands in its place; None: it stands."""
        by_deal: dict[str, list[Decision]] = {}
        for decision in self.all:
            by_deal.setdefault(decision.deal_id, []).append(decision)
        places = dict.fromkeys(by_deal, 0)
        for decision in self.all:
            places[decision.deal_id] += 1
            later = by_deal[decision.deal_id][places[decision.deal_id] :]
            yield decision, next((d.decided_on for d in later if decision.excludes(d)), None)

    @property
    def standing(self) -> list[Decision]:
        """Those in whose place no later one stands, except that a deal stays as it is."""
        return [d for d, until in self.stretches() if until is None and d.kind != "keep"]

    @property
    def superseded(self) -> list[Decision]:
        """Those in whose place a later one stands."""
        return [d for d, until in self.stretches() if until is not None]

    @property
    def clean_ups(self) -> list[CleanUp]:
        """As the pipeline bridge takes them (`metrics.bridge.bridges`)."""
        return [
            CleanUp(d.deal_id, d.kind, d.decided_on, until)
            for d, until in self.stretches()
            if d.kind not in ("keep", "next_step")
        ]

    @property
    def digest(self) -> str:
        """A short hash of what is decided: part of the key of whatever is computed with it."""
        return sha256(dumps([d.to_dict() for d in self.all]).encode()).hexdigest()[:12]
