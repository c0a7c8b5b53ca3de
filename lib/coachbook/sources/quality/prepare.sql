-- What the checks of the data read, made beside the views of `Snapshot.known`.
-- {day}: as known at the end of it; {local}: an instant as clocks in the workspace's time zone show it.

CREATE TEMP MACRO as_of() AS DATE '{day}';
CREATE TEMP MACRO local_day(instant) AS {local}::DATE;
-- A history of days has midnights for instants.
CREATE TEMP MACRO is_day_only(instant) AS TIME '00:00:00' IN (instant::TIME, {local}::TIME);
-- A name as people hear it: without case, spaces and punctuation.
CREATE TEMP MACRO heard(name) AS regexp_replace(lower(nfc_normalize(name)), '[^\p{{L}}\p{{N}}]', '', 'g');

CREATE TEMP TABLE people AS
SELECT rep_id, arg_max(name, coalesce(effective_on, _first)) AS name FROM known_reps GROUP BY rep_id;

-- Who is there on the day, and since when without a leave.
CREATE TEMP TABLE present AS
SELECT r.*, (
        SELECT max(coalesce(l.until_on, DATE '9999-12-31')) FROM known_roster AS l
        WHERE l.rep_id = r.rep_id AND l.presence = 'leave' AND l.from_on <= as_of()
    ) AS back_on, (SELECT min(f.from_on) FROM known_roster AS f WHERE f.rep_id = r.rep_id) AS joined_on
FROM known_roster AS r WHERE from_on <= as_of() AND coalesce(until_on > as_of(), true);

-- The exports that were there by the day; of a source whose first export is later, that one.
CREATE TEMP TABLE made AS
SELECT source, "table", as_of AS made_on FROM exports
QUALIFY as_of <= as_of() OR as_of = min(as_of) OVER (PARTITION BY source, "table");

-- Nothing can be known to be missing after the newest export; before any there is one, that tells what was.
CREATE TEMP MACRO seen_on(name) AS (
    SELECT coalesce(max(made_on) FILTER (made_on <= as_of()), as_of()) FROM made WHERE "table" = name
);

-- The deal list, with the day of the newest export that showed the row as it is; `counts` if the deal is not deleted.
CREATE TEMP TABLE listed_ever AS
SELECT d.*, m.made_on AS shown_on, d.deal_id IN (SELECT deal_id FROM known) AS counts
FROM known_deals AS d ASOF JOIN (FROM made WHERE "table" = 'deals') AS m
    ON m.source = d._source AND greatest(d._first, least(d._last, as_of())) >= m.made_on;
CREATE TEMP VIEW listed AS FROM listed_ever WHERE counts;

CREATE TEMP TABLE events AS
WITH based AS (SELECT source, min(made_on) AS base_on FROM made WHERE "table" = 'deal_events' GROUP BY source),
later AS (FROM deal_events WHERE _first <= as_of() AND _first > (SELECT min(base_on) FROM based))
SELECT deal_id, occurred_at, local_day(occurred_at) AS on_day, field, new, currency,
    epoch_us(occurred_at) * 1000 + least(coalesce(seq, 0), 999) AS place
FROM deal_events AS e JOIN based AS b ON b.source = e._source AND (e._first <= as_of() OR e._first = b.base_on)
WHERE local_day(occurred_at) <= as_of() AND coalesce(local_day(recorded_at) <= as_of(), true) AND NOT EXISTS (
    FROM later AS l WHERE l.deal_id = e.deal_id AND l.occurred_at = e.occurred_at AND l.field = e.field
        AND l.seq IS NOT DISTINCT FROM e.seq AND l._first > e._first
);

-- What a history says last of a field, as of the newest export that shows the deal, or of its own if that is older.
CREATE TEMP TABLE recorded AS
WITH told AS (SELECT max(made_on) AS told_on FROM made WHERE "table" = 'deal_events'),
older AS (SELECT deal_id, shown_on FROM listed, told WHERE shown_on < told_on)
SELECT deal_id, field, arg_max(coalesce(new, ''), place) AS said, arg_max(coalesce(currency, ''), place) AS currency
FROM events AS e WHERE on_day <= (SELECT told_on FROM told)
    AND NOT EXISTS (FROM older AS o WHERE o.deal_id = e.deal_id AND o.shown_on < e.on_day)
GROUP BY deal_id, field;
CREATE TEMP VIEW compared AS
SELECT l.deal_id, l.name, l.rep_id, l.shown_on, r.field, r.said, r.currency AS said_currency, l.currency,
    coalesce(CASE r.field
        WHEN 'stage' THEN l.stage WHEN 'status' THEN l.status WHEN 'amount' THEN l.amount_minor::VARCHAR
        WHEN 'close_on' THEN l.close_on::VARCHAR WHEN 'owner' THEN l.rep_id
    END, '') AS listed
FROM recorded AS r JOIN listed AS l USING (deal_id)
WHERE l.shown_on <= as_of() AND l._first <= (SELECT max(made_on) FROM made WHERE "table" = 'deal_events');

CREATE TEMP TABLE noted AS SELECT *, local_day(occurred_at) AS on_day FROM known_activities;
CREATE TEMP VIEW done AS FROM noted WHERE on_day <= as_of();

CREATE TEMP TABLE stages AS
SELECT stage FROM listed WHERE stage IS NOT NULL UNION SELECT new FROM events WHERE field = 'stage' AND new <> '';

-- When an open deal was last touched: created, changed or worked on. Where neither changes nor activities are
-- captured, nothing before the first export can be known.
CREATE TEMP TABLE touched AS
WITH changes AS (SELECT deal_id, max(from_on) AS on_day FROM known_history WHERE from_on <= as_of() GROUP BY deal_id),
activities AS (SELECT deal_id, max(on_day) AS on_day FROM done WHERE deal_id IS NOT NULL GROUP BY deal_id),
stamps AS (SELECT deal_id, local_day(modified_at) AS on_day FROM listed_ever WHERE shown_on <= as_of())
SELECT k.deal_id, k.name, k.rep_id, k.amount_minor, k.currency, k.created_on,
    greatest(k.created_on, c.on_day, a.on_day, s.on_day, CASE
        WHEN EXISTS (FROM events) OR EXISTS (FROM activities) OR EXISTS (FROM stamps WHERE on_day IS NOT NULL)
        THEN NULL ELSE (SELECT min(made_on) FROM made WHERE "table" = 'deals')
    END) AS touched_on,
    a.deal_id IS NOT NULL AS has_activity
FROM known AS k LEFT JOIN changes AS c USING (deal_id) LEFT JOIN activities AS a USING (deal_id)
LEFT JOIN stamps AS s USING (deal_id)
WHERE k.status = 'open';

-- Deals of which anything is known: no list has to have those of which the history says that they were deleted or merged.
CREATE TEMP TABLE heard_of AS
SELECT deal_id FROM listed_ever UNION SELECT deal_id FROM events WHERE field = 'status' AND new = 'deleted';

-- Rows that say the same as another row of their table under another id.
CREATE TEMP TABLE repeats ("table" VARCHAR, id VARCHAR, same_as VARCHAR);

-- Made by Python: who leads each other round in a circle, whose manager
-- cannot be told, and of which years the working calendar knows the make-up workdays.
CREATE TEMP TABLE rings (rep_id VARCHAR, ring VARCHAR);
CREATE TEMP TABLE unclear (rep_id VARCHAR);
CREATE TEMP TABLE years (year INTEGER, is_known BOOLEAN);
