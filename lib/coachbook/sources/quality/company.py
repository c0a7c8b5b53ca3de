"""People, quotas, shares, rates and the working calendar."""

from __future__ import annotations

from coachbook.model.quality import Mender, Severity
from coachbook.sources.quality.question import Question
from coachbook.text import N_
from coachbook.warehouse.credits import CLOSE, WHOLE

RATE_DAYS = 92
"""An exchange rate older than a quarter is old."""

_REPS = "FROM present WHERE role = 'rep'"
_IN_USE = f"""
    SELECT own_currency, count(*) AS times FROM known
    WHERE own_currency <> currency AND own_minor IS NOT NULL AND (status = 'open' OR close_on > as_of() - {RATE_DAYS})
    GROUP BY own_currency
"""
_NOW = """
    SELECT unnest([month, quarter, week, year, fiscal_month, fiscal_quarter, fiscal_year]) AS period,
        unnest(['month', 'quarter', 'week', 'year', 'fiscal_month', 'fiscal_quarter', 'fiscal_year']) AS kind
"""
_CURRENT = f"""
    SELECT n.period FROM ({_NOW} FROM known_days WHERE day = as_of()) AS n
    WHERE n.kind IN (
        SELECT d.kind FROM ({_NOW} FROM known_days) AS d JOIN known_quotas AS q ON q.period = d.period WHERE q.holder = 'rep'
    )
"""
_EXPECTED = f"{_REPS} AND presence = 'active' AND EXISTS ({_CURRENT})"


def _lacking(column: str) -> tuple[str, str]:
    """Reps without a value, and how many there are; a column that nobody fills is another question."""
    some = f"(SELECT count({column}) > 0 {_REPS})"
    return (
        f"SELECT rep_id AS id, name {_REPS} AND {column} IS NULL AND {some}",
        f"SELECT count(*) {_REPS} AND {some}",
    )


QUESTIONS = (
    Question(
        "rep_without_team", Severity.WARNING, Mender.OPERATIONS,
        N_("Reps without a team"), N_("Enter the team; until then they are on no team's page."), *_lacking("team_id"),
    ),
    Question(
        "rep_without_manager", Severity.WARNING, Mender.OPERATIONS,
        N_("Reps without a manager"), N_("Enter who leads them; until then nobody sees their pages but themselves."),
        *_lacking("manager"),
    ),
    Question(
        "rep_without_start", Severity.NOTE, Mender.OPERATIONS,
        N_("Reps without a first day on the job"),
        N_("Enter the day; without it they count as having always been there."), *_lacking("start_on"),
    ),
    Question(
        "left_before_start", Severity.ERROR, Mender.OPERATIONS,
        N_("People whose last day on the job is before their first"), N_("Correct one of the two days."),
        "SELECT rep_id AS id, name, start_on, end_on FROM known_reps WHERE end_on < start_on QUALIFY row_number() OVER (PARTITION BY rep_id ORDER BY effective_on DESC) = 1",
        "SELECT count(DISTINCT rep_id) FROM known_reps",
    ),
    Question(
        "manager_unclear", Severity.WARNING, Mender.OPERATIONS,
        N_("People whose manager's name fits several people"), N_("Write the manager's id instead of the name."),
        "SELECT rep_id AS id, p.name, manager FROM present AS p JOIN unclear USING (rep_id)",
        "SELECT count(manager) FROM present",
    ),
    Question(
        "leaders_in_a_ring", Severity.ERROR, Mender.OPERATIONS,
        N_("People who lead each other round in a circle"), N_("Correct who leads whom; until then none of them has a leader."),
        "SELECT rep_id AS id, p.name, ring FROM people AS p JOIN rings USING (rep_id)", "SELECT count(manager) FROM present",
    ),
    Question(
        "quota_missing", Severity.WARNING, Mender.OPERATIONS,
        N_("Reps at work without a quota for the current period"),
        N_("Import their quotas; without one no attainment can be shown."),
        f"SELECT rep_id AS id, name, (SELECT string_agg(period, ', ' ORDER BY period) FROM ({_CURRENT})) AS periods {_EXPECTED} AND rep_id NOT IN (SELECT holder_id FROM known_quotas WHERE holder = 'rep' AND holder_id IS NOT NULL AND period IN ({_CURRENT}))",
        f"SELECT count(*) {_EXPECTED}",
    ),
    Question(
        "shares_not_whole", Severity.WARNING, Mender.OPERATIONS,
        N_("Deals whose revenue shares do not make 1"),
        N_("Correct the shares. If they make less, the owner has the rest; if more, the owner has it all."),
        f"""
        SELECT deal_id AS id, k.name, k.rep_id, sum(s.share) AS shares, any_value(k.amount_minor) AS amount_minor, any_value(k.currency) AS currency
        FROM known_splits AS s JOIN known AS k USING (deal_id) WHERE s.kind = 'revenue' GROUP BY deal_id, k.name, k.rep_id
        HAVING abs(sum(round(s.share * {WHOLE})::HUGEINT) - {WHOLE}) > {CLOSE}
        """,
        "SELECT count(DISTINCT deal_id) FROM known_splits JOIN known USING (deal_id) WHERE known_splits.kind = 'revenue'",
        "amount_minor DESC NULLS LAST, id",
    ),
    Question(
        "rate_old", Severity.WARNING, Mender.OPERATIONS,
        N_("Currencies of deals whose last exchange rate is older than {days} days"),
        N_("Import newer rates into fx_rates."),
        f"""
        SELECT own_currency AS id, max(from_on) AS rate_on FROM ({_IN_USE}) AS u
        JOIN known_fx_rates AS r ON own_currency IN (r.currency, r."into") AND r.from_on <= as_of()
        GROUP BY own_currency HAVING max(from_on) < as_of() - {RATE_DAYS}
        """,
        f"SELECT count(*) FROM ({_IN_USE})", values=(("days", RATE_DAYS),),
    ),
    Question(
        "make_up_days_unknown", Severity.WARNING, Mender.OPERATIONS,
        N_("Years of the working calendar without make-up workdays"),
        N_("Update coachbook, or write the official list into calendar.csv; numbers of working days may be wrong until then."),
        "SELECT year::VARCHAR AS id FROM years WHERE NOT is_known", "SELECT count(*) FROM years",
    ),
)  # fmt: skip
