"""One thing that stands there twice."""

from __future__ import annotations

from coachbook.model.quality import Mender, Severity
from coachbook.model.tables import TABLES
from coachbook.sources.quality.question import Question
from coachbook.text import N_

NEAR_DAYS = 7
"""Two deals alike in customer, name, product and amount are one if they were created within so many days."""

TOLD_APART = {
    "deals": "coalesce(account_id, name) IS NOT NULL AND amount_minor IS NOT NULL",
    "contacts": "account_id IS NOT NULL",
    "products": "true",
    "leads": "name IS NOT NULL",
    "activities": "NOT is_day_only(occurred_at)",
}
"""Tables in which no two rows should say the same, and of which rows that can be said."""


def _relation(table: str) -> str:
    return "noted" if table == "activities" else f"known_{table}"


def repeats_sql(table: str) -> str:
    """Rows of a table that say the same as one before them, but for the id, for the table `repeats`."""
    (key,) = TABLES[table].key
    content = ", ".join(f'"{name}"' for name in TABLES[table].names if name != key)
    return f"""
    INSERT INTO repeats
    WITH rows AS (SELECT {key} AS id, hash({content}) AS said FROM {_relation(table)} WHERE {TOLD_APART[table]}),
    twice AS (SELECT said FROM rows GROUP BY said HAVING count(*) > 1)
    SELECT '{table}', id, first_value(id) OVER same FROM rows SEMI JOIN twice USING (said)
    WINDOW same AS (PARTITION BY said ORDER BY id) QUALIFY row_number() OVER same > 1
    """


_ALIKE = "account_id, lower(trim(name)), product_id, amount_minor, currency"
_COMPARABLE = "FROM listed WHERE account_id IS NOT NULL AND amount_minor <> 0"
_ROWS = " + ".join(
    f"(SELECT count(*) FROM {_relation(table)} WHERE {where})" for table, where in TOLD_APART.items()
)
_CUSTOMERS = "FROM known_accounts WHERE merged_into IS NULL AND heard(name) <> ''"

QUESTIONS = (
    Question(
        "duplicate_deals", Severity.WARNING, Mender.REP,
        N_("Deals alike in customer, name, product and amount, created within {days} days"),
        N_("If they are one deal, merge them in the CRM; a second one makes the pipeline larger than it is."),
        f"""
        WITH ordered AS (
            SELECT *, lag(created_on) OVER alike AS before_on, lag(deal_id) OVER alike AS same_as {_COMPARABLE}
            WINDOW alike AS (PARTITION BY {_ALIKE} ORDER BY created_on, deal_id)
        )
        SELECT deal_id AS id, name, rep_id, same_as, status, created_on, amount_minor, currency FROM ordered
        WHERE created_on - before_on <= {NEAR_DAYS} AND deal_id NOT IN (SELECT id FROM repeats WHERE "table" = 'deals')
        """,
        f"SELECT count(*) {_COMPARABLE}", "amount_minor DESC, id", values=(("days", NEAR_DAYS),),
    ),
    Question(
        "repeated_rows", Severity.WARNING, Mender.OPERATIONS,
        N_("Rows that say the same as another row under another id"),
        N_("Look in the source why it gives the row twice, and export it once."),
        'SELECT id, "table", same_as FROM repeats', f"SELECT {_ROWS}", '"table" = \'deals\' DESC, "table", id',
    ),
    Question(
        "customers_of_one_name", Severity.WARNING, Mender.OPERATIONS,
        N_("Customers with the name of another customer"),
        N_("If they are one customer, merge them in the CRM; they count as two in figures by customer."),
        f"SELECT account_id AS id, name, first_value(account_id) OVER same AS same_as {_CUSTOMERS} WINDOW same AS (PARTITION BY heard(name) ORDER BY account_id) QUALIFY row_number() OVER same > 1",
        f"SELECT count(*) {_CUSTOMERS}", "name, id",
    ),
)  # fmt: skip
