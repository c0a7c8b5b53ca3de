-- Visits of deals to stages, and who had them, as known at the end of the day {as_of}. `stage_order` has the
-- stages, `stage_spellings` what else deals carry for them.
-- Whoever holds a deal at the end of a day answers for what happens to it on that day, and so does the team he or
-- she is in on it. Working days are counted by `number` of known_days.
-- The collapse rule: what stood for no longer than a second was passed through. It is no visit, a deal that is back
-- after it was never away, and a stage passed through is not skipped.

-- The calendar begins a year before the first deal; what is dated earlier counts as of its first day.
CREATE OR REPLACE TEMP MACRO listed(day) AS
    CASE WHEN day IS NOT NULL THEN greatest(day, (SELECT min(k.day) FROM known_days AS k)) END;

-- Stages by code: those of the order by their position, then all others by name. `rank` counts used stages before.
CREATE OR REPLACE TEMP TABLE places AS
WITH carried AS (
    SELECT DISTINCT stage AS text FROM known_history WHERE from_on <= {as_of} AND status = 'open' AND stage IS NOT NULL
),
used AS (SELECT DISTINCT coalesce(s.id, c.text) AS stage FROM carried AS c LEFT JOIN stage_spellings AS s USING (text)),
named AS (
    SELECT stage, position, u.stage IS NOT NULL AS is_used
    FROM stage_order AS o FULL JOIN used AS u USING (stage)
)
SELECT stage, position, is_used, (row_number() OVER ordered - 1)::INTEGER AS code,
    count(*) FILTER (is_used AND position IS NOT NULL) OVER ordered - (is_used AND position IS NOT NULL)::INTEGER AS rank
FROM named WINDOW ordered AS (ORDER BY position NULLS LAST, stage ROWS UNBOUNDED PRECEDING);

-- Where a deal stands, one row per change: in a stage while it is open (`place`, its code), else decided. As codes,
-- since these rows are sorted again and again.
CREATE OR REPLACE TEMP TABLE steps AS
WITH codes AS (
    SELECT text, code FROM stage_spellings JOIN places ON stage = id
    UNION ALL SELECT stage, code FROM places ANTI JOIN stage_spellings ON text = stage
),
changes AS (
    SELECT deal_id, nr, TRY_CAST(status AS ENUM ('open', 'won', 'lost', 'deleted')) AS status,
        CASE WHEN status = 'open' THEN c.code END AS place, from_at, from_on
    FROM known_history AS h LEFT JOIN codes AS c ON c.text = h.stage WHERE from_on <= {as_of}
    QUALIFY (status, place) IS DISTINCT FROM lag((status, place)) OVER (PARTITION BY deal_id ORDER BY nr)
)
SELECT *, coalesce(lead(from_at) OVER (PARTITION BY deal_id ORDER BY nr) - from_at <= INTERVAL 1 SECOND, false) AS is_hop
FROM changes;

CREATE OR REPLACE TEMP TABLE turns AS
WITH lasting AS (
    SELECT * FROM steps WHERE NOT is_hop
    QUALIFY (status, place) IS DISTINCT FROM lag((status, place)) OVER (PARTITION BY deal_id ORDER BY nr)
)
SELECT deal_id, nr, status, place, from_at AS entered_at, from_on AS entered_on,
    lead(from_at) OVER deal AS left_at, lead(from_on) OVER deal AS left_on,
    lead(status) OVER deal AS next_status, lead(place) OVER deal AS next_place,
    coalesce(lag(status) OVER deal <> 'open', false) AS is_reopening
FROM lasting WINDOW deal AS (PARTITION BY deal_id ORDER BY nr);

-- What a deal passed through between one turn and the next.
CREATE OR REPLACE TEMP TABLE hops AS
WITH passed AS (SELECT deal_id, nr, position FROM steps LEFT JOIN places ON code = place WHERE is_hop)
SELECT t.deal_id, t.nr, count(*) AS hops, list(DISTINCT position) FILTER (position IS NOT NULL) AS through
FROM passed AS p ASOF JOIN (FROM turns SEMI JOIN passed USING (deal_id)) AS t ON t.deal_id = p.deal_id AND p.nr > t.nr
GROUP BY ALL;

-- How deals stand that are open no longer.
CREATE OR REPLACE TEMP TABLE endings AS
SELECT deal_id, status AS outcome, entered_on AS ended_on FROM turns WHERE left_on IS NULL AND status <> 'open';

-- From when on the history is whole. Before anybody is known to have left a stage there was none; and files that
-- begin in midstream lack what was decided before, so that those in them are the ones that took long.
CREATE OR REPLACE TEMP TABLE beginning AS
WITH moved AS (SELECT min(left_on) AS first_on FROM turns WHERE status = 'open' AND place IS NOT NULL),
decided AS (SELECT min(greatest(ended_on, close_on)) AS first_on FROM endings JOIN known USING (deal_id))
SELECT coalesce({since}, CASE WHEN m.first_on IS NOT NULL THEN greatest(m.first_on, d.first_on) END) AS since
FROM moved AS m, decided AS d;

-- Who has each deal at the end of a day, by codes of `entities`: reps, then teams ('': nobody, none), then all.
CREATE OR REPLACE TEMP TABLE held AS
WITH changes AS (
    SELECT deal_id, nr, coalesce(rep_id, '') AS rep_id, from_on FROM known_history WHERE from_on <= {as_of}
    QUALIFY nr = 1 OR known_history.rep_id IS DISTINCT FROM lag(known_history.rep_id) OVER (PARTITION BY deal_id ORDER BY nr)
),
evenings AS (FROM changes QUALIFY coalesce(lead(from_on) OVER (PARTITION BY deal_id ORDER BY nr) > from_on, true)),
holders AS (FROM evenings QUALIFY rep_id IS DISTINCT FROM lag(rep_id) OVER (PARTITION BY deal_id ORDER BY nr))
SELECT *, lead(from_on, 1, DATE 'infinity') OVER (PARTITION BY deal_id ORDER BY nr) AS until_on FROM holders;
CREATE OR REPLACE TEMP TABLE belonging AS
WITH stretches AS (
    SELECT DISTINCT rep_id, DATE '-infinity' AS from_on, '' AS team_id FROM held
    UNION ALL SELECT rep_id, from_on, coalesce(team_id, '') FROM known_roster
),
changes AS (
    FROM stretches
    QUALIFY team_id IS DISTINCT FROM lag(team_id) OVER (PARTITION BY rep_id ORDER BY from_on)
)
SELECT *, lead(from_on, 1, DATE 'infinity') OVER (PARTITION BY rep_id ORDER BY from_on) AS until_on FROM changes;
CREATE OR REPLACE TEMP TABLE entities AS
WITH everybody AS (
    SELECT DISTINCT 'rep' AS kind, rep_id AS id FROM belonging
    UNION ALL SELECT DISTINCT 'team', team_id FROM belonging
    UNION ALL SELECT 'all', ''
)
SELECT (row_number() OVER (ORDER BY array_position(['rep', 'team', 'all'], kind), id) - 1)::INTEGER AS code, kind, id
FROM everybody;
CREATE OR REPLACE TEMP TABLE care AS
SELECT h.deal_id, r.code AS rep, t.code AS team, greatest(h.from_on, b.from_on) AS from_on,
    least(h.until_on, b.until_on) AS until_on
FROM held AS h JOIN belonging AS b ON b.rep_id = h.rep_id AND b.from_on < h.until_on AND b.until_on > h.from_on
JOIN entities AS r ON r.kind = 'rep' AND r.id = h.rep_id JOIN entities AS t ON t.kind = 'team' AND t.id = b.team_id;

-- One row per visit. `went`: onward (in the order), won, back, aside (to or from a stage outside the order, or
-- to none), lost, deleted; empty: still there. `again_on`: the next visit to the same stage. `before_days`: working days
-- that the deal was there earlier. `is_truncated`: it began before the history.
CREATE OR REPLACE TEMP TABLE visits AS
WITH numbered AS (
    SELECT t.deal_id, t.nr, p.code, p.position, t.entered_at, t.entered_on, t.left_at, t.left_on, t.is_reopening,
        CASE
            WHEN t.left_on IS NULL THEN NULL
            WHEN t.next_status <> 'open' THEN t.next_status
            WHEN n.position > p.position THEN 'onward'
            WHEN n.position < p.position THEN 'back'
            ELSE 'aside'
        END AS went,
        CASE WHEN t.next_status = 'won' THEN {won} ELSE n.position END AS to_position,
        CASE
            WHEN went = 'onward' THEN n.rank
            WHEN went = 'won' AND p.position IS NOT NULL
                THEN (SELECT count(*) FROM places WHERE is_used AND position IS NOT NULL)
        END - p.rank - 1 AS between_stages,
        i.number AS entered_number, o.number AS left_number
    FROM turns AS t JOIN places AS p ON p.code = t.place LEFT JOIN places AS n ON n.code = t.next_place
    LEFT JOIN known_days AS i ON i.day = listed(t.entered_on) LEFT JOIN known_days AS o ON o.day = listed(t.left_on)
    WHERE t.status = 'open'
)
SELECT v.*, coalesce(h.hops, 0) AS hops,
    coalesce(between_stages - len(list_filter(h.through, lambda x: x > position AND x < to_position)), between_stages, 0)
        AS skipped,
    coalesce(entered_on < (SELECT since FROM beginning), true) AS is_truncated, left_on IS NULL AS is_open,
    lead(entered_on) OVER stage AS again_on,
    coalesce(sum(left_number - entered_number) OVER (stage ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::BIGINT
        AS before_days
FROM numbered AS v LEFT JOIN hops AS h USING (deal_id, nr)
WINDOW stage AS (PARTITION BY deal_id, code ORDER BY nr);

-- One row per visit and stretch of days in which one person of one team had the deal; `handed_on`: the day on
-- which it went to somebody else, or its holder to another team. `_before`: number of the day before.
CREATE OR REPLACE TEMP TABLE stays AS
SELECT v.* EXCLUDE (entered_at, left_at, to_position, between_stages, hops), a.account_id, c.rep, c.team,
    greatest(v.entered_on, c.from_on) AS from_on, c.from_on <= v.entered_on AS is_first,
    CASE WHEN c.until_on <= coalesce(v.left_on, {as_of}) THEN c.until_on END AS handed_on,
    CASE WHEN NOT is_first THEN f.number - f.is_working::INTEGER END AS from_before,
    h.number - h.is_working::INTEGER AS handed_before
FROM visits AS v
JOIN care AS c ON c.deal_id = v.deal_id AND c.from_on <= coalesce(v.left_on, {as_of}) AND c.until_on > v.entered_on
LEFT JOIN known AS a ON a.deal_id = v.deal_id
LEFT JOIN known_days AS f ON f.day = listed(c.from_on)
LEFT JOIN known_days AS h ON h.day = listed(c.until_on) AND c.until_on <= coalesce(v.left_on, {as_of});

-- One row per deal and position that it ever reached, by visits or by a standing win (position {won}), with who had it
-- on that day; `origin_` who had it when it came into the funnel. Deals that stand deleted are none.
CREATE OR REPLACE TEMP TABLE reached AS
WITH marks AS (
    SELECT deal_id, entered_on AS day, position FROM visits WHERE position IS NOT NULL
    UNION ALL SELECT deal_id, ended_on, {won} FROM endings WHERE outcome = 'won'
),
firsts AS (SELECT deal_id, [{firsts}] AS days FROM marks GROUP BY deal_id HAVING min(position) < {won}),
known_of AS ( -- joined before there are as many rows as positions
    SELECT f.deal_id, days, k.created_on, o.rep AS origin_rep, o.team AS origin_team, e.outcome, z.number AS ended_number
    FROM firsts AS f JOIN known AS k USING (deal_id)
    JOIN care AS o ON o.deal_id = f.deal_id AND o.from_on <= days[1] AND o.until_on > days[1]
    LEFT JOIN endings AS e ON e.deal_id = f.deal_id LEFT JOIN known_days AS z ON z.day = listed(e.ended_on)
),
each_one AS (
    SELECT * EXCLUDE (days), unnest(days) AS day, unnest(days[2:]) AS next_on, unnest(range({won} + 1))::INTEGER AS position
    FROM known_of
)
SELECT f.*, c.rep, c.team, d.number, n.number AS next_number
FROM each_one AS f JOIN care AS c ON c.deal_id = f.deal_id AND c.from_on <= f.day AND c.until_on > f.day
LEFT JOIN known_days AS d ON d.day = listed(f.day) LEFT JOIN known_days AS n ON n.day = listed(f.next_on);

-- Only the three tables are asked about: of many millions of events the others would hold gigabytes.
DROP TABLE steps; DROP TABLE turns; DROP TABLE hops; DROP TABLE held; DROP TABLE belonging; DROP TABLE care;
