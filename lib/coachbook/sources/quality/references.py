"""Names and ids that lead nowhere."""

from __future__ import annotations

from coachbook.model.quality import Mender, Severity
from coachbook.sources.quality.question import Question
from coachbook.text import N_

STAGE_UNUSED_DAYS, STAGE_VISITS = 365, 10
"""A stage with so many visits that no deal has entered for so long was renamed or given up."""

_DEAL = "SELECT deal_id AS id, name, rep_id, status, created_on, amount_minor, currency"
_LARGEST = "amount_minor DESC NULLS LAST, id"
_OF_DEALS = {
    "deal_events": "events", "activities": "noted", "deal_lines": "known_deal_lines",
    "leads": "known_leads", "splits": "known_splits", "collections": "known_collections", "costs": "known_costs",
}  # fmt: skip
_OF_PEOPLE = {
    "activities": "noted", "leads": "known_leads", "splits": "known_splits", "costs": "known_costs",
    "quotas": "(SELECT holder_id AS rep_id FROM known_quotas WHERE holder = 'rep')",
}  # fmt: skip


def _strangers(tables: dict[str, str], column: str, known: str) -> tuple[str, str]:
    """Rows of other tables by an id that is not among the known ones, and how many rows have one at all."""
    strange = " UNION ALL ".join(
        f"SELECT '{name}' AS \"table\", {column} AS id, times FROM (SELECT {column}, count(*) AS times FROM {rows} WHERE {column} IS NOT NULL GROUP BY {column}) ANTI JOIN {known} USING ({column})"
        for name, rows in tables.items()
    )
    return strange, "SELECT " + " + ".join(
        f"(SELECT count({column}) FROM {rows})" for rows in tables.values()
    )


def _unknown(column: str, table: str) -> tuple[str, str]:
    """Deals with an id that a table lacks; without any row of that table there is nothing to compare with."""
    rows = f"{_DEAL}, {column} FROM listed WHERE {column} NOT IN (SELECT {column} FROM {table}) AND EXISTS (FROM {table})"
    return rows, f"SELECT count({column}) FROM listed WHERE EXISTS (FROM {table})"


_UNKNOWN_DEAL = _strangers(_OF_DEALS, "deal_id", "heard_of")
_UNKNOWN_REP = _strangers(_OF_PEOPLE, "rep_id", "people")
_UNKNOWN_ACCOUNT = _unknown("account_id", "known_accounts")
_UNKNOWN_PRODUCT = _unknown("product_id", "known_products")

QUESTIONS = (
    Question(
        "unknown_owner", Severity.ERROR, Mender.OPERATIONS,
        N_("Deals whose owner is not on the roster"),
        N_("Add the person to the roster. Until then the deal is on nobody's page."),
        f"{_DEAL} FROM listed WHERE rep_id NOT IN (SELECT rep_id FROM people)",
        "SELECT count(rep_id) FROM listed", _LARGEST,
    ),
    Question(
        "owner_has_left", Severity.WARNING, Mender.MANAGER,
        N_("Open deals whose owner has left"),
        N_("Hand them over to somebody who is there."),
        """
        SELECT deal_id AS id, k.name, k.rep_id, l.end_on, k.close_on, k.amount_minor, k.currency
        FROM known AS k JOIN (
            SELECT rep_id, max(until_on) - 1 AS end_on FROM known_roster GROUP BY rep_id HAVING max(until_on) <= as_of()
        ) AS l USING (rep_id)
        WHERE k.status = 'open' AND k.rep_id NOT IN (SELECT rep_id FROM present)
        """,
        "SELECT count(rep_id) FROM known WHERE status = 'open' AND rep_id IN (SELECT rep_id FROM people)", _LARGEST,
    ),
    Question(
        "unknown_account", Severity.WARNING, Mender.OPERATIONS,
        N_("Deals whose customer is not in the list of customers"),
        N_("Export all customers that deals name, and mend those in quarantine."),
        *_UNKNOWN_ACCOUNT, _LARGEST,
    ),
    Question(
        "unknown_product", Severity.WARNING, Mender.OPERATIONS,
        N_("Deals whose product is not in the list of products"),
        N_("Export all products that deals name, and mend those in quarantine."),
        *_UNKNOWN_PRODUCT, _LARGEST,
    ),
    Question(
        "unknown_deal", Severity.WARNING, Mender.OPERATIONS,
        N_("Rows of other tables that belong to a deal which is not in the deal list"),
        N_("Export archived deals too, and mend deals in quarantine. Until then these rows count nowhere."),
        *_UNKNOWN_DEAL, "times DESC, id",
    ),
    Question(
        "unknown_rep", Severity.WARNING, Mender.OPERATIONS,
        N_("Rows of other tables that belong to a person who is not on the roster"),
        N_("Add the person to the roster. Until then these rows count for nobody."),
        *_UNKNOWN_REP, "times DESC, id",
    ),
    Question(
        "stage_spellings", Severity.WARNING, Mender.ADMINISTRATOR,
        N_("Stages that differ only in case, spaces or punctuation"),
        N_("Give the stage one spelling, in the CRM or in the mapping; each spelling is a stage of its own here."),
        "SELECT min(stage) AS id, string_agg(stage, ' | ' ORDER BY stage) AS spellings FROM stages WHERE heard(stage) <> '' GROUP BY heard(stage) HAVING count(*) > 1",
        "SELECT count(*) FROM stages",
    ),
    Question(
        "stage_unused", Severity.NOTE, Mender.ADMINISTRATOR,
        N_("Stages that no deal has entered for a year"),
        N_("If the stage was renamed, map the old name to the new one; else its old visits stand beside stages that took its place."),
        f"""
        SELECT stage AS id, count(*) AS visits, max(entered_on) AS newest_on FROM known_visits WHERE entered_on <= as_of()
        GROUP BY stage HAVING count(*) >= {STAGE_VISITS}
        AND newest_on < (SELECT max(entered_on) FROM known_visits WHERE entered_on <= as_of()) - {STAGE_UNUSED_DAYS}
        AND stage NOT IN (SELECT stage FROM known WHERE status = 'open' AND stage IS NOT NULL)
        """,
        "SELECT count(DISTINCT stage) FROM known_visits WHERE EXISTS (FROM events)",
    ),
)  # fmt: skip
