"""The canonical tables: what every source is mapped to, and what every metric reads.

Type, unit, nullability and meaning of each column stand here alone. DuckDB types, the predicates that
send a row to quarantine, the reference page and the CSV templates are made from this declaration.
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
    MOMENT = (
        "TIMESTAMP",
        r"CASE WHEN regexp_full_match({text}, '(19|20|21)\d\d[-/]\d\d?[-/]\d\d?([ T]\d\d?:\d\d(:\d\d([.]\d+)?)?)?')"
        " THEN try_cast({text} AS TIMESTAMP) END",
        N_("not a date or time"),
    )
    MINOR = ("BIGINT", "try_cast({text} AS BIGINT)", N_("not an amount"))
    COUNT = (
        "BIGINT",
        r"CASE WHEN regexp_full_match({text}, '[+-]?\d+') THEN try_cast({text} AS BIGINT) END",
        N_("not a whole number"),
    )
    NUMBER = (
        "DECIMAL(28, 10)",
        r"CASE WHEN regexp_full_match({text}, '[+-]?(\d+([.]\d*)?|[.]\d+)') THEN try_cast({text} AS DECIMAL(28, 10)) END",
        N_("not a number"),
    )
    SHARE = (
        "DOUBLE",
        r"CASE WHEN regexp_full_match({text}, '(\d+([.]\d*)?|[.]\d+)') THEN try_cast({text} AS DOUBLE) END",
        N_("not a share like 0.25"),
    )
    FLAG = (
        "BOOLEAN",
        "CASE WHEN lower({text}) IN ('true', 'false') THEN try_cast({text} AS BOOLEAN) END",
        N_("not true or false"),
    )
    VALUE = ("VARCHAR", "{text}", N_("not a value of this field"))
    """The value of a deal's field as text; `field` of the same row says which."""

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
    """One canonical table; the columns of `key` together identify a row, empty ones too."""

    name: str
    key: tuple[str, ...]
    meaning: str
    columns: tuple[Column, ...] = field(default=())

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [c.name for c in self.columns]

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(c for c in self.columns if c.name == name)


STATUSES = ("open", "won", "lost")
ROLES = ("rep", "manager", "director", "operations")
FIELDS = ("stage", "status", "amount", "close_on", "owner")
"""What changes in a deal's life; `status` of an event may also be `deleted` (merged counts as deleted)."""
BASES = ("signed", "delivered", "invoiced", "collected")
ACTIVITIES = ("call", "email", "meeting", "visit", "demo", "document", "task", "note")
CURRENCY = Column("currency", Kind.TEXT, N_("ISO 4217 code of the amount."), required=True)


def _amount(meaning: str, *, required: bool = False) -> Column:
    return Column("amount_minor", Kind.MINOR, meaning, required=required)


REPS = Table(
    "reps",
    ("rep_id", "effective_on"),
    N_("The roster: a row says what a person is from a day on, until the person's next row."),
    (
        Column("rep_id", Kind.TEXT, N_("The source's id of the person."), required=True),
        Column("effective_on", Kind.DAY, N_("Day from which the row holds; empty: from the export that brought it.")),
        Column("name", Kind.TEXT, N_("Name as the person writes it."), required=True),
        Column("team_id", Kind.TEXT, N_("Id of the team; `--team` takes it.")),
        Column("team", Kind.TEXT, N_("Name of the team.")),
        Column("manager", Kind.TEXT, N_("Who leads the person: an id of this table, or a name.")),
        Column("role", Kind.TEXT, N_("What the person does."), required=True, choices=ROLES),
        Column("start_on", Kind.DAY, N_("First day on the job; empty: always.")),
        Column("end_on", Kind.DAY, N_("Last day on the job; empty: still there.")),
        Column("presence", Kind.TEXT, N_("At work or on leave; empty: at work."), choices=("active", "leave")),
        Column("ramp", Kind.SHARE, N_("Share of a full quota that is expected, 0 to 1; empty: 1.")),
    ),
)  # fmt: skip
ACCOUNTS = Table(
    "accounts",
    ("account_id",),
    N_("Customers."),
    (
        Column("account_id", Kind.TEXT, N_("The source's id of the customer."), required=True),
        Column("name", Kind.TEXT, N_("Name of the customer."), required=True),
        Column("industry", Kind.TEXT, N_("The customer's trade.")),
        Column("territory", Kind.TEXT, N_("Sales territory.")),
        Column("segment", Kind.TEXT, N_("Size or kind of customer.")),
        Column("merged_into", Kind.TEXT, N_("Id of the customer that this one was merged into.")),
    ),
)
CONTACTS = Table(
    "contacts",
    ("contact_id",),
    N_("People at customers."),
    (
        Column("contact_id", Kind.TEXT, N_("The source's id of the contact."), required=True),
        Column("account_id", Kind.TEXT, N_("Customer of the contact.")),
        Column("name", Kind.TEXT, N_("Name of the contact."), required=True),
        Column("title", Kind.TEXT, N_("Position at the customer.")),
        Column("part", Kind.TEXT, N_("Part in the decision, for instance buyer or user.")),
    ),
)
PRODUCTS = Table(
    "products",
    ("product_id",),
    N_("What is sold."),
    (
        Column("product_id", Kind.TEXT, N_("The source's id of the product."), required=True),
        Column("name", Kind.TEXT, N_("Name of the product."), required=True),
        Column("category", Kind.TEXT, N_("Group of products.")),
    ),
)
LEADS = Table(
    "leads",
    ("lead_id",),
    N_("Leads: what comes before a deal."),
    (
        Column("lead_id", Kind.TEXT, N_("The source's id of the lead."), required=True),
        Column("name", Kind.TEXT, N_("Name of the lead.")),
        Column("rep_id", Kind.TEXT, N_("Owner of the lead.")),
        Column("origin", Kind.TEXT, N_("Where the lead came from.")),
        Column("status", Kind.TEXT, N_("What became of it."), required=True, choices=("open", "converted", "dropped")),
        Column("created_on", Kind.DAY, N_("Day it was created."), required=True),
        Column("decided_on", Kind.DAY, N_("Day it was converted or dropped.")),
        Column("deal_id", Kind.TEXT, N_("The deal it became.")),
        Column("account_id", Kind.TEXT, N_("The customer it became, or belongs to.")),
    ),
)  # fmt: skip
DEALS = Table(
    "deals",
    ("deal_id",),
    N_("Deals, one row each, as an export shows them."),
    (
        Column("deal_id", Kind.TEXT, N_("The source's id of the deal."), required=True),
        Column("name", Kind.TEXT, N_("Name of the deal.")),
        Column("rep_id", Kind.TEXT, N_("Owner of the deal.")),
        Column("account_id", Kind.TEXT, N_("Customer of the deal.")),
        Column("product_id", Kind.TEXT, N_("Main product of the deal.")),
        Column("stage", Kind.TEXT, N_("Sales stage.")),
        Column("status", Kind.TEXT, N_("Whether it is decided."), required=True, choices=STATUSES),
        Column("created_on", Kind.DAY, N_("Day it was created."), required=True),
        Column("close_on", Kind.DAY, N_("Close date: actual once decided, expected before.")),
        _amount(N_("Amount in minor units of `currency`.")),
        CURRENCY,
        Column("kind", Kind.TEXT, N_("New business, renewal or the like, as the source calls it.")),
        Column("origin", Kind.TEXT, N_("Where the deal came from.")),
        Column("loss_reason", Kind.TEXT, N_("Why it was lost, as the source says.")),
        Column("next_step", Kind.TEXT, N_("What is to be done next, as the source says.")),
        Column("probability", Kind.SHARE, N_("Win probability as typed or set by stage, 0 to 1.")),
        Column("forecast_category", Kind.TEXT, N_("Forecast category by the source's API value.")),
        Column("days_to_close", Kind.COUNT, N_("Days to the close date as the source computed them; checked, never used.")),
        Column("modified_at", Kind.MOMENT, N_("When the source last changed the deal (UTC).")),
    ),
)  # fmt: skip
DEAL_EVENTS = Table(
    "deal_events",
    ("deal_id", "occurred_at", "field", "seq"),
    N_("The history of deals as the source kept it: one row per change of one field."),
    (
        Column("deal_id", Kind.TEXT, N_("The deal."), required=True),
        Column("occurred_at", Kind.MOMENT, N_("When it changed (UTC)."), required=True),
        Column("field", Kind.TEXT, N_("What changed."), required=True, choices=FIELDS),
        Column("seq", Kind.COUNT, N_("Order among changes of one instant; those of one transaction share it.")),
        Column("old", Kind.VALUE, N_("Value before.")),
        Column("new", Kind.VALUE, N_("Value after; a status is open, won, lost or deleted.")),
        Column("currency", Kind.TEXT, N_("ISO 4217 code of an amount; empty: the workspace's.")),
        Column("recorded_at", Kind.MOMENT, N_("When the source came to know it (UTC); empty: then, or with the export that brought it.")),
        Column("actor", Kind.TEXT, N_("Who changed it.")),
    ),
)  # fmt: skip
ACTIVITIES_TABLE = Table(
    "activities",
    ("activity_id",),
    N_("Calls, meetings, visits and the like."),
    (
        Column("activity_id", Kind.TEXT, N_("The source's id of the activity."), required=True),
        Column("rep_id", Kind.TEXT, N_("Whose activity it is."), required=True),
        Column("kind", Kind.TEXT, N_("What was done."), required=True, choices=ACTIVITIES),
        Column("occurred_at", Kind.MOMENT, N_("When it took place (UTC), or its day."), required=True),
        Column("deal_id", Kind.TEXT, N_("The deal it belongs to.")),
        Column("account_id", Kind.TEXT, N_("The customer it belongs to.")),
        Column("contact_id", Kind.TEXT, N_("The contact who took part.")),
        Column("lead_id", Kind.TEXT, N_("The lead it belongs to.")),
        Column("held", Kind.FLAG, N_("Whether it took place; empty: not said.")),
        Column("outcome", Kind.TEXT, N_("What came of it, as the source says.")),
        Column("minutes", Kind.COUNT, N_("How long it took, in minutes.")),
        Column("checked_in", Kind.FLAG, N_("Whether the visit was confirmed on the spot.")),
    ),
)
QUOTAS = Table(
    "quotas",
    ("holder", "holder_id", "period", "basis"),
    N_("Quotas: what a person, a team or the company is to reach in a period."),
    (
        Column("holder", Kind.TEXT, N_("Whose quota it is."), required=True, choices=("rep", "team", "org")),
        Column("holder_id", Kind.TEXT, N_("Id of the person or team; empty for the company.")),
        Column("period", Kind.TEXT, N_("The period, like 2026-Q3."), required=True),
        Column("basis", Kind.TEXT, N_("What counts; empty: signed."), choices=BASES),
        _amount(N_("The quota in minor units of `currency`."), required=True),
        CURRENCY,
    ),
)
SPLITS = Table(
    "splits",
    ("deal_id", "rep_id", "kind"),
    N_("Split credit: who shares in a deal. Without a row the owner has it all."),
    (
        Column("deal_id", Kind.TEXT, N_("The deal."), required=True),
        Column("rep_id", Kind.TEXT, N_("Who shares in it."), required=True),
        Column("kind", Kind.TEXT, N_("Revenue splits of a deal make 1 together; overlays come on top."), required=True, choices=("revenue", "overlay")),
        Column("share", Kind.SHARE, N_("Share of the amount, 0 to 1; an overlay's may be more."), required=True),
    ),
)  # fmt: skip
COLLECTIONS = Table(
    "collections",
    ("collection_id",),
    N_("Deliveries, invoices and money received for won deals."),
    (
        Column("collection_id", Kind.TEXT, N_("The source's id of the record."), required=True),
        Column("deal_id", Kind.TEXT, N_("The deal it belongs to."), required=True),
        Column("basis", Kind.TEXT, N_("What it records; empty: collected."), choices=BASES[1:]),
        Column("collected_on", Kind.DAY, N_("Its day."), required=True),
        _amount(N_("Amount in minor units of `currency`."), required=True),
        CURRENCY,
    ),
)
COSTS = Table(
    "costs",
    ("cost_id",),
    N_("Costs of selling and marketing, and of what was sold."),
    (
        Column("cost_id", Kind.TEXT, N_("The source's id of the record."), required=True),
        Column("kind", Kind.TEXT, N_("What it was for."), required=True, choices=("sales", "marketing", "goods")),
        Column("incurred_on", Kind.DAY, N_("Its day."), required=True),
        Column("rep_id", Kind.TEXT, N_("Whom it is attributed to; empty: nobody.")),
        Column("deal_id", Kind.TEXT, N_("The deal it belongs to.")),
        _amount(N_("Amount in minor units of `currency`."), required=True),
        CURRENCY,
    ),
)  # fmt: skip
FX_RATES = Table(
    "fx_rates",
    ("currency", "into", "from_on"),
    N_("Dated exchange rates: one unit of `currency` is `rate` units of `into`, from a day on."),
    (
        Column("currency", Kind.TEXT, N_("ISO 4217 code."), required=True),
        Column("into", Kind.TEXT, N_("ISO 4217 code."), required=True),
        Column("from_on", Kind.DAY, N_("First day on which the rate holds, until the next."), required=True),
        Column("rate", Kind.NUMBER, N_("Units of `into` for one unit of `currency`."), required=True),
    ),
)
DEAL_LINES = Table(
    "deal_lines",
    ("line_id",),
    N_("What a deal consists of."),
    (
        Column("line_id", Kind.TEXT, N_("The source's id of the line."), required=True),
        Column("deal_id", Kind.TEXT, N_("The deal."), required=True),
        Column("product_id", Kind.TEXT, N_("The product.")),
        Column("quantity", Kind.NUMBER, N_("How many.")),
        Column("discount", Kind.SHARE, N_("Discount on the list price, 0 to 1.")),
        _amount(N_("Amount of the line in minor units of `currency`.")),
        CURRENCY,
    ),
)

TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        REPS, ACCOUNTS, CONTACTS, PRODUCTS, LEADS, DEALS, DEAL_EVENTS, DEAL_LINES, SPLITS, ACTIVITIES_TABLE,
        QUOTAS, COLLECTIONS, COSTS, FX_RATES,
    )
}  # fmt: skip
