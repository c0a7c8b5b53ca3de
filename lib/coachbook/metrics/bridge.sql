-- Flows of the pipeline bridge: every transaction from the day $first up to, not including, $after is taken apart into
-- steps of one field each, and a step counts where it changes what is in the pipe. In pipe: open, close date in the
-- window from $opens up to $closes (null: any close date or none), owner in the scope.
-- One row per scope and flow: deals that came or went, minor units of the reporting currency at the rates of $rated_on.
-- The last two columns: how much of it was clean-up, that is what `clean_ups` calls for on the day.
-- One more per scope, whose flow is null: deals that counted 0 somewhere for want of an amount or of a rate.
WITH quoted AS (
    SELECT currency, arg_max(num, from_on) AS num, arg_max(den, from_on) AS den
    FROM known_rates WHERE from_on <= $rated_on GROUP BY currency
),
-- All of one instant is one transaction: a state that lasted no time was none.
states AS NOT MATERIALIZED (
    SELECT deal_id, nr, owner_id, status, close_on, from_on, until_on, converted(amount_minor, num, den) AS worth,
        coalesce(close_on >= $opens::DATE AND close_on < $closes::DATE, $opens::DATE IS NULL) AS due
    FROM known_history LEFT JOIN quoted USING (currency)
    WHERE from_on < $after AND until_at IS DISTINCT FROM from_at
),
-- The transactions of these days, and before each the state that it ended.
changes AS (
    SELECT *, lag(status) OVER life AS old_status, lag(owner_id) OVER life AS old_owner_id,
        lag(close_on) OVER life AS old_close_on, lag(due) OVER life AS old_due, lag(worth) OVER life AS old_worth
    FROM states WHERE from_on >= $first OR (until_on >= $first AND until_on < $after)
    WINDOW life AS (PARTITION BY deal_id ORDER BY nr)
),
transactions AS MATERIALIZED (
    SELECT deal_id, from_on AS day, status, old_status, owner_id, old_owner_id, close_on, old_close_on,
        coalesce(old_status = 'open', false) AS was_open,
        -- A decision comes out of the pipe: a deal that was not in it has entered just before.
        NOT was_open AND status <> 'deleted' AND status IS DISTINCT FROM old_status AS enters,
        -- What is lost or deleted goes with the amount and the close date that it had.
        old_status IS NOT NULL AND status IN ('lost', 'deleted') AS goes,
        CASE WHEN goes THEN old_due ELSE due END AS due_then, old_due,
        CASE WHEN goes THEN old_worth ELSE worth END AS worth_then,
        coalesce(worth_then, 0) AS minor, coalesce(old_worth, 0) AS old_minor, worth_then IS NULL AS unvalued
    FROM changes WHERE from_on >= $first
),
-- In the order in which they are applied: amount, close date, owner, status.
moved AS (
    SELECT deal_id, day, CASE WHEN minor > old_minor THEN 'increases' ELSE 'decreases' END AS flow,
        old_owner_id AS owner_id, NULL AS other_id, 0 AS deals, abs(minor - old_minor) AS minor, unvalued
    FROM transactions WHERE was_open AND old_due AND (unvalued OR minor <> old_minor)
    UNION ALL
    SELECT deal_id, day,
        CASE
            WHEN due_then AND old_close_on IS NULL THEN 'dated_in'
            WHEN due_then AND old_close_on > close_on THEN 'pulled_in'
            WHEN due_then THEN 'pushed_in'
            WHEN close_on IS NULL THEN 'dated_out'
            WHEN old_close_on > close_on THEN 'pulled_out'
            ELSE 'pushed_out'
        END, old_owner_id, NULL, 1, minor, unvalued
    FROM transactions WHERE was_open AND due_then <> old_due
    UNION ALL
    SELECT deal_id, day, 'transferred_out', old_owner_id, owner_id, 1, minor, unvalued
    FROM transactions WHERE was_open AND due_then AND owner_id IS DISTINCT FROM old_owner_id
    UNION ALL
    SELECT deal_id, day, 'transferred_in', owner_id, old_owner_id, 1, minor, unvalued
    FROM transactions WHERE was_open AND due_then AND owner_id IS DISTINCT FROM old_owner_id
    UNION ALL
    SELECT deal_id, day, CASE WHEN old_status IS NULL THEN 'created' ELSE 'reopened' END, owner_id, NULL, 1, minor, unvalued
    FROM transactions WHERE enters AND due_then
    UNION ALL
    SELECT deal_id, day, status, owner_id, NULL, 1, minor, unvalued
    FROM transactions WHERE (was_open OR enters) AND status <> 'open' AND due_then
    UNION ALL -- no step: what stood at the beginning and counts 0
    SELECT deal_id, $first - 1, NULL, owner_id, NULL, 0, 0, true
    FROM states WHERE status = 'open' AND due AND worth IS NULL AND from_on < $first AND coalesce(until_on >= $first, true)
),
steps AS MATERIALIZED (
    SELECT *, EXISTS (
        FROM clean_ups AS c
        WHERE c.deal_id = m.deal_id AND c.flow = m.flow AND m.day >= c.first_on AND m.day <= c.last_on
    ) AS is_clean_up
    FROM moved AS m
),
-- Whoever changes teams takes the pipe along as it stood when the day began.
moves AS (
    SELECT rep_id, from_on AS day, team_id, lag(team_id) OVER (PARTITION BY rep_id ORDER BY from_on) AS old_team_id
    FROM known_roster QUALIFY team_id IS DISTINCT FROM old_team_id
),
carried AS (
    SELECT deal_id, m.team_id, m.old_team_id, coalesce(worth, 0) AS minor, worth IS NULL AS unvalued
    FROM states AS s JOIN moves AS m
        ON m.rep_id = s.owner_id AND m.day > s.from_on AND m.day <= coalesce(s.until_on, m.day)
    WHERE status = 'open' AND due AND m.day >= $first AND m.day < $after
),
in_teams AS (
    SELECT deal_id, flow, own.team_id, deals, minor, unvalued, is_clean_up FROM steps AS s
    ASOF LEFT JOIN known_roster AS own ON own.rep_id = s.owner_id AND s.day >= own.from_on
    ASOF LEFT JOIN known_roster AS other ON other.rep_id = s.other_id AND s.day >= other.from_on
    WHERE own.team_id IS DISTINCT FROM other.team_id
    UNION ALL
    SELECT deal_id, 'transferred_out', old_team_id, 1, minor, unvalued, false FROM carried
    UNION ALL
    SELECT deal_id, 'transferred_in', team_id, 1, minor, unvalued, false FROM carried
),
scoped AS (
    SELECT 'rep' AS kind, owner_id AS id, deal_id, flow, deals, minor, unvalued, is_clean_up FROM steps
    WHERE owner_id IN (SELECT rep_id FROM known_roster)
    UNION ALL
    SELECT 'team', team_id, deal_id, flow, deals, minor, unvalued, is_clean_up FROM in_teams WHERE team_id IS NOT NULL
    UNION ALL
    SELECT 'org', '', deal_id, flow, deals, minor, unvalued, is_clean_up FROM steps
    WHERE coalesce(flow NOT IN ('transferred_out', 'transferred_in'), true)
)
SELECT kind, id, flow, sum(deals) AS deals, sum(minor) AS minor, count(DISTINCT deal_id) FILTER (unvalued) AS unvalued,
    coalesce(sum(deals) FILTER (is_clean_up), 0) AS clean_up_deals, coalesce(sum(minor) FILTER (is_clean_up), 0) AS clean_up_minor
FROM scoped GROUP BY GROUPING SETS ((kind, id, flow), (kind, id)) HAVING flow IS NOT NULL OR grouping(flow) = 1
