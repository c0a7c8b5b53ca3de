-- What people did, from activities, leads and stages, as known at the end of the day {as_of}. {local_day}: the day of an
-- instant in the workspace's time zone; {least}: minutes from which a visit may be effective.
-- Each question for every rep, team and the company (`kind`, `id`); the team is the person's on the day.

-- By owner and days: everybody before the first day on the roster, then each stretch; who has left stays in the last team.
CREATE OR REPLACE TEMP TABLE tenures AS
SELECT rep_id AS owner_id, rep_id, team_id, from_on, lead(from_on) OVER (PARTITION BY rep_id ORDER BY from_on) AS next_on
FROM known_roster
UNION ALL
SELECT rep_id, NULL, NULL, DATE '0001-01-01', min(from_on) FROM known_roster GROUP BY rep_id HAVING min(from_on) > DATE '0001-01-01';

CREATE OR REPLACE TEMP TABLE done AS
SELECT activity_id, rep_id, kind, deal_id, account_id, contact_id, outcome, minutes, checked_in, {local_day} AS day
FROM known_activities AS a WHERE held IS DISTINCT FROM false AND {local_day} <= {as_of};

CREATE OR REPLACE TEMP TABLE visited AS
WITH joined AS (SELECT account_id, coalesce(merged_into, account_id) AS customer FROM known_accounts),
named AS (
    SELECT d.activity_id, coalesce(d.account_id, k.account_id, c.account_id) AS account_id FROM done AS d
    LEFT JOIN known AS k USING (deal_id) LEFT JOIN known_contacts AS c ON c.contact_id = d.contact_id WHERE d.kind = 'visit'
)
SELECT d.rep_id, d.day, coalesce(j.customer, n.account_id, d.contact_id) AS customer,
    coalesce(d.outcome <> '', false) AS is_told, d.contact_id IS NOT NULL AS is_named,
    coalesce(d.minutes, d.checked_in::BIGINT) IS NOT NULL AS is_measured,
    is_told AND is_named AND (coalesce(d.minutes >= {least}, false) OR coalesce(d.checked_in, false)) AS is_effective
FROM done AS d JOIN named AS n USING (activity_id) LEFT JOIN joined AS j ON j.account_id = n.account_id;

-- From which day on each thing is recorded. Files that begin in midstream lack the leads that were decided before.
CREATE OR REPLACE TEMP TABLE begun AS
SELECT kind, min(day) AS since FROM done GROUP BY kind
UNION ALL SELECT unnest(['told', 'named', 'measured']), unnest([
    min(day) FILTER (is_told), min(day) FILTER (is_named), min(day) FILTER (is_measured)]) FROM visited
UNION ALL SELECT 'lead', greatest(min(created_on), min(decided_on) FILTER (decided_on <= {as_of}))
FROM known_leads WHERE created_on <= {as_of};

-- Up to which day: the last import by then, or, where all came later and look back, the as-of day itself.
CREATE OR REPLACE TEMP TABLE told AS
SELECT "table", coalesce(max(as_of) FILTER (as_of <= {as_of}), {as_of}) AS last_on
FROM snapshot.exports WHERE "table" IN ('activities', 'leads') GROUP BY "table";

CREATE OR REPLACE TEMP MACRO visits_made(first_day, after_day) AS TABLE
WITH teamed AS (
    SELECT v.*, t.rep_id AS rep, t.team_id FROM visited AS v
    LEFT JOIN tenures AS t ON t.owner_id = v.rep_id AND v.day >= t.from_on AND coalesce(v.day < t.next_on, true)
    WHERE v.day >= first_day AND v.day < after_day
)
SELECT CASE grouping(rep, team_id) WHEN 1 THEN 'rep' WHEN 2 THEN 'team' ELSE 'org' END AS kind,
    coalesce(rep, team_id, '') AS id, count(*) AS visits, count(DISTINCT (customer, day)) FILTER (is_effective) AS effective
FROM teamed GROUP BY GROUPING SETS ((rep), (team_id), ()) HAVING kind = 'org' OR id <> '';

-- Deals with a document handed over, by whose activity it was; without a deal each counts.
CREATE OR REPLACE TEMP MACRO documents_sent(first_day, after_day) AS TABLE
WITH teamed AS (
    SELECT coalesce(d.deal_id, d.activity_id) AS thing, t.rep_id AS rep, t.team_id FROM done AS d
    LEFT JOIN tenures AS t ON t.owner_id = d.rep_id AND d.day >= t.from_on AND coalesce(d.day < t.next_on, true)
    WHERE d.kind = 'document' AND d.day >= first_day AND d.day < after_day
)
SELECT CASE grouping(rep, team_id) WHEN 1 THEN 'rep' WHEN 2 THEN 'team' ELSE 'org' END AS kind,
    coalesce(rep, team_id, '') AS id, count(DISTINCT thing) AS things
FROM teamed GROUP BY GROUPING SETS ((rep), (team_id), ()) HAVING kind = 'org' OR id <> '';

-- Deals that came into a stage, by who had them; what stood there for a second was passed through.
CREATE OR REPLACE TEMP MACRO stage_entered(texts, first_day, after_day) AS TABLE
WITH teamed AS (
    SELECT v.deal_id AS thing, t.rep_id AS rep, t.team_id FROM known_visits AS v SEMI JOIN known AS k ON k.deal_id = v.deal_id
    LEFT JOIN tenures AS t ON t.owner_id = v.rep_id AND v.entered_on >= t.from_on AND coalesce(v.entered_on < t.next_on, true)
    WHERE list_contains(texts, v.stage) AND v.entered_on >= first_day AND v.entered_on < after_day
        AND coalesce(v.left_at - v.entered_at > INTERVAL 1 SECOND, true)
)
SELECT CASE grouping(rep, team_id) WHEN 1 THEN 'rep' WHEN 2 THEN 'team' ELSE 'org' END AS kind,
    coalesce(rep, team_id, '') AS id, count(DISTINCT thing) AS things
FROM teamed GROUP BY GROUPING SETS ((rep), (team_id), ()) HAVING kind = 'org' OR id <> '';

-- One row per deal and holder: days at risk, which are all on which it was open, the one of its decision too; and
-- what was done about it on them.
CREATE OR REPLACE TEMP MACRO followed(kinds, first_day, after_day) AS TABLE
WITH states AS ( -- a state that lasted no time was none
    SELECT *, lead(status) OVER life AS next_status FROM known_history
    WHERE until_at IS DISTINCT FROM from_at AND deal_id IN ( -- the others would be put in order for nothing
        SELECT deal_id FROM known_history
        WHERE status = 'open' AND from_on < after_day AND coalesce(until_on >= first_day, true)
    )
    WINDOW life AS (PARTITION BY deal_id ORDER BY nr)
),
opened AS (
    SELECT deal_id, owner_id, from_on,
        least(coalesce(until_on + (next_status <> 'open')::INTEGER, after_day), lead(from_on) OVER life) AS until_on
    FROM states WHERE status = 'open' WINDOW life AS (PARTITION BY deal_id ORDER BY nr)
),
pieces AS (
    SELECT o.deal_id, t.rep_id, t.team_id, greatest(o.from_on, coalesce(t.from_on, o.from_on), first_day) AS from_on,
        least(o.until_on, coalesce(t.next_on, o.until_on), after_day) AS until_on
    FROM opened AS o LEFT JOIN tenures AS t
        ON t.owner_id = o.owner_id AND t.from_on < o.until_on AND coalesce(t.next_on > o.from_on, true)
    WHERE o.from_on < after_day AND o.until_on > first_day
),
touches AS (
    SELECT deal_id, day, count(*) AS times FROM done
    WHERE list_contains(kinds, kind) AND deal_id IS NOT NULL AND day >= first_day AND day < after_day GROUP BY ALL
),
counted AS (
    SELECT p.*, coalesce(sum(t.times), 0) AS touches FROM (SELECT * FROM pieces WHERE until_on > from_on) AS p
    LEFT JOIN touches AS t ON t.deal_id = p.deal_id AND t.day >= p.from_on AND t.day < p.until_on GROUP BY ALL
)
SELECT deal_id, rep_id, team_id, sum(touches)::DOUBLE AS touches, sum(until_on - from_on)::DOUBLE AS days
FROM counted GROUP BY ALL ORDER BY ALL;

-- Leads created in these days: how many; how many were `aged`, at least `horizon` days old on the day `upto`, and how many
-- of those were converted `in_time`. A conversion without a day goes by the deal's creation; without that it is `undated`.
CREATE OR REPLACE TEMP MACRO leads_made(first_day, after_day, horizon, upto) AS TABLE
WITH teamed AS (
    SELECT t.rep_id AS rep, t.team_id, l.created_on + horizon::INTEGER <= upto AS is_aged, l.status = 'converted' AS is_converted,
        coalesce(l.decided_on, k.created_on) - l.created_on AS days
    FROM known_leads AS l LEFT JOIN known AS k ON k.deal_id = l.deal_id
    LEFT JOIN tenures AS t ON t.owner_id = l.rep_id AND l.created_on >= t.from_on AND coalesce(l.created_on < t.next_on, true)
    WHERE l.created_on >= first_day AND l.created_on < after_day
)
SELECT CASE grouping(rep, team_id) WHEN 1 THEN 'rep' WHEN 2 THEN 'team' ELSE 'org' END AS kind,
    coalesce(rep, team_id, '') AS id, count(*) AS leads, count(*) FILTER (is_aged) AS aged,
    count(*) FILTER (is_aged AND is_converted AND days <= horizon) AS in_time,
    count(*) FILTER (is_aged AND is_converted AND days IS NULL) AS undated
FROM teamed GROUP BY GROUPING SETS ((rep), (team_id), ()) HAVING kind = 'org' OR id <> '';
