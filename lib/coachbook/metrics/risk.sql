-- Flags of deals: as worn on `$as_of`, and on one last day of a month in `$first`..`$last` whose horizon has passed, with
-- what became of the deal: `won` within $horizon days after it (null on `$as_of`). The day is drawn by the deal's id: days of
-- the same deal tell the same story.
-- {touches}: deal_id, day of what was done about a deal.
WITH days AS (
    SELECT last_day(month)::DATE AS day
    FROM generate_series($first::TIMESTAMP, $last::TIMESTAMP, INTERVAL 1 MONTH) AS t(month)
    WHERE last_day(month) + $horizon <= $as_of
    UNION SELECT $as_of
),
stretches AS MATERIALIZED ( -- all of one instant is one transaction; a date moved in the closing one is thus no push
    FROM known_history WHERE from_on <= $as_of AND until_at IS DISTINCT FROM from_at
),
pushes AS ( -- few deals are pushed: to sort all stretches, or to count over them, would take most of the time
    SELECT deal_id, nr FROM (SELECT deal_id, nr, status, close_on FROM stretches)
    WHERE deal_id IN (SELECT deal_id FROM stretches WHERE status = 'open' GROUP BY deal_id HAVING min(close_on) < max(close_on))
    WINDOW ordered AS (PARTITION BY deal_id ORDER BY nr)
    QUALIFY status = 'open' AND lag(status) OVER ordered = 'open' AND close_on > lag(close_on) OVER ordered
),
usual AS ( -- how long deals that were won stayed
    SELECT stage, quantile_cont(left_on - entered_on, $slow) AS slow_days
    FROM known_visits WHERE left_on IS NOT NULL AND deal_id IN (SELECT deal_id FROM known_history WHERE status = 'won')
    GROUP BY stage HAVING count(*) >= $fewest
),
each_end AS MATERIALIZED (
    SELECT d.day, deal_id, nr, rep_id, stage, close_on, amount_minor, currency, from_on FROM stretches AS w
    JOIN days AS d ON w.from_on <= d.day AND coalesce(w.until_on > d.day, true) WHERE w.status = 'open'
),
drawn AS (
    SELECT deal_id, arg_min(day, hash(deal_id, day)) AS day FROM each_end WHERE day < $as_of GROUP BY deal_id
    UNION ALL SELECT deal_id, day FROM each_end WHERE day = $as_of
),
standing AS MATERIALIZED (FROM each_end SEMI JOIN drawn USING (deal_id, day)),
moved AS (
    SELECT s.deal_id, s.day, count(*) AS times FROM standing AS s JOIN pushes AS p ON p.deal_id = s.deal_id AND p.nr <= s.nr GROUP BY ALL
),
touched AS (
    SELECT s.deal_id, s.day, max(t.day) AS touched_on
    FROM standing AS s JOIN {touches} AS t ON t.deal_id = s.deal_id AND s.day >= t.day GROUP BY ALL
),
visited AS (
    SELECT s.deal_id, s.day, s.day - v.entered_on > u.slow_days AS is_slow
    FROM standing AS s
    JOIN known_visits AS v ON v.deal_id = s.deal_id AND v.entered_on <= s.day AND coalesce(v.left_on > s.day, true)
    JOIN usual AS u ON u.stage = v.stage
    QUALIFY row_number() OVER (PARTITION BY s.deal_id, s.day ORDER BY v.entered_at DESC, v.visit DESC) = 1
),
wins AS (SELECT deal_id, from_on AS won_on FROM stretches WHERE status = 'won')
SELECT s.day, s.deal_id, s.rep_id, s.stage, s.close_on, s.amount_minor, s.currency,
    s.close_on IS NOT NULL AND s.close_on < s.day AS overdue, coalesce(m.times >= $pushes, false) AS pushed,
    s.day - greatest(s.from_on, t.touched_on) >= $quiet AS quiet, coalesce(v.is_slow, false) AS slow,
    CASE WHEN s.day + $horizon <= $as_of THEN EXISTS (
        SELECT 1 FROM wins AS w WHERE w.deal_id = s.deal_id AND w.won_on > s.day AND w.won_on <= s.day + $horizon
    ) END AS won
FROM standing AS s LEFT JOIN touched AS t USING (deal_id, day) LEFT JOIN visited AS v USING (deal_id, day)
LEFT JOIN moved AS m USING (deal_id, day)
