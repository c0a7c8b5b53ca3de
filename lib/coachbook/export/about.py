"""What a page is about, as it stands around the page and in the executed notebook's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any, Self

from coachbook.model.periods import called
from coachbook.text import _, day

KEY = "coachbook"
"""Under which the notebook's metadata hold it."""


@dataclass(frozen=True)
class About:
    """One page: whose, of when, from which data. `period`, `as_of` and `snapshot` are ids."""

    brand: str
    workbook: str
    heading: str
    kind: str
    id: str
    name: str
    team: str
    period: str
    as_of: str
    snapshot: str
    reader: str
    locale: str

    @property
    def when(self) -> str:
        """The period as a reader says it."""
        return called(self.period)

    @property
    def title(self) -> str:
        """For the browser's tab and a printed header."""
        return " · ".join((self.name, self.when, self.heading))

    @property
    def source(self) -> str:
        """Which data the page is made from."""
        return _(
            "Data as of {day}, snapshot {snapshot}.",
            day=day(date.fromisoformat(self.as_of)), snapshot=self.snapshot,
        )  # fmt: skip

    def to_dict(self) -> dict[str, str]:
        """As in the metadata of a notebook."""
        return asdict(self)

    @classmethod
    def of(cls, notebook: Mapping[str, Any]) -> Self | None:
        """Read back from an executed notebook's metadata; None where it holds nothing of the kind."""
        plain = notebook.get("metadata", {}).get(KEY, {})
        names = [field.name for field in fields(cls)]
        if not all(isinstance(plain.get(name), str) for name in names):
            return None
        return cls(**{name: plain[name] for name in names})
