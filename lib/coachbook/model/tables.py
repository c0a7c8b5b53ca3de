"""The canonical tables: what every source is mapped to, and what every metric reads.

Type, unit, nullability and meaning of each column stand here alone. DuckDB types and the
predicates that send a row to quarantine are made from this declaration.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from coachbook.text import N_


class Kind(Enum):
    """What a column holds: DuckDB type, how text becomes it, and what is said where it cannot."""

    TEXT = ("VARCHAR", "{text}", "")
    DAY = (
        "DATE",
        # DuckDB alone would also read `infinity`, `epoch` and years before Christ.
        r"CASE WHEN regexp_full_match({text}, '(19|20|21)\d\d[-/]\d\d?[-/]\d\d?([ T]\d\d:\d\d(:\d\d([.]\d+)?)?)?')"
        " THEN try_cast({text} AS DATE) END",
        N_("not a date"),
    )
    MINOR = ("BIGINT", "try_cast({text} AS BIGINT)", N_("not an amount"))

    def __init__(self, duckdb: str, cast: str, complaint: str) -> None:
        self.duckdb = duckdb
        self.cast = cast
        self.complaint = complaint


@dataclass(frozen=True)
class Column:
    """One column. `required` rows without it are quarantined; `choices` are its only values."""

    name: str
    kind: Kind
    meaning: str
    required: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One canonical table; `key` identifies a row, a later import of it supersedes."""

    name: str
    key: str
    meaning: str
    columns: tuple[Column, ...] = field(default=())

    @property
    def ddl(self) -> str:
        """`CREATE TABLE` of the snapshot."""
        columns = ", ".join(f'"{c.name}" {c.kind.duckdb}' for c in self.columns)
        return f'CREATE TABLE "{self.name}" ({columns}, PRIMARY KEY ("{self.key}"))'

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [c.name for c in self.columns]


STATUSES = ("open", "won", "lost")
ROLES = ("rep", "manager", "director", "operations")

REPS = Table(
    "reps",
    "rep_id",
    N_("The roster: one row per person who sells or leads."),
    (
        Column("rep_id", Kind.TEXT, N_("The source's id of the person."), required=True),
        Column("name", Kind.TEXT, N_("Name as the person writes it."), required=True),
        Column("team_id", Kind.TEXT, N_("Id of the team; `--team` takes it.")),
        Column("team", Kind.TEXT, N_("Name of the team.")),
        Column("manager", Kind.TEXT, N_("Who leads the person.")),
        Column("role", Kind.TEXT, N_("What the person does."), required=True, choices=ROLES),
        Column("start_on", Kind.DAY, N_("First day on the job; empty: always.")),
        Column("end_on", Kind.DAY, N_("Last day on the job; empty: still there.")),
    ),
)
ACCOUNTS = Table(
    "accounts",
    "account_id",
    N_("Customers."),
    (
        Column("account_id", Kind.TEXT, N_("The source's id of the customer."), required=True),
        Column("name", Kind.TEXT, N_("Name of the customer."), required=True),
        Column("industry", Kind.TEXT, N_("The customer's trade.")),
        Column("territory", Kind.TEXT, N_("Sales territory.")),
    ),
)
PRODUCTS = Table(
    "products",
    "product_id",
    N_("What is sold."),
    (
        Column("product_id", Kind.TEXT, N_("The source's id of the product."), required=True),
        Column("name", Kind.TEXT, N_("Name of the product."), required=True),
        Column("category", Kind.TEXT, N_("Group of products.")),
    ),
)
DEALS = Table(
    "deals",
    "deal_id",
    N_("Deals, one row each, as last seen."),
    (
        Column("deal_id", Kind.TEXT, N_("The source's id of the deal."), required=True),
        Column("name", Kind.TEXT, N_("Name of the deal.")),
        Column("rep_id", Kind.TEXT, N_("Owner of the deal.")),
        Column("account_id", Kind.TEXT, N_("Customer of the deal.")),
        Column("product_id", Kind.TEXT, N_("Main product of the deal.")),
        Column("stage", Kind.TEXT, N_("Sales stage as last seen.")),
        Column("status", Kind.TEXT, N_("Whether it is decided."), required=True, choices=STATUSES),
        Column("created_on", Kind.DAY, N_("Day it was created."), required=True),
        Column("close_on", Kind.DAY, N_("Close date: actual once decided, expected before.")),
        Column("amount_minor", Kind.MINOR, N_("Amount in minor units of `currency`.")),
        Column("currency", Kind.TEXT, N_("ISO 4217 code of the amount."), required=True),
    ),
)

TABLES: dict[str, Table] = {t.name: t for t in (REPS, ACCOUNTS, PRODUCTS, DEALS)}
