"""What is captured at all, how fresh it is, and what nobody fills in."""

from __future__ import annotations

from coachbook.model.quality import Mender, Severity
from coachbook.model.tables import ACTIVITIES
from coachbook.sources.quality.question import Question
from coachbook.text import N_

LATE_DAYS = 7
"""An export older than this, and than twice the usual time between exports, is late."""
QUIET_WORKING_DAYS = 5
"""After so many working days without anything new, something is missing from an export."""
ACTIVITY_DAYS = 30
"""Somebody without an activity for so long has none, or does not record them."""

_MOVING = ("deals", "deal_events", "activities", "leads")
_LIVING = ", ".join(f"'{name}'" for name in _MOVING)
_NEWEST = {
    "deals": "greatest((SELECT max(created_on) FROM known), (SELECT max(from_on) FROM known_history WHERE from_on <= as_of()), (SELECT max(local_day(modified_at)) FROM listed WHERE shown_on <= as_of()))",
    "deal_events": "(SELECT max(on_day) FROM events)",
    "activities": "(SELECT max(on_day) FROM done)",
}
_NEWS = " UNION ALL ".join(
    f"SELECT '{name}' AS \"table\", {day} AS newest_on" for name, day in _NEWEST.items()
)
_NEEDED = {
    "deals.rep_id": ("listed", "true"), "deals.stage": ("listed", "true"), "deals.amount_minor": ("listed", "true"),
    "deals.close_on": ("listed", "true"), "deals.account_id": ("listed", "true"),
}  # fmt: skip
_USEFUL = {
    "deals.name": ("listed", "true"), "deals.product_id": ("listed", "true"),
    "deals.loss_reason": ("listed", "status = 'lost'"), "reps.team_id": ("present", "role = 'rep'"),
    "reps.manager": ("present", "role = 'rep'"), "reps.start_on": ("present", "role = 'rep'"),
    "activities.deal_id": ("done", "true"),
}  # fmt: skip


def _filled(columns: dict[str, tuple[str, str]]) -> tuple[str, str]:
    """Columns in which no row has a value, and how many columns have rows."""
    counted = " UNION ALL ".join(
        f"SELECT '{name}' AS id, count({name.split('.')[1]}) AS filled, count(*) AS times FROM {table} WHERE {where}"
        for name, (table, where) in columns.items()
    )
    return (
        f"SELECT id FROM ({counted}) WHERE times > 0 AND filled = 0",
        f"SELECT count(*) FROM ({counted}) WHERE times > 0",
    )


_ACTIVE = f"""
    SELECT rep_id, name, team FROM present
    WHERE role = 'rep' AND presence = 'active' AND joined_on <= seen_on('activities') - {ACTIVITY_DAYS}
        AND coalesce(back_on <= seen_on('activities') - {ACTIVITY_DAYS}, true)
        AND EXISTS (FROM done WHERE on_day > seen_on('activities') - {ACTIVITY_DAYS})
"""
_OLD_ENOUGH = f"FROM touched WHERE created_on <= seen_on('activities') - {ACTIVITY_DAYS} AND EXISTS (FROM done WHERE deal_id IS NOT NULL)"
_KINDS = ", ".join(f"('{kind}')" for kind in ACTIVITIES)

QUESTIONS = (
    Question(
        "export_late", Severity.WARNING, Mender.OPERATIONS,
        N_("Tables whose newest export is older than {days} days"),
        N_("Export and import anew; everything since the last export is missing."),
        f"""
        WITH turns AS (
            SELECT *, made_on - lag(made_on) OVER (PARTITION BY source, "table" ORDER BY made_on) AS gap FROM made
            WHERE "table" IN ({_LIVING}) AND made_on <= as_of()
        )
        SELECT "table" AS id, source, max(made_on) AS last_on, as_of() - max(made_on) AS days FROM turns
        GROUP BY source, "table" HAVING days > greatest({LATE_DAYS}, 2 * coalesce(median(gap), 0))
        """,
        f'SELECT count(DISTINCT (source, "table")) FROM made WHERE "table" IN ({_LIVING}) AND made_on <= as_of()',
        "days DESC, id, source", values=(("days", LATE_DAYS),),
    ),
    Question(
        "nothing_new", Severity.WARNING, Mender.OPERATIONS,
        N_("Tables with nothing new in the {days} working days before their newest export"),
        N_("Look whether the export leaves something out, by a filter or a view, or whether the CRM is still used."),
        f"""
        SELECT "table" AS id, newest_on, last_on, l.number - n.number AS working_days
        FROM (SELECT "table", max(made_on) AS last_on FROM made WHERE made_on <= as_of() GROUP BY "table")
        JOIN ({_NEWS}) USING ("table") JOIN known_days AS n ON n.day = newest_on JOIN known_days AS l ON l.day = last_on
        WHERE l.number - n.number > {QUIET_WORKING_DAYS}
        """,
        f'SELECT count(DISTINCT "table") FROM made JOIN ({_NEWS}) USING ("table") WHERE made_on <= as_of() AND newest_on IS NOT NULL',
        values=(("days", QUIET_WORKING_DAYS),),
    ),
    Question(
        "columns_lacking", Severity.WARNING, Mender.OPERATIONS,
        N_("Columns that figures need and that no row fills"),
        N_("Map the column, or add it to the export. Until then the figures that need it are missing."),
        *_filled(_NEEDED),
    ),
    Question(
        "columns_not_captured", Severity.NOTE, Mender.OPERATIONS,
        N_("Columns that no row fills: not captured, rather than empty"),
        N_("If the CRM has it, map the column; pages then say more."),
        *_filled(_USEFUL),
    ),
    Question(
        "activities_not_captured", Severity.NOTE, Mender.ADMINISTRATOR,
        N_("Kinds of activity that nobody has recorded: they are not captured"),
        N_("If people do this, connect what records it (telephone, calendar, mail); pages make no figure of what is not captured."),
        f"SELECT kind AS id FROM (VALUES {_KINDS}) AS t(kind) WHERE kind NOT IN (SELECT kind FROM done) AND EXISTS (FROM listed)",
        f"SELECT count(*) FROM (VALUES {_KINDS}) AS t(kind) WHERE EXISTS (FROM listed)",
    ),
    Question(
        "reps_without_activities", Severity.WARNING, Mender.MANAGER,
        N_("Reps at work without any activity in the last {days} days"),
        N_("Ask whether activities are recorded elsewhere; figures of activity say nothing about these people."),
        f"SELECT rep_id AS id, name FROM ({_ACTIVE}) WHERE rep_id NOT IN (SELECT rep_id FROM done WHERE on_day > seen_on('activities') - {ACTIVITY_DAYS})",
        f"SELECT count(*) FROM ({_ACTIVE})", values=(("days", ACTIVITY_DAYS),),
    ),
    Question(
        "deals_without_activities", Severity.NOTE, Mender.REP,
        N_("Open deals older than {days} days without any activity"),
        N_("Link calls, meetings and mails to their deal when recording them."),
        f"SELECT deal_id AS id, name, rep_id, created_on, amount_minor, currency {_OLD_ENOUGH} AND NOT has_activity",
        f"SELECT count(*) {_OLD_ENOUGH}", "amount_minor DESC NULLS LAST, id", values=(("days", ACTIVITY_DAYS),),
    ),
)  # fmt: skip
