"""Findings: a figure with what it takes to argue about it. All frozen, all plain data.

Text is kept as message id and arguments, and rendered when it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

LEVEL = 0.95
"""Level of every interval."""
FDR = 0.05
"""False discovery rate over everything that one page tests."""
K_ANONYMOUS = 5
"""Fewest other people that an aggregate of peers may stand on."""

With = Literal["previous", "year_ago", "peers", "expected"]
Direction = Literal["better", "worse"]
Verdict = bool | None


@dataclass(frozen=True)
class Interval:
    """Where the figure may lie, at `level`."""

    low: float
    high: float
    level: float = LEVEL


@dataclass(frozen=True)
class Split:
    """Movement = company + team + own, in the finding's unit; `team` None: too few other people.

    `interval` and `verdict` speak of the own part alone, `company_verdict` of what everybody else did.
    """

    company: float
    team: float | None
    own: float
    interval: Interval | None
    verdict: Verdict
    company_verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """The figure beside another. `verdict` True: the interval of the difference excludes 0 and it
    is worth acting on; False: the whole interval lies within what is not; None: cannot tell.
    """

    against: With
    value: float | None
    n: int
    difference: float | None
    interval: Interval | None
    split: Split | None
    verdict: Verdict
    n_needed: int | None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As in the review JSON, where `against` is called `with`."""
        plain = dict(vars(self))
        split = self.split and {**vars(self.split), "interval": _plain(self.split.interval)}
        return {"with": plain.pop("against"), **plain, "interval": _plain(self.interval), "split": split}


@dataclass(frozen=True)
class Finding:
    """One figure of one scope: value (None: unknown, see `reason`), n, interval, comparisons."""

    id: str
    metric: str
    variant: str
    value: float | None
    unit: str
    n: int
    interval: Interval | None
    comparisons: tuple[Comparison, ...] = ()
    reason: str = ""
    reason_values: Mapping[str, Any] = field(default_factory=dict)

    def against(self, what: With) -> Comparison | None:
        """The comparison with `previous`, `year_ago` or `peers`, if there is one."""
        return next((c for c in self.comparisons if c.against == what), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `from_dict` reads it back."""
        comparisons = [c.to_dict() for c in self.comparisons]
        return {**vars(self), "interval": _plain(self.interval), "comparisons": comparisons}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Finding:
        """Read what `to_dict` wrote."""
        return cls(
            **{
                **plain,
                "interval": _interval(plain["interval"]),
                "comparisons": tuple(_comparison(c) for c in plain["comparisons"]),
            }
        )


@dataclass(frozen=True)
class Named:
    """Something a page singles out. Whatever the page calls out is one of these."""

    metric: str
    against: With
    direction: Direction


def _plain(interval: Interval | None) -> dict[str, Any] | None:
    return None if interval is None else dict(vars(interval))


def _interval(plain: Mapping[str, Any] | None) -> Interval | None:
    return Interval(**plain) if plain else None


def _comparison(plain: Mapping[str, Any]) -> Comparison:
    rest = dict(plain)
    split = rest.pop("split")
    return Comparison(
        against=rest.pop("with"),
        interval=_interval(rest.pop("interval")),
        split=Split(**{**split, "interval": _interval(split["interval"])}) if split else None,
        **rest,
    )
