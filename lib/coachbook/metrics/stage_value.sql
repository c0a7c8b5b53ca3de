-- What the deals are worth that are in a stage at the end of $day, by codes of `entities` and `places`, out of the tables of
-- visits.sql: amounts of that evening in minor units at the rates of $rated_on; without amount or rate 0.
WITH quoted AS (
    SELECT currency, num, den FROM known_rates WHERE from_on <= $rated_on
    QUALIFY row_number() OVER (PARTITION BY currency ORDER BY from_on DESC) = 1
),
standing AS (
    SELECT deal_id, coalesce(converted(amount_minor, num, den), 0) AS minor
    FROM known_history LEFT JOIN quoted USING (currency)
    WHERE status = 'open' AND from_on <= $day AND coalesce(until_on > $day, true)
),
there AS (
    SELECT deal_id, rep, team, code FROM stays
    WHERE from_on <= $day AND coalesce(handed_on, left_on, DATE 'infinity') > $day
)
SELECT coalesce(rep, team, (SELECT max(code) FROM entities)) AS entity, code, sum(minor)::BIGINT AS minor
FROM there JOIN standing USING (deal_id)
GROUP BY GROUPING SETS ((rep, code), (team, code), (code))
