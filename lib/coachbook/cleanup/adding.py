"""From a worksheet to decisions that are kept: every row is right, or nothing is."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.numbers import get_currency_precision
from duckdb import DuckDBPyConnection

from coachbook.cleanup.cells import plain
from coachbook.cleanup.decisions import KINDS, Decision, Decisions, Kind
from coachbook.cleanup.store import keep, kept
from coachbook.cleanup.worksheet import Row, read
from coachbook.errors import CoachbookError, Invalid, NotFound, Refused
from coachbook.model.periods import parse_day
from coachbook.settings import Workspace
from coachbook.text import N_, _
from coachbook.warehouse import Snapshots

LONGEST = 255
"""Characters of a text: what the field for the next step takes in the CRMs that are known."""
MOST_DAYS = 3653
"""So many days ahead a close date may lie: ten years."""
_DIGITS = 15


@dataclass(frozen=True)
class Added:
    """What adding a worksheet did: `unchanged` rows say what is decided already."""

    decisions: tuple[Decision, ...]
    unchanged: int

    def to_dict(self) -> dict[str, object]:
        """As `coachbook cleanup add --json` prints it."""
        return {"added": [d.to_dict() for d in self.decisions], "unchanged": self.unchanged}


@dataclass(frozen=True)
class Deal:
    """A deal as the newest data have it; the amount in minor units of its own currency, as digits."""

    status: str
    created_on: date
    close_on: str | None
    amount: str | None
    currency: str
    next_step: str | None


def add(workspace: Workspace, path: Path, *, decided_on: str = "") -> Added:
    """Check the decisions in a worksheet against the newest data, and keep them.

    Parameters
    ----------
    decided_on
        The day of the review; empty: today. A row's own column `decided_on` comes first.

    Raises
    ------
    CoachbookError
        Nothing was kept: names the line, what is wrong in it, and what would be right.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    today = now.astimezone(ZoneInfo(workspace.settings.time_zone)).date()
    snapshot = Snapshots(workspace.store).current()
    before = kept(workspace.cleanup)
    rows = read(path)
    with closing(snapshot.known(snapshot.as_of)) as connection:
        desk = _Desk(connection, path, today, decided_on, now, _deals(connection, rows))
        found = [desk.decision(row) for row in rows]
    _one_each(path, rows, found)
    fresh = [d for d in found if not _stands(d, before)]
    if fresh:
        keep(workspace.cleanup, fresh)
    return Added(tuple(fresh), len(found) - len(fresh))


def _stands(decision: Decision, before: Decisions) -> bool:
    """Whether the same stands already, and would stand if it were decided once more."""
    return any(d.says(decision) for d, until in before.stretches() if until is None)


def _one_each(path: Path, rows: list[Row], found: list[Decision]) -> None:
    """No two rows contradict each other."""
    by_deal: dict[str, list[int]] = {}
    for i, decision in enumerate(found):
        for j in by_deal.setdefault(decision.deal_id, []):
            if decision.excludes(found[j]):
                raise Refused(
                    N_("In {file}, lines {first} and {second} decide differently about the deal {id}. Leave one of them out."),
                    file=path, first=rows[j].line, second=rows[i].line, id=decision.deal_id,
                )  # fmt: skip
        by_deal[decision.deal_id].append(i)


def _deals(connection: DuckDBPyConnection, rows: Iterable[Row]) -> dict[str, Deal]:
    """The deals that are named and known, deleted ones too."""
    found = connection.execute(
        """
        WITH last AS (
            FROM known_history WHERE deal_id IN (SELECT unnest($ids::VARCHAR[]))
            QUALIFY row_number() OVER (PARTITION BY deal_id ORDER BY nr DESC) = 1
        ),
        first AS (SELECT deal_id, min(from_on) AS created_on FROM known_history GROUP BY deal_id)
        SELECT deal_id, last.status, coalesce(k.created_on, first.created_on), last.close_on::VARCHAR,
            last.amount_minor::VARCHAR, last.currency, k.next_step
        FROM last JOIN first USING (deal_id) LEFT JOIN known AS k USING (deal_id)
        """,
        {"ids": [row.deal_id for row in rows]},
    ).fetchall()
    return {deal_id: Deal(*told) for deal_id, *told in found}


@dataclass(frozen=True)
class _Desk:
    """What is needed to judge a row."""

    connection: DuckDBPyConnection
    path: Path
    today: date
    decided_on: str
    now: datetime
    deals: dict[str, Deal]

    def decision(self, row: Row) -> Decision:
        """The row as a decision."""
        kind = self._kind(row)
        deal = self._deal(row)
        if not row.by:
            raise self._wrong(row, N_("In {file}, line {line}: the column {column} is empty. Write who decided."), column="by")  # fmt: skip
        day = self._day(row, deal)
        value, was = self._value(row, kind, deal, day)
        currency = deal.currency if kind == "amount" else ""
        return Decision(row.deal_id, kind, value, was, currency, row.by[:LONGEST], day, self.now)

    def _kind(self, row: Row) -> Kind:
        for kind in KINDS:
            if row.decision.casefold() == kind:
                return kind
        raise self._wrong(
            row, N_("In {file}, line {line}: {value} is no decision. It can be: {known}."),
            value=f"“{row.decision}”", known=list(KINDS),
        )  # fmt: skip

    def _deal(self, row: Row) -> Deal:
        deal = self.deals.get(row.deal_id)
        if deal is None:
            raise NotFound(
                N_("In {file}, line {line}: there is no deal {id}. Nearest: {near}."),
                file=self.path, line=row.line, id=f"“{row.deal_id}”", near=self._near(row.deal_id) or ["–"],
            )  # fmt: skip
        if deal.status != "open":
            raise Refused(
                N_("In {file}, line {line}: the deal {id} is {status} already. Leave the row out, or name a deal that is open, for instance {near}."),
                file=self.path, line=row.line, id=row.deal_id, status=_(STATUSES[deal.status]),
                near=self._near(row.deal_id) or ["–"],
            )  # fmt: skip
        return deal

    def _near(self, deal_id: str) -> list[str]:
        """Open deals whose ids are nearest to it."""
        found = self.connection.execute(
            "SELECT deal_id FROM known WHERE status = 'open' ORDER BY jaro_winkler_similarity(deal_id, $id) DESC, deal_id LIMIT 3",
            {"id": deal_id[:100]},
        ).fetchall()
        return [near for (near,) in found]

    def _day(self, row: Row, deal: Deal) -> date:
        text = row.decided_on or self.decided_on
        day = self._parsed(row, text) if text else self.today
        if day > self.today:
            raise self._wrong(
                row, N_("In {file}, line {line}: {value} is still to come. A decision was made by {day}."),
                value=day.isoformat(), day=self.today.isoformat(),
            )  # fmt: skip
        if day < deal.created_on:
            raise self._wrong(
                row, N_("In {file}, line {line}: on {value} the deal {id} was not there yet. It was created on {day}."),
                value=day.isoformat(), id=row.deal_id, day=deal.created_on.isoformat(),
            )  # fmt: skip
        return day

    def _value(self, row: Row, kind: Kind, deal: Deal, day: date) -> tuple[str, str | None]:
        """The value as it is kept, and what the field holds."""
        match kind:
            case "close_on":
                value, was = self._close_on(row, day), deal.close_on
            case "amount":
                value, was = self._amount(row, deal), deal.amount
            case "next_step":
                value, was = self._text(row), plain((deal.next_step or "").strip()) or None
            case "dead":
                return (self._text(row) if row.value else ""), deal.status
            case "keep":
                if row.value:
                    raise self._wrong(
                        row, N_("In {file}, line {line}: keep takes no value, but there is {value}. Leave the value empty, or decide something else."),
                        value=f"“{row.value}”",
                    )  # fmt: skip
                return "", deal.status
        if value == was:
            raise self._wrong(
                row, N_("In {file}, line {line}: the deal {id} already has {value}. Leave the row out, or write what it is to become."),
                id=row.deal_id, value=f"“{row.value}”",
            )  # fmt: skip
        return value, was

    def _close_on(self, row: Row, decided_on: date) -> str:
        day = self._parsed(row, row.value)
        if day < decided_on:
            raise self._wrong(
                row, N_("In {file}, line {line}: {value} lies before the day of the decision, {day}. Write a later day, or say when it was decided: --on {value}."),
                value=day.isoformat(), day=decided_on.isoformat(),
            )  # fmt: skip
        if (day - decided_on).days > MOST_DAYS:
            raise self._wrong(
                row, N_("In {file}, line {line}: {value} is more than ten years ahead. Write a nearer day, like {example}."),
                value=day.isoformat(), example=f"{decided_on.year + 1}-03-31",
            )  # fmt: skip
        return day.isoformat()

    def _parsed(self, row: Row, text: str) -> date:
        """A day as people and spreadsheets write it, the year first."""
        try:
            parts = text.replace("/", "-").replace(".", "-").split("-")
            return parse_day("-".join(part.zfill(2) for part in parts))
        except CoachbookError:
            raise self._wrong(
                row, N_("In {file}, line {line}: {value} is not a day. Write it like {example}."),
                value=f"“{text}”", example=self.today.isoformat(),
            ) from None  # fmt: skip

    def _amount(self, row: Row, deal: Deal) -> str:
        """Digits of minor units of the deal's own currency."""
        places = get_currency_precision(deal.currency)
        whole, point, fraction = row.value.partition(".")
        digits = whole + fraction
        if (
            not (digits.isascii() and digits.isdigit() and whole)
            or (point and not fraction)
            or len(whole) > _DIGITS
        ):
            raise self._wrong(
                row, N_("In {file}, line {line}: {value} is not an amount. Write digits alone, in {currency}, like {example}."),
                value=f"“{row.value}”", currency=deal.currency, example="80000.50" if places else "80000",
            )  # fmt: skip
        if len(fraction.rstrip("0")) > places:
            raise self._wrong(
                row, N_("In {file}, line {line}: {value} has more decimals than {currency} has. Write at most {places}."),
                value=f"“{row.value}”", currency=deal.currency, places=places,
            )  # fmt: skip
        return str(int(Decimal(row.value).scaleb(places)))

    def _text(self, row: Row) -> str:
        if not row.value:
            raise self._wrong(row, N_("In {file}, line {line}: the column {column} is empty. Write what is to be done next."), column="value")  # fmt: skip
        if len(row.value) > LONGEST:
            raise self._wrong(
                row, N_("In {file}, line {line}: the text has {count} characters. Write at most {most}."),
                count=len(row.value), most=LONGEST,
            )  # fmt: skip
        return row.value

    def _wrong(self, row: Row, message: str, **values: object) -> Invalid:
        return Invalid(message, file=self.path, line=row.line, **values)


STATUSES = {"open": N_("open"), "won": N_("won"), "lost": N_("lost"), "deleted": N_("deleted")}
