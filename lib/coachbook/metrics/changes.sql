-- Each deal as it was at the end of the day $since and as it is at the end of $as_of, where the two differ or it is open.
-- {history}: stretches of deals; {touches}: deal_id, day of what was done about a deal.
WITH stretches AS ( -- all of one instant is one transaction: a state that lasted no time was none
    FROM {history} WHERE from_on <= $as_of AND until_at IS DISTINCT FROM from_at
),
earlier AS (FROM stretches WHERE from_on <= $since AND coalesce(until_on > $since, true)),
present AS (FROM stretches WHERE coalesce(until_on > $as_of, true)),
steps AS (
    SELECT *, lag(status) OVER ordered = 'open' AND status = 'open' AS stays_open, lag(close_on) OVER ordered AS closed_before
    FROM stretches WINDOW ordered AS (PARTITION BY deal_id ORDER BY nr)
),
walked AS ( -- a date moved while the deal is decided is no push
    SELECT deal_id, max(from_on) AS changed_on,
        count(*) FILTER (from_on > $since AND stays_open AND close_on > closed_before) AS pushes
    FROM steps GROUP BY deal_id
),
origins AS (SELECT deal_id, min(nr) = 1 AS is_whole FROM {history} GROUP BY deal_id),
touched AS (SELECT deal_id, max(day) AS touched_on FROM {touches} WHERE day <= $as_of GROUP BY deal_id)
SELECT deal_id, coalesce(p.rep_id, e.rep_id) AS rep_id, e.status, p.status,
    e.stage, p.stage, e.close_on, p.close_on, e.amount_minor, p.amount_minor, e.currency, p.currency,
    is_whole, pushes, greatest(changed_on, touched_on) AS touched_on
FROM earlier AS e FULL JOIN present AS p USING (deal_id) JOIN walked USING (deal_id) JOIN origins USING (deal_id) LEFT JOIN touched USING (deal_id)
WHERE (e.status = 'open' OR p.status = 'open' OR e.status IS DISTINCT FROM p.status)
    AND NOT (e.status IS NULL AND p.status = 'deleted')
ORDER BY deal_id
