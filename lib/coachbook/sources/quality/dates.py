"""Dates that contradict each other, that have passed, or that nobody chose."""

from __future__ import annotations

from coachbook.model.quality import Mender, Severity
from coachbook.sources.quality.question import Question, Told
from coachbook.text import N_

UNTOUCHED_DAYS = 30
"""A deal that nobody changed or worked on for so long is untouched."""
DEFAULT_SHARE, PERIOD_END_SHARE, FEWEST = 0.10, 0.25, 10
"""Close dates are called defaults only if so large a share of open deals has them, and so many."""
ROUNDING_DAYS = 1
"""A count of days may be off by one: it was made in another time zone, or the night before."""

_OPEN = "FROM known WHERE status = 'open'"
_DATED = f"SELECT *, deal_id AS id {_OPEN} AND close_on IS NOT NULL"
_HOW_MANY = f"SELECT count(close_on) {_OPEN}"
_SHOWN = "id, name, rep_id, created_on, close_on, amount_minor, currency"
_LARGEST = "amount_minor DESC NULLS LAST, id"


def _crowd(where: str, share: float) -> str:
    """Open deals whose close date fits, if they are more than chance and habit explain."""
    return f"""
    WITH dated AS ({_DATED}), fitting AS (FROM dated WHERE {where})
    SELECT {_SHOWN} FROM fitting
    WHERE (SELECT count(*) FROM fitting) >= greatest({FEWEST}, {share} * (SELECT count(*) FROM dated))
    """


_ENDS = """(
    SELECT day FROM known_days
    QUALIFY lead(month) OVER (ORDER BY day) <> month OR lead(fiscal_month) OVER (ORDER BY day) <> fiscal_month
)"""
_COMPARED = """
    SELECT deal_id AS id, name, rep_id, close_on, shown_on, days_to_close, close_on - shown_on AS days_expected
    FROM listed
    WHERE status = 'open' AND close_on IS NOT NULL AND days_to_close IS NOT NULL
"""

QUESTIONS = (
    Question(
        "closed_before_created", Severity.ERROR, Mender.REP,
        N_("Won or lost deals closed before they were created"),
        N_("Correct one of the two dates; the sales cycle is counted between them."),
        "SELECT deal_id AS id, name, rep_id, status, created_on, close_on, amount_minor, currency FROM listed WHERE status <> 'open' AND close_on < created_on",
        "SELECT count(close_on) FROM listed WHERE status <> 'open'", _LARGEST,
    ),
    Question(
        "decided_ahead", Severity.WARNING, Mender.REP,
        N_("Won or lost deals with a close date later than the export that shows them"),
        N_("Enter the day of the decision. Until the date has come the deal counts as open."),
        "SELECT deal_id AS id, name, rep_id, status, shown_on, close_on, amount_minor, currency FROM listed WHERE status <> 'open' AND close_on > shown_on",
        "SELECT count(close_on) FROM listed WHERE status <> 'open'", _LARGEST,
    ),
    Question(
        "created_ahead", Severity.WARNING, Mender.OPERATIONS,
        N_("Deals created later than the export that shows them"),
        N_("Correct the creation date, or the day that the import was told the export is of."),
        "SELECT deal_id AS id, name, rep_id, status, shown_on, created_on FROM listed_ever WHERE created_on > shown_on",
        "SELECT count(*) FROM listed_ever", "created_on DESC, id",
    ),
    Question(
        "derived_column", Severity.WARNING, Mender.ADMINISTRATOR,
        N_("Open deals whose days to close, as the source has them, are wrong"),
        N_("Do not read this column in the CRM, and have its formula mended. coachbook counts the days itself and uses the column nowhere."),
        f"""
        FROM ({_COMPARED}) WHERE abs(days_to_close - days_expected) > {ROUNDING_DAYS}
        AND NOT (days_to_close = 0 AND days_expected < 0) -- many sources count no further than to 0
        """,
        f"SELECT count(*) FROM ({_COMPARED})", "abs(days_to_close - days_expected) DESC, id",
        told=(
            Told(
                N_("The difference is {days} days on every one of these rows: the source seems to have computed the column as of {day}."),
                """
                SELECT any_value(abs(days_to_close - days_expected)) AS days, any_value(close_on - days_to_close::INTEGER) AS day
                FROM found HAVING count(DISTINCT days_to_close - days_expected) = 1 AND count(DISTINCT shown_on) = 1
                """,
            ),
            Told(
                N_("The difference is between {low} and {high} days."),
                """
                SELECT min(days_to_close - days_expected) AS low, max(days_to_close - days_expected) AS high
                FROM found HAVING count(DISTINCT days_to_close - days_expected) > 1 OR count(DISTINCT shown_on) > 1
                """,
            ),
        ),
    ),
    Question(
        "overdue", Severity.WARNING, Mender.REP,
        N_("Open deals whose close date has passed"),
        N_("Ask the customer and enter a new date, or close the deal."),
        f"SELECT deal_id AS id, name, rep_id, close_on, as_of() - close_on AS days, amount_minor, currency {_OPEN} AND close_on < as_of()",
        f"SELECT count(*) {_OPEN}", _LARGEST,
        told=(
            Told(
                N_("They are worth {amount} together; the oldest was due on {day}."),
                "SELECT sum(amount_minor)::BIGINT AS amount_minor, any_value(currency) AS currency, min(close_on) AS day FROM found HAVING count(amount_minor) > 0",
            ),
        ),
    ),
    Question(
        "close_date_default", Severity.WARNING, Mender.REP,
        N_("Open deals due on the last day of the month in which they were created"),
        N_("The CRM fills in this day by itself. Enter the day on which a decision is expected."),
        _crowd("close_on = last_day(created_on)", DEFAULT_SHARE), _HOW_MANY, _LARGEST,
    ),
    Question(
        "close_date_shared", Severity.WARNING, Mender.REP,
        N_("Open deals created on different days and all due on one day"),
        N_("Somebody or something set this day for all of them. Enter the day on which a decision on each is expected."),
        f"""
        WITH dated AS ({_DATED} AND close_on NOT IN {_ENDS}),
        days AS (
            SELECT close_on FROM dated GROUP BY close_on
            HAVING count(*) >= greatest({FEWEST}, {DEFAULT_SHARE} * ({_HOW_MANY})) AND count(DISTINCT created_on) >= {FEWEST}
        )
        SELECT {_SHOWN} FROM dated SEMI JOIN days USING (close_on)
        """,
        _HOW_MANY, "close_on, amount_minor DESC NULLS LAST, id",
    ),
    Question(
        "close_date_period_end", Severity.NOTE, Mender.REP,
        N_("Open deals due on the last day of a month or quarter"),
        N_("Such a day is more often a wish than an appointment. Ask each customer when they will decide."),
        _crowd(f"close_on IN {_ENDS}", PERIOD_END_SHARE), _HOW_MANY, _LARGEST,
    ),
    Question(
        "untouched", Severity.WARNING, Mender.REP,
        N_("Open deals without a change or an activity for {days} days"),
        N_("Take the next step, or close the deal."),
        f"SELECT deal_id AS id, name, rep_id, touched_on, seen_on('deals') - touched_on AS days, amount_minor, currency FROM touched WHERE touched_on <= seen_on('deals') - {UNTOUCHED_DAYS}",
        f"""
        SELECT count(*) FROM touched WHERE EXISTS (FROM events) OR EXISTS (FROM done WHERE deal_id IS NOT NULL)
        OR EXISTS (FROM listed WHERE modified_at IS NOT NULL)
        OR (SELECT min(made_on) <= seen_on('deals') - {UNTOUCHED_DAYS} FROM made WHERE "table" = 'deals')
        """,
        _LARGEST, values=(("days", UNTOUCHED_DAYS),),
    ),
)  # fmt: skip
