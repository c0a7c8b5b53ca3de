-- Deals that were open at the end of certain days with a close date in the period that such a day is looked at for
-- ($days, $firsts, $afters; one each), with what they were worth on the day, in the reporting currency at its rate, and
-- what of that was won: of the deals that stand won now with a close date in that period, what they count as won.
-- `rep_id`, `team_id`: who had them at the end of the day. Deals without an amount or a rate count 0.
WITH looks AS (
    SELECT unnest(range(len($days::DATE[]))) AS look, unnest($days::DATE[]) AS day,
        unnest($firsts::DATE[]) AS first_day, unnest($afters::DATE[]) AS after_day
),
rates AS (
    SELECT look, currency, arg_max(num, from_on) AS num, arg_max(den, from_on) AS den
    FROM looks JOIN known_rates ON from_on <= day GROUP BY ALL
),
standing AS (
    SELECT l.*, h.deal_id, h.owner_id, h.close_on, h.amount_minor, h.currency
    FROM looks AS l JOIN known_history AS h ON h.from_on <= l.day AND coalesce(h.until_on > l.day, true)
    WHERE h.status = 'open' AND h.close_on >= l.first_day AND h.close_on < l.after_day
)
SELECT s.look, s.deal_id, r.rep_id, r.team_id, s.close_on < s.day AS is_overdue,
    coalesce(converted(s.amount_minor, x.num, x.den), 0)::DOUBLE AS minor,
    CASE WHEN k.status = 'won' AND k.close_on >= s.first_day AND k.close_on < s.after_day THEN coalesce(k.amount_minor, 0) ELSE 0 END::DOUBLE AS won
FROM standing AS s
ASOF LEFT JOIN known_roster AS r ON r.rep_id = s.owner_id AND s.day >= r.from_on
LEFT JOIN rates AS x ON x.look = s.look AND x.currency = s.currency
LEFT JOIN known AS k ON k.deal_id = s.deal_id
ORDER BY s.look, s.deal_id
