-- What stages did in the days from `first_day` to `last_day`, out of the tables of visits.sql. Each for every rep,
-- team and all at once: `entity` is a code of `entities`, or `rep` and `team` are, and all is understood.

-- How often things happened, to how many deals, and to how many distinct customers; `there` at the end of the last day.
CREATE OR REPLACE TEMP MACRO counted(first_day, last_day) AS TABLE
WITH happened AS (
    SELECT rep, team, code, deal_id, account_id, is_first AND entered_on >= first_day AS came,
        CASE WHEN handed_on IS NULL AND left_on BETWEEN first_day AND last_day THEN went END AS gone,
        unnest([
            CASE WHEN came THEN 'came_in' END,
            CASE WHEN came AND is_reopening THEN 'reopened' END,
            CASE WHEN NOT is_first AND from_on >= first_day THEN 'taken_over' END,
            CASE WHEN handed_on <= last_day AND handed_on >= first_day THEN 'handed_over' END,
            CASE WHEN gone IN ('onward', 'won') THEN 'moved_on' ELSE gone END,
            CASE WHEN gone = 'won' THEN 'won' END,
            CASE WHEN gone IN ('onward', 'won') AND skipped > 0 THEN 'skipped' END,
            CASE WHEN coalesce(handed_on, left_on, DATE 'infinity') > last_day THEN 'there' END
        ]) AS what
    FROM stays WHERE from_on <= last_day AND coalesce(handed_on, left_on, DATE 'infinity') >= first_day
)
SELECT coalesce(rep, team, (SELECT max(code) FROM entities)) AS entity, code, what, count(DISTINCT deal_id) AS deals,
    count(DISTINCT account_id) AS customers, count(*) AS times
FROM happened WHERE what IS NOT NULL
GROUP BY GROUPING SETS ((rep, code, what), (team, code, what), (code, what));

-- Of the deals created in these days, how many ever reached each position; by who had them first.
CREATE OR REPLACE TEMP MACRO created(first_day, last_day) AS TABLE
SELECT coalesce(origin_rep, origin_team, (SELECT max(code) FROM entities)) AS entity, position, count(*) AS deals
FROM reached WHERE created_on BETWEEN first_day AND last_day
GROUP BY GROUPING SETS ((origin_rep, position), (origin_team, position), (position));

-- One row per deal and position first reached in these days: how the way on ended, and the whole way; after how
-- many working days, by the as-of day (`now_number`) at the latest. 1: reached the next position, or won; 2: lost; 0: neither.
CREATE OR REPLACE TEMP MACRO cohort(first_day, last_day, now_number) AS TABLE
SELECT rep, team, position,
    CASE WHEN next_on IS NOT NULL THEN 1 WHEN outcome = 'lost' THEN 2 ELSE 0 END AS onward_cause,
    coalesce(next_number, ended_number, now_number) - number AS onward_days,
    CASE outcome WHEN 'won' THEN 1 WHEN 'lost' THEN 2 ELSE 0 END AS won_cause,
    coalesce(ended_number, now_number) - number AS won_days
FROM reached WHERE day BETWEEN first_day AND last_day AND position < (SELECT count(*) FROM stage_order);

-- One row per stay of which something was seen in these days: for which working days of the visit it was under
-- observation (after `entry`, up to `exit`) and whether it ended then. The day of entry is the 1st: 0 is seen from the
-- beginning. `latest`: of the deal's latest visit to the stage by then. Otherwise the clock has run on from earlier
-- visits, whose last day is the next one's first, and only the latest ends anything. A working day and the days off
-- after it are one, and whoever has the deal at the beginning has all of it.
CREATE OR REPLACE TEMP MACRO spells(first_day, last_day, first_before, last_number) AS TABLE
WITH seen AS (
    SELECT deal_id, rep, team, code, before_days, coalesce(again_on > last_day, true) AS is_latest,
        handed_on IS NULL AND coalesce(left_on <= last_day, false) AS is_over, left_number - entered_number AS stayed,
        CASE
            WHEN is_first AND entered_on >= first_day THEN 0
            ELSE greatest(from_before, first_before) - entered_number + 1
        END AS since,
        CASE WHEN is_over THEN left_number WHEN handed_on <= last_day THEN handed_before ELSE last_number END
            - entered_number AS until
    FROM stays WHERE from_on <= last_day AND coalesce(handed_on, left_on, DATE 'infinity') >= first_day
),
clocked AS (
    SELECT true AS latest, deal_id, rep, team, code, since AS entry, until + 1 AS exit, is_over FROM seen WHERE is_latest
    UNION ALL
    SELECT false, deal_id, rep, team, code, before_days + since,
        before_days + CASE WHEN is_latest THEN until + 1 ELSE least(until + 1, stayed) END, is_over AND is_latest
    FROM seen
)
SELECT latest, hash(deal_id) AS deal, rep, team, code, entry::DOUBLE AS entry, exit::DOUBLE AS exit, is_over::BIGINT AS cause
FROM clocked WHERE exit > entry;
