-- Average value per customer: won amount / distinct customers with a win in the span.
-- A row carries its share of one customer: of the rep's own, of the team's, of the company's. A customer
-- leaves a pool with a rep only if nobody else of the pool sold to it.
SELECT
    span, entity, peer, deal_id, rep_id, coalesce(account_id, '') AS unit, coalesce(amount_minor, 0) AS x,
    1.0 / count(*) OVER own AS y,
    1.0 / nullif(count(*) FILTER (peer) OVER team, 0) AS y_in_team,
    1.0 / nullif(count(*) FILTER (peer) OVER company, 0) AS y_in_all,
    CASE WHEN count(*) FILTER (peer) OVER team = count(*) FILTER (peer) OVER own
        THEN 1.0 / nullif(count(*) FILTER (peer) OVER own, 0) ELSE 0 END AS y_leaves_team,
    CASE WHEN count(*) FILTER (peer) OVER company = count(*) FILTER (peer) OVER own
        THEN 1.0 / nullif(count(*) FILTER (peer) OVER own, 0) ELSE 0 END AS y_leaves_all
FROM decided
WHERE status = 'won'
WINDOW
    own AS (PARTITION BY span, account_id, entity),
    team AS (PARTITION BY span, account_id, team_id),
    company AS (PARTITION BY span, account_id)
