-- Whether criteria of stages were met at the instants at which deals entered stages, or moved on from them.
-- {counts}, {starts}: of activities, one column per criterion; {tests}: one column per criterion, NULL: not known;
-- {rows}: which of these columns speaks of which stage.
WITH spelled AS (
    SELECT unnest($texts::VARCHAR[]) AS text, unnest($ids::VARCHAR[]) AS id, unnest($places::INTEGER[]) AS place
),
spans AS (
    SELECT unnest($spans::VARCHAR[]) AS span, unnest($first::DATE[]) AS first_day, unnest($after::DATE[]) AS after_day
),
-- Deals that entered or left a stage on these days: what is known of others need not be looked up.
asked AS (
    SELECT DISTINCT deal_id FROM known_visits JOIN spans
        ON (entered_on >= first_day AND entered_on < after_day) OR (left_on >= first_day AND left_on < after_day)
),
visits AS (
    SELECT v.* EXCLUDE (stage), coalesce(s.id, v.stage) AS stage, s.place, coalesce(v.left_to = 'won' OR t.place > s.place, false) AS moved_on
    FROM (FROM known_visits SEMI JOIN known USING (deal_id) SEMI JOIN asked USING (deal_id)) AS v
    LEFT JOIN spelled AS s ON s.text = v.stage LEFT JOIN spelled AS t ON t.text = v.left_to
),
-- What was saved together counts together: of states of one instant, the last.
states AS (
    SELECT deal_id, from_at, rep_id, owner_id, amount_minor, currency, close_on FROM known_history SEMI JOIN asked USING (deal_id)
    WHERE until_at IS NULL OR until_at > from_at
),
moments AS MATERIALIZED (
    SELECT row_number() OVER () AS nr, spans.span, m.* FROM (
        SELECT deal_id, stage, place, 'entry' AS moment, rep_id, entered_at AS at_instant, entered_on AS on_day FROM visits
        UNION ALL
        -- The exit is of whoever owned the deal before it moved on.
        SELECT v.deal_id, v.stage, v.place, 'exit', CASE WHEN left_at > entered_at THEN h.rep_id ELSE v.rep_id END, left_at, left_on
        FROM (FROM visits WHERE moved_on) AS v ASOF LEFT JOIN states AS h ON h.deal_id = v.deal_id AND v.left_at > h.from_at
    ) AS m JOIN spans ON m.on_day >= first_day AND m.on_day < after_day
),
-- Fields of which the source kept a history, deal by deal.
told AS (
    SELECT deal_id, bool_or(field = 'amount') AS amount, bool_or(field = 'close_on') AS close_on, bool_or(field = 'owner') AS rep_id
    FROM known_deal_events SEMI JOIN asked USING (deal_id) WHERE field IN ('amount', 'close_on', 'owner') GROUP BY deal_id
),
-- Of other fields only lists tell: a row stood like this from its last change up to the last export that shows it.
exported AS (
    SELECT source, "table", coalesce(max(as_of) FILTER (as_of <= $as_of), min(as_of)) AS last_on
    FROM snapshot.exports WHERE "table" IN ('deals', 'activities') GROUP BY source, "table"
),
listed AS (
    SELECT m.nr, d.* FROM moments AS m JOIN snapshot.deals AS d USING (deal_id)
    JOIN exported AS e ON e.source = d._source AND e."table" = 'deals' AND d._first <= e.last_on
    WHERE m.on_day <= least(d._last, e.last_on) AND (m.on_day >= d._first OR m.at_instant >= d.modified_at)
    QUALIFY row_number() OVER (PARTITION BY m.nr ORDER BY m.on_day >= d._first DESC, d._first DESC, d._source) = 1
),
counted AS (
    SELECT m.nr{counts} FROM moments AS m JOIN known_activities AS a ON a.deal_id = m.deal_id AND a.occurred_at <= m.at_instant
    WHERE a.held IS DISTINCT FROM false GROUP BY m.nr
),
captured AS (
    SELECT count(*) AS activities, (SELECT max(last_on) FROM exported WHERE "table" = 'activities') AS last_on{starts}
    FROM known_activities AS a WHERE deal_id IS NOT NULL
),
tested AS MATERIALIZED (
    SELECT m.span, m.stage, m.place, m.moment, m.rep_id{tests}
    FROM moments AS m CROSS JOIN captured
    ASOF LEFT JOIN states AS h ON h.deal_id = m.deal_id AND m.at_instant >= h.from_at
    LEFT JOIN told ON told.deal_id = m.deal_id
    LEFT JOIN listed AS d ON d.nr = m.nr
    LEFT JOIN counted ON counted.nr = m.nr
)
SELECT span, stage, place, moment, criterion, rep_id, count(*) AS visits, count(met) AS known,
    CASE WHEN count(met) > 0 THEN count(*) FILTER (met) END AS met
FROM ({rows}) GROUP BY ALL ORDER BY ALL
