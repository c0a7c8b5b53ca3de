-- The deals that were open in the days from $first up to $after, or decided in them, by who answers for what of them.
-- One row per deal and holder: `open_days`, the days at whose end it was open and this person's, counted for the team
-- that he or she was in on each; of a decided deal, with whoever has the credit: `decided`, `won`, `minor` (worth of the
-- won deal in the reporting currency; 0 without an amount), and where the days make sense `cycled` and `cycle_days`.
WITH stretches AS ( -- a state that lasted no time was none
    SELECT deal_id, owner_id, greatest(from_on, $first::DATE) AS from_on, least(coalesce(until_on, $after), $after) AS until_on
    FROM known_history
    WHERE status = 'open' AND until_at IS DISTINCT FROM from_at AND from_on < $after AND coalesce(until_on > $first, true)
),
tenures AS ( -- before the first day on the roster nobody has it; whoever has left counts in the last team
    SELECT rep_id AS owner_id, rep_id, team_id, from_on, lead(from_on) OVER (PARTITION BY rep_id ORDER BY from_on) AS next_on
    FROM known_roster
    UNION ALL
    SELECT rep_id, NULL, NULL, DATE '0001-01-01', min(from_on) FROM known_roster GROUP BY rep_id HAVING min(from_on) > DATE '0001-01-01'
),
held AS (
    SELECT s.deal_id, t.rep_id, t.team_id,
        least(s.until_on, coalesce(t.next_on, s.until_on)) - greatest(s.from_on, coalesce(t.from_on, s.from_on)) AS days
    FROM stretches AS s LEFT JOIN tenures AS t
        ON t.owner_id = s.owner_id AND t.from_on < s.until_on AND coalesce(t.next_on > s.from_on, true)
    WHERE s.until_on > s.from_on
),
decided AS (
    SELECT k.deal_id, r.rep_id, CASE WHEN r.rep_id IS NOT NULL THEN k.team_id END AS team_id, k.status = 'won' AS is_won,
        coalesce(k.amount_minor, 0) AS amount_minor, k.close_on - k.created_on AS days
    FROM known AS k LEFT JOIN (SELECT DISTINCT rep_id FROM known_roster) AS r USING (rep_id)
    WHERE status IN ('won', 'lost') AND close_on >= $first AND close_on < $after
),
parts AS (
    SELECT deal_id, rep_id, team_id, days, 0 AS decided, 0 AS won, 0 AS minor, 0 AS cycled, 0 AS cycle_days FROM held
    UNION ALL SELECT deal_id, rep_id, team_id, 0, 1, is_won::INTEGER, CASE WHEN is_won THEN amount_minor ELSE 0 END,
        (is_won AND days >= 0)::INTEGER, CASE WHEN is_won AND days >= 0 THEN days ELSE 0 END
    FROM decided
)
SELECT deal_id, rep_id, team_id, sum(days)::DOUBLE AS open_days, sum(decided)::DOUBLE AS decided, sum(won)::DOUBLE AS won,
    sum(minor)::DOUBLE AS minor, sum(cycled)::DOUBLE AS cycled, sum(cycle_days)::DOUBLE AS cycle_days
FROM parts GROUP BY ALL ORDER BY ALL
