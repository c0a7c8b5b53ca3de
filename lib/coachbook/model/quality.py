"""What the checks of the data found: each with its count, examples, and who can mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from coachbook.text import N_, UNKNOWN, _, listed, money, number, told

SCHEMA = 1


class Severity(StrEnum):
    """How much a fault matters, worst first."""

    ERROR = "error"
    """Figures are wrong or lack something."""
    WARNING = "warning"
    """Figures may mislead."""
    NOTE = "note"
    """Worth knowing; nothing has to be mended."""

    @property
    def called(self) -> str:
        """As a reader says it."""
        return _(_SEVERITIES[self])

    @property
    def plural(self) -> str:
        """Over a number of them."""
        return _(_PLURALS[self])


class Mender(StrEnum):
    """Who can mend a fault."""

    REP = "rep"
    """The owner of the deal."""
    MANAGER = "manager"
    OPERATIONS = "operations"
    ADMINISTRATOR = "administrator"
    """Whoever runs the CRM."""

    @property
    def called(self) -> str:
        """As a reader says it."""
        return _(_MENDERS[self])


_SEVERITIES = {Severity.ERROR: N_("error"), Severity.WARNING: N_("warning"), Severity.NOTE: N_("note")}
_PLURALS = {Severity.ERROR: N_("Errors"), Severity.WARNING: N_("Warnings"), Severity.NOTE: N_("Notes")}
_MENDERS = {
    Mender.REP: N_("the deal's owner"), Mender.MANAGER: N_("manager"), Mender.OPERATIONS: N_("sales operations"),
    Mender.ADMINISTRATOR: N_("CRM administrator"),
}  # fmt: skip
_STATUSES = {"open": N_("open"), "won": N_("won"), "lost": N_("lost")}
LABELS = {
    "account_id": N_("customer"), "amount_minor": N_("amount"), "close_on": N_("close date"),
    "created_on": N_("created on"), "days": N_("days"), "days_expected": N_("days to the close date"),
    "days_to_close": N_("days as the source has them"), "end_on": N_("last day"),
    "field": N_("field"), "listed": N_("deal list"), "last_on": N_("last export"),
    "manager": N_("manager"), "newest_on": N_("newest"), "periods": N_("periods"), "product_id": N_("product"),
    "rate_on": N_("last rate"), "recorded": N_("history"), "ring": N_("who leads whom"), "same_as": N_("same as"),
    "second": N_("second"), "shares": N_("sum of shares"), "shown_on": N_("as of"), "source": N_("source"),
    "spellings": N_("spellings"), "stage": N_("stage"), "start_on": N_("first day"), "status": N_("status"),
    "table": N_("table"), "times": N_("rows"), "touched_on": N_("last change or activity"), "visits": N_("stage entries"),
    "working_days": N_("working days"),
}  # fmt: skip
"""What the values beside an example are called."""


@dataclass(frozen=True)
class Sentence:
    """A message and what fills it; put into words when it is shown."""

    message: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return _(self.message, **_worded(self.values))


@dataclass(frozen=True)
class Value:
    """One value of an example in words; `kind` says how it is set: figure, date or text."""

    label: str
    text: str
    kind: str


@dataclass(frozen=True)
class Example:
    """One fault: what it is about, whose it is, and the values that show it."""

    id: str
    name: str
    rep_id: str
    rep: str
    values: Mapping[str, Any]

    @property
    def details(self) -> list[Value]:
        """The values as a reader sees them."""
        said = _worded(self.values, amount="amount_minor")
        return [Value(_(LABELS[name]), text, _kind(name, self.values[name])) for name, text in said.items()]

    @property
    def text(self) -> str:
        """All of it in one line."""
        called = _("{name} ({id})", name=self.name, id=self.id) if self.name else self.id
        return listed(
            [called, *filter(None, [self.rep]), *(f"{value.label} {value.text}" for value in self.details)]
        )

    def to_dict(self) -> dict[str, Any]:
        """As in JSON; an amount is an integer in minor units of `currency`."""
        plain = {
            name: value.isoformat() if isinstance(value, date) else value
            for name, value in self.values.items()
        }
        return {"id": self.id, "name": self.name, "rep_id": self.rep_id, "rep": self.rep, **plain}


@dataclass(frozen=True)
class Share:
    """How many faults are one person's."""

    rep_id: str
    rep: str
    count: int

    @property
    def number(self) -> str:
        """The count as a reader sees it."""
        return number(self.count)


@dataclass(frozen=True)
class Check:
    """One question about the data, and its answer.

    `count` faults were found among `of`; where `of` is 0 there was nothing to look at. `by_owner` says whose they
    are where owners can mend them, most first.
    """

    id: str
    severity: Severity
    mended_by: Mender
    what: Sentence
    remedy: Sentence
    count: int
    of: int
    details: tuple[Sentence, ...] = ()
    examples: tuple[Example, ...] = ()
    by_owner: tuple[Share, ...] = ()

    @property
    def title(self) -> str:
        """What is looked for."""
        return str(self.what)

    @property
    def share(self) -> str:
        """How many of how many."""
        return _("{count} of {of}", count=number(self.count), of=number(self.of))

    @property
    def has_names(self) -> bool:
        """Whether an example has a name beside its id."""
        return any(example.name for example in self.examples)

    @property
    def has_owners(self) -> bool:
        """Whether an example is somebody's."""
        return any(example.rep for example in self.examples)

    @property
    def plain(self) -> str:
        """The examples as one phrase, where there is nothing to tell of them but their ids."""
        if self.has_names or any(example.values for example in self.examples):
            return ""
        return listed([example.id for example in self.examples])

    @property
    def is_cut(self) -> bool:
        """Whether there are more faults than examples."""
        return self.count > len(self.examples)

    @property
    def text(self) -> str:
        """What was found, in sentences."""
        if not self.of:
            return _("{title}: there is nothing to look at.", title=self.title)
        counts = {"title": self.title, "count": number(self.count), "of": number(self.of)}
        return told([_("{title}: {count} of {of}.", **counts), *map(str, self.details)])

    def to_dict(self) -> dict[str, Any]:
        """As in `coachbook doctor --json`."""
        return {
            "id": self.id, "severity": self.severity.value, "count": self.count, "of": self.of, "title": self.title,
            "text": self.text, "mended_by": self.mended_by.value, "remedy": str(self.remedy),
            "examples": [example.to_dict() for example in self.examples],
            "by_owner": [vars(share) for share in self.by_owner],
        }  # fmt: skip


@dataclass(frozen=True)
class Report:
    """All checks of one snapshot, as known at the end of a day; `made_up`: some of it comes from the simulator."""

    snapshot: str
    as_of: date
    checks: tuple[Check, ...]
    made_up: bool = False

    @property
    def found(self) -> tuple[Check, ...]:
        """Checks that found something, worst first, then in their order."""
        order = list(Severity)
        return tuple(sorted((c for c in self.checks if c.count), key=lambda c: order.index(c.severity)))

    @property
    def clean(self) -> tuple[Check, ...]:
        """Checks that had something to look at and found nothing."""
        return tuple(c for c in self.checks if c.of and not c.count)

    @property
    def idle(self) -> tuple[Check, ...]:
        """Checks that had nothing to look at."""
        return tuple(c for c in self.checks if not c.of and not c.count)

    @property
    def is_faulty(self) -> bool:
        """Whether an error or a warning was found."""
        return any(check.severity is not Severity.NOTE for check in self.found)

    def count(self, severity: Severity) -> int:
        """How many checks of that severity found something."""
        return sum(check.severity is severity for check in self.found)

    def check(self, id: str) -> Check:  # noqa: A002
        """The check of that id."""
        return next(check for check in self.checks if check.id == id)

    def to_dict(self) -> dict[str, Any]:
        """As `coachbook doctor --json` prints it."""
        return {
            "schema": SCHEMA, "snapshot": self.snapshot, "as_of": self.as_of.isoformat(),
            "made_up": self.made_up, "checks": [check.to_dict() for check in self.checks],
        }  # fmt: skip


def _worded(values: Mapping[str, Any], *, amount: str = "amount") -> dict[str, str]:
    """Values as text; `amount_minor` and `currency` become one, under the name `amount`."""
    worded = {}
    for name, value in values.items():
        if name == "amount_minor":
            worded[amount] = money(value, values["currency"])
        elif name != "currency":
            worded[name] = _(_STATUSES[value]) if name == "status" else _said(value)
    return worded


def _kind(name: str, value: Any) -> str:
    if name == "amount_minor" or isinstance(value, int | float):
        return "figure"
    return "date" if isinstance(value, date) else "text"


def _said(value: Any) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, float):
        return number(value, 4).rstrip("0").rstrip(".")
    if isinstance(value, tuple):
        return listed([_said(item) for item in value])
    return number(value) if isinstance(value, int) else str(value)
