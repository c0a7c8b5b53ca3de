-- What became, by the end of the day before $until, of deals that were to close in the days from $first up to $after.
-- Of each deal: whose it was and what it was worth when the first day began, at that day's rate; how it ended; how often
-- and by how many days its close date was moved to a later day meanwhile. One row per scope and outcome.
WITH quoted AS (
    SELECT currency, arg_max(num, from_on) AS num, arg_max(den, from_on) AS den
    FROM known_rates WHERE from_on <= $first GROUP BY currency
),
stretches AS ( -- all of one instant is one transaction; a date moved in the closing one is thus no push
    FROM known_history WHERE from_on < $until AND until_at IS DISTINCT FROM from_at
),
due AS (
    SELECT deal_id, owner_id, $first - 1 AS day, coalesce(converted(amount_minor, num, den), 0) AS minor
    FROM stretches LEFT JOIN quoted USING (currency)
    WHERE from_on < $first AND coalesce(until_on >= $first, true)
        AND status = 'open' AND close_on >= $first AND close_on < $after
),
steps AS (
    SELECT *, CASE
        WHEN from_on >= $first AND status = 'open' AND lag(status) OVER life = 'open' THEN close_on - lag(close_on) OVER life
    END AS moved_days
    FROM stretches SEMI JOIN due USING (deal_id) WINDOW life AS (PARTITION BY deal_id ORDER BY nr)
),
ended AS (
    SELECT deal_id, last(status ORDER BY nr) AS status, last(close_on ORDER BY nr) AS close_on,
        count(*) FILTER (moved_days > 0) AS pushes, coalesce(sum(moved_days) FILTER (moved_days > 0), 0) AS push_days
    FROM steps GROUP BY deal_id
),
judged AS (
    SELECT d.minor, e.pushes, e.push_days, r.rep_id, r.team_id, CASE
        WHEN e.status <> 'open' THEN e.status
        WHEN e.close_on IS NULL OR e.close_on >= $after THEN 'slipped'
        WHEN e.close_on < $until THEN 'overdue'
        ELSE 'due'
    END AS outcome
    FROM due AS d JOIN ended AS e USING (deal_id)
    ASOF LEFT JOIN known_roster AS r ON r.rep_id = d.owner_id AND d.day >= r.from_on
),
scoped AS (
    SELECT 'rep' AS kind, rep_id AS id, * FROM judged WHERE rep_id IS NOT NULL
    UNION ALL SELECT 'team', team_id, * FROM judged WHERE team_id IS NOT NULL
    UNION ALL SELECT 'org', '', * FROM judged
)
SELECT kind, id, outcome, count(*) AS deals, sum(minor)::BIGINT AS minor, sum(minor::DOUBLE * minor) AS squares, count(*) FILTER (minor < 0) AS negative, sum(pushes)::BIGINT, sum(push_days)::BIGINT
FROM scoped GROUP BY ALL ORDER BY ALL
