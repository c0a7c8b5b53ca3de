"""What a history says of itself."""

from __future__ import annotations

from coachbook.model.quality import Mender, Severity
from coachbook.sources.quality.question import Question
from coachbook.text import N_

IMPORTED_DEALS, IMPORTED_SHARE = 20, 0.001
"""So many deals, and such a share of all, do not change in one second by themselves; a hand-over of owners apart."""

_SECONDS = "SELECT deal_id, date_trunc('second', occurred_at) AS second, field FROM events WHERE NOT is_day_only(occurred_at)"

QUESTIONS = (
    Question(
        "list_contradicts_history", Severity.WARNING, Mender.ADMINISTRATOR,
        N_("Fields where the deal list contradicts the last recorded change"),
        N_("Look why the change is not in the history: tracking of the field was off, or somebody changed it past the history. coachbook follows the list from its day on."),
        """
        SELECT deal_id AS id, name, rep_id, shown_on, field, said AS recorded, listed FROM compared
        WHERE trim(said) <> trim(listed) AND (field <> 'amount' OR said_currency IN ('', currency))
        """,
        "SELECT count(*) FROM compared", "id, field",
    ),
    Question(
        "stages_in_one_second", Severity.NOTE, Mender.ADMINISTRATOR,
        N_("Deals that passed several stages in one second"),
        N_("An automation or an import did this. Times spent in these stages say nothing."),
        f"""
        SELECT deal_id AS id, name, rep_id, second, visits FROM (
            SELECT deal_id, max(second) AS second, max(hops) AS visits
            FROM (SELECT deal_id, second, count(*) AS hops FROM ({_SECONDS}) WHERE field = 'stage' GROUP BY deal_id, second HAVING count(*) > 1)
            GROUP BY deal_id
        ) JOIN listed USING (deal_id)
        """,
        f"SELECT count(DISTINCT deal_id) FROM ({_SECONDS})",
    ),
    Question(
        "history_imported", Severity.NOTE, Mender.ADMINISTRATOR,
        N_("Deals whose history has changes of a second in which very many deals changed"),
        N_("This is the trace of an import or a mass change. What was before it, and how long it took, cannot be told from this history."),
        f"""
        WITH changes AS (FROM ({_SECONDS}) WHERE field <> 'owner'),
        crowded AS (SELECT second FROM changes GROUP BY second HAVING count(*) >= {IMPORTED_DEALS}),
        seconds AS (
            SELECT second FROM changes SEMI JOIN crowded USING (second) GROUP BY second HAVING count(DISTINCT deal_id)
            >= greatest({IMPORTED_DEALS}, {IMPORTED_SHARE} * (SELECT count(DISTINCT deal_id) FROM events))
        ),
        imported AS (SELECT deal_id, min(second) AS second FROM changes SEMI JOIN seconds USING (second) GROUP BY deal_id)
        SELECT deal_id AS id, name, rep_id, second FROM imported JOIN listed USING (deal_id)
        """,
        f"SELECT count(DISTINCT deal_id) FROM ({_SECONDS})", "second, id",
    ),
)  # fmt: skip
