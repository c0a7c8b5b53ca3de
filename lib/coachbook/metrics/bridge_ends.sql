-- Start and End of the pipeline bridge, from what stood when the days $first and $after began: open deals with a close
-- date in the window from $opens up to $closes (null: any or none), by owner, by the team in which the owner was on the
-- evening before, and all together. Amounts in minor units at the rates of $rated_on; without amount or rate 0.
WITH quoted AS (
    SELECT currency, num, den FROM known_rates WHERE from_on <= $rated_on
    QUALIFY row_number() OVER (PARTITION BY currency ORDER BY from_on DESC) = 1
),
evenings AS (
    SELECT unnest(['start', 'end']) AS part, unnest([$first::DATE, $after::DATE]) - 1 AS evening
),
stays AS (
    SELECT rep_id, team_id, from_on, lead(from_on, 1, DATE '9999-12-31') OVER (PARTITION BY rep_id ORDER BY from_on) AS next_on
    FROM known_roster
),
open_deals AS (
    SELECT part, evening, owner_id, coalesce(converted(amount_minor, num, den), 0) AS minor
    FROM evenings JOIN known_history AS d ON evening >= d.from_on AND evening < coalesce(d.until_on, DATE '9999-12-31')
    LEFT JOIN quoted USING (currency)
    WHERE status = 'open' AND ($opens::DATE IS NULL OR close_on BETWEEN $opens::DATE AND $closes::DATE - 1)
)
SELECT 'rep' AS kind, owner_id AS id, part, count(*) AS deals, sum(minor) AS minor FROM open_deals
WHERE owner_id IN (SELECT rep_id FROM stays) GROUP BY ALL
UNION ALL
SELECT 'team', team_id, part, count(*), sum(minor)
FROM open_deals JOIN stays ON rep_id = owner_id AND evening >= from_on AND evening < next_on
WHERE team_id IS NOT NULL GROUP BY ALL
UNION ALL
SELECT 'org', '', part, count(*), sum(minor) FROM open_deals GROUP BY ALL
