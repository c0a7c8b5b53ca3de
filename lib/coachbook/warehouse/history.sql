-- Deal histories as known at the end of the day {known_on}, out of what lists showed and what sources recorded.
-- {raw}: catalogue of the canonical tables; {out}: where the result goes; {zone}: the workspace's time zone.
-- Both kinds of input are observations (a field had this value from that instant on; '' says: none);
-- events are their changes. `place` orders observations of one instant.

CREATE OR REPLACE TEMP MACRO begins(day) AS ({begins});
CREATE OR REPLACE TEMP MACRO ends(day) AS begins(day + 1) - INTERVAL 1 MICROSECOND;
CREATE OR REPLACE TEMP MACRO local_day(instant) AS ({local_day});

-- The deal list: one row per version that was known, the first without a day of its own.
CREATE OR REPLACE TEMP TABLE shown AS
WITH base AS (SELECT source, min(as_of) AS base_on FROM {raw}.exports WHERE "table" = 'deals' GROUP BY source),
dated AS (
    SELECT d.*, d._first = b.base_on AS is_base,
        lag(_last) OVER (PARTITION BY deal_id ORDER BY _first, _source) AS before_on,
        local_day(modified_at) AS modified_on
    FROM {raw}.deals AS d JOIN base AS b ON b.source = d._source
),
recorded AS (
    SELECT *, CASE
            WHEN is_base THEN DATE '0001-01-01'
            WHEN modified_on > coalesce(before_on, DATE '0001-01-01') AND modified_on <= _first THEN modified_on
            ELSE _first
        END AS recorded_on
    FROM dated
)
SELECT *, row_number() OVER (PARTITION BY deal_id ORDER BY _first, _source) AS nr
FROM recorded WHERE recorded_on <= {known_on};

-- Deals that a complete export lacked.
CREATE OR REPLACE TEMP TABLE gone AS
WITH complete AS (SELECT source, as_of FROM {raw}.exports WHERE "table" = 'deals' AND complete AND as_of <= {known_on}),
ended AS (
    SELECT deal_id, _source, _last, lead(_first) OVER (PARTITION BY deal_id ORDER BY _first, _source) AS next_on
    FROM shown
)
SELECT e.deal_id, min(c.as_of) AS gone_on
FROM ended AS e JOIN complete AS c ON c.source = e._source AND c.as_of > e._last AND coalesce(c.as_of < e.next_on, true)
GROUP BY e.deal_id, e._last;

-- What sources recorded. A version that came later is known from then on; few deals have one.
CREATE OR REPLACE TEMP TABLE based AS
SELECT source, min(as_of) AS base_on FROM {raw}.exports WHERE "table" = 'deal_events' GROUP BY source;
CREATE OR REPLACE TEMP TABLE again AS
SELECT DISTINCT deal_id FROM {raw}.deal_events AS e JOIN based AS b ON b.source = e._source AND e._first > b.base_on;
CREATE OR REPLACE TEMP MACRO stamped(recorded_at, occurred_at, first_on, base_on) AS coalesce(
    local_day(recorded_at), CASE WHEN first_on = base_on THEN local_day(occurred_at) ELSE first_on END
);
CREATE OR REPLACE TEMP VIEW settled AS
SELECT deal_id, occurred_at, field, seq, old, new, currency
FROM {raw}.deal_events AS e JOIN based AS b ON b.source = e._source
WHERE stamped(recorded_at, occurred_at, _first, base_on) <= {known_on} AND deal_id NOT IN (FROM again)
UNION ALL
SELECT deal_id, occurred_at, field, seq, old, new, currency FROM (
    SELECT *, CASE
            WHEN row_number() OVER version = 1 THEN stamped(recorded_at, occurred_at, _first, base_on)
            ELSE greatest(stamped(recorded_at, occurred_at, _first, base_on), _first)
        END AS known_on
    FROM {raw}.deal_events AS e JOIN based AS b ON b.source = e._source WHERE deal_id IN (FROM again)
    WINDOW version AS (PARTITION BY deal_id, occurred_at, field, seq ORDER BY _first, _source)
)
WHERE known_on <= {known_on}
QUALIFY row_number() OVER (PARTITION BY deal_id, occurred_at, field, seq ORDER BY known_on DESC, _first DESC, _source) = 1;
CREATE OR REPLACE TEMP TABLE observed AS
SELECT deal_id, occurred_at AS instant, 1 AS place, seq,
    max(coalesce(new, '')) FILTER (field = 'stage') AS stage,
    max(coalesce(new, '')) FILTER (field = 'status') AS status,
    max(coalesce(new, '')) FILTER (field = 'amount') AS amount,
    max(coalesce(currency, {currency})) FILTER (field = 'amount') AS currency,
    max(coalesce(new, '')) FILTER (field = 'close_on') AS close_on,
    max(coalesce(new, '')) FILTER (field = 'owner') AS owner
FROM settled GROUP BY deal_id, occurred_at, seq;

-- Where a source's history of a field begins, and what the field was before; what was entered late tells
-- that nobody knew better until then.
CREATE OR REPLACE TEMP MACRO nth(instant, seq) AS epoch_us(instant) * 1000 + least(coalesce(seq, 0), 999);
CREATE OR REPLACE TEMP TABLE origins AS
SELECT deal_id, min(occurred_at) AS first_at,
    arg_min(coalesce(old, ''), nth(occurred_at, seq)) FILTER (field = 'stage') AS stage,
    arg_min(coalesce(old, ''), nth(occurred_at, seq)) FILTER (field = 'amount') AS amount,
    arg_min(coalesce(old, ''), nth(occurred_at, seq)) FILTER (field = 'close_on') AS close_on,
    arg_min(coalesce(old, ''), nth(occurred_at, seq)) FILTER (field = 'owner') AS owner,
    bool_or(field = 'status') AS has_status
FROM {raw}.deal_events AS e JOIN based AS b ON b.source = e._source
WHERE e._first <= greatest({known_on}, b.base_on) -- what a later export tells of earlier days was not known
GROUP BY deal_id;

CREATE OR REPLACE TEMP TABLE listed AS
WITH listing AS (
    SELECT s.*, o.* EXCLUDE (deal_id) RENAME (stage AS o_stage, amount AS o_amount, close_on AS o_close_on, owner AS o_owner),
        CASE WHEN local_day(first_at) <= created_on THEN first_at ELSE begins(created_on) END AS created_at,
        coalesce(s.stage, '') AS l_stage, coalesce(amount_minor::VARCHAR, '') AS l_amount,
        coalesce(s.close_on::VARCHAR, '') AS l_close_on, coalesce(rep_id, '') AS l_owner
    FROM shown AS s LEFT JOIN origins AS o USING (deal_id)
)
-- Created, with what is known of that day.
SELECT deal_id, created_at AS instant, 0 AS place, NULL::BIGINT AS seq,
    coalesce(o_stage, CASE WHEN status = 'open' THEN l_stage ELSE '' END) AS stage, 'open' AS status,
    coalesce(o_amount, l_amount) AS amount, currency,
    coalesce(o_close_on, CASE WHEN status = 'open' THEN l_close_on ELSE '' END) AS close_on,
    coalesce(o_owner, l_owner) AS owner
FROM listing WHERE nr = 1
UNION ALL
-- Decided before anybody saw it: its close date is the day.
SELECT deal_id, greatest(coalesce(ends(close_on), created_at), created_at), 2, NULL,
    CASE WHEN o_stage IS NULL THEN l_stage END, status, NULL, NULL,
    CASE WHEN o_close_on IS NULL THEN l_close_on END, NULL
FROM listing WHERE nr = 1 AND status <> 'open' AND has_status IS DISTINCT FROM true
UNION ALL
-- Fields with a history of their own: the list confirms or contradicts it on its day.
SELECT deal_id, ends(_first), 2, NULL,
    CASE WHEN o_stage IS NOT NULL THEN l_stage END, CASE WHEN has_status THEN status END,
    CASE WHEN o_amount IS NOT NULL THEN l_amount END, CASE WHEN o_amount IS NOT NULL THEN currency END,
    CASE WHEN o_close_on IS NOT NULL THEN l_close_on END, CASE WHEN o_owner IS NOT NULL THEN l_owner END
FROM listing WHERE nr = 1 AND first_at IS NOT NULL
UNION ALL
-- Seen to have changed since the export before.
SELECT deal_id,
    CASE WHEN modified_on > before_on AND modified_on <= _first THEN modified_at ELSE ends(_first) END, 2, NULL,
    l_stage, status, l_amount, currency, l_close_on, l_owner
FROM listing WHERE nr > 1
UNION ALL
SELECT deal_id, ends(gone_on), 3, NULL, NULL, 'deleted', NULL, NULL, NULL, NULL FROM gone;

CREATE OR REPLACE TEMP TABLE filled AS
WITH everything AS (
    SELECT deal_id, instant, place, seq, stage, status, amount, currency, close_on, owner FROM observed
    WHERE deal_id IN (SELECT deal_id FROM shown)
    UNION ALL FROM listed
)
SELECT deal_id, instant, place, seq,
    last_value(stage IGNORE NULLS) OVER so_far AS stage,
    last_value(status IGNORE NULLS) OVER so_far AS status,
    last_value(amount IGNORE NULLS) OVER so_far AS amount,
    last_value(currency IGNORE NULLS) OVER so_far AS currency,
    last_value(close_on IGNORE NULLS) OVER so_far AS close_on,
    last_value(owner IGNORE NULLS) OVER so_far AS owner,
    lead(instant) OVER so_far AS next_at
FROM everything
WINDOW so_far AS (
    PARTITION BY deal_id ORDER BY instant, place, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
);

-- Only changes remain; a deal's first row gives way to what its source recorded at the same instant.
CREATE OR REPLACE TEMP TABLE changed AS
SELECT deal_id, instant, place, seq, stage, status, amount, currency, close_on, owner,
    lag(status) OVER ordered AS status_before
FROM filled WHERE NOT (place = 0 AND next_at IS NOT DISTINCT FROM instant)
WINDOW ordered AS (PARTITION BY deal_id ORDER BY instant, place, seq)
QUALIFY (stage, status, amount, currency, close_on, owner)
    IS DISTINCT FROM lag((stage, status, amount, currency, close_on, owner)) OVER ordered;

-- Decisions are credited to whoever owned the deal on the close date, or, where that is later, when it was decided.
CREATE OR REPLACE TEMP TABLE decided_by AS
WITH decisions AS (
    SELECT deal_id, instant, owner, try_cast(nullif(close_on, '') AS DATE) AS close_on FROM changed
    WHERE status IN ('won', 'lost') AND status IS DISTINCT FROM status_before
)
SELECT d.deal_id, d.instant, coalesce(h.owner, d.owner) AS owner
FROM decisions AS d
ASOF LEFT JOIN (SELECT deal_id, instant, owner FROM changed WHERE deal_id IN (SELECT deal_id FROM changed GROUP BY deal_id HAVING count(DISTINCT owner) > 1)) AS h
    ON h.deal_id = d.deal_id AND least(ends(d.close_on), d.instant) >= h.instant;

-- One row per deal and stretch of time in which nothing of it changed. `rep_id` has the credit; by his or her `seat`
-- (0: nobody on the roster) rows lie in this table and those below, so that those of a manager's people are together.
CREATE TABLE {out}.deal_history AS
WITH stretches AS (
    SELECT c.deal_id, row_number() OVER ordered AS nr,
        nullif(CASE
            WHEN status IN ('won', 'lost') THEN last_value(d.owner IGNORE NULLS) OVER ordered ELSE c.owner
        END, '') AS rep_id,
        nullif(c.owner, '') AS owner_id, nullif(stage, '') AS stage, status,
        try_cast(nullif(amount, '') AS BIGINT) AS amount_minor, currency,
        try_cast(nullif(close_on, '') AS DATE) AS close_on,
        instant AS from_at, local_day(instant) AS from_on,
        lead(instant) OVER ordered AS until_at, local_day(lead(instant) OVER ordered) AS until_on
    FROM changed AS c LEFT JOIN decided_by AS d USING (deal_id, instant)
    WINDOW ordered AS (PARTITION BY deal_id ORDER BY instant, place, seq)
)
SELECT h.*, coalesce(p.seat, 0) AS seat FROM stretches AS h LEFT JOIN {out}.seats AS p USING (rep_id)
ORDER BY seat, rep_id, deal_id, nr;

-- One row per visit of a deal to a stage while it is open; a deal that comes back has a second visit.
CREATE TABLE {out}.stage_visits AS
WITH steps AS (
    SELECT deal_id, nr, rep_id, seat, stage, status, from_at, from_on FROM {out}.deal_history
    WINDOW ordered AS (PARTITION BY deal_id ORDER BY nr)
    QUALIFY stage IS DISTINCT FROM lag(stage) OVER ordered
        OR (status = 'open') IS DISTINCT FROM (lag(status) OVER ordered = 'open')
),
visits AS (
    SELECT deal_id, nr, rep_id, seat, stage, status, from_at AS entered_at, from_on AS entered_on,
        lead(from_at) OVER turn AS left_at, lead(from_on) OVER turn AS left_on,
        CASE lead(status) OVER turn WHEN 'open' THEN lead(stage) OVER turn ELSE lead(status) OVER turn END AS left_to
    FROM steps WINDOW turn AS (PARTITION BY deal_id ORDER BY nr)
)
SELECT v.deal_id, v.rep_id, v.stage, row_number() OVER (PARTITION BY v.deal_id, v.stage ORDER BY v.nr) AS visit,
    entered_at, entered_on, left_at, left_on, left_to,
    i.number AS entered_working_day, o.number AS left_working_day, v.seat
FROM visits AS v
LEFT JOIN {out}.days AS i ON i.day = entered_on
LEFT JOIN {out}.days AS o ON o.day = left_on
WHERE v.status = 'open' AND v.stage IS NOT NULL
ORDER BY v.seat, v.rep_id, v.deal_id, v.nr;

-- One row per deal as it stands; amounts in the reporting currency at the rate of the day that counts:
-- the close date of a decided deal, else the as-of day.
CREATE TABLE {out}.deal_state AS
WITH accounts AS ({accounts}), products AS ({products}), latest AS (
    SELECT *, row_number() OVER (PARTITION BY deal_id ORDER BY nr DESC) = 1 AS is_last FROM shown
),
standing AS (
    SELECT h.deal_id, d.name, h.rep_id, h.seat, h.owner_id, d.account_id, d.product_id, h.stage,
        CASE WHEN h.status <> 'deleted' THEN h.status END AS status, d.created_on, h.close_on,
        h.amount_minor AS own_minor, h.currency AS own_currency, d.kind, d.origin, d.loss_reason, d.next_step,
        d.probability, d.forecast_category,
        greatest(CASE WHEN h.status = 'open' THEN {as_of} ELSE least(h.close_on, {as_of}) END, d.created_on) AS counts_on
    FROM {out}.deal_history AS h JOIN latest AS d ON d.deal_id = h.deal_id AND d.is_last
    WHERE h.from_on <= {as_of} AND coalesce(h.until_on > {as_of}, true) AND d.created_on <= {as_of}
)
SELECT s.deal_id, s.name, s.rep_id, r.team_id, s.owner_id,
    coalesce(a.merged_into, s.account_id) AS account_id, coalesce(m.name, a.name) AS account,
    s.product_id, p.name AS product, s.stage, s.status, s.created_on, s.close_on,
    converted(s.own_minor, x.num, x.den) AS amount_minor, {currency} AS currency,
    s.own_minor, s.own_currency, s.kind, s.origin, s.loss_reason, s.next_step, s.probability, s.forecast_category,
    s.counts_on, s.seat
FROM standing AS s
ASOF LEFT JOIN {out}.roster AS r ON r.rep_id = s.rep_id AND s.counts_on >= r.from_on
LEFT JOIN accounts AS a ON a.account_id = s.account_id
LEFT JOIN accounts AS m ON m.account_id = a.merged_into
LEFT JOIN products AS p ON p.product_id = s.product_id
ASOF LEFT JOIN {out}.rates AS x ON x.currency = s.own_currency AND s.counts_on >= x.from_on
WHERE s.status IS NOT NULL
ORDER BY s.seat, s.rep_id, s.deal_id;

-- Who has which part of a deal's amount: one row per deal and person; most deals have one.
CREATE TABLE {out}.credits AS
SELECT c.deal_id, c.rep_id, r.team_id, c.credited_minor, c.share, c.is_owner, s.status, s.close_on,
    coalesce(p.seat, 0) AS seat
FROM ({credited}) AS c JOIN {out}.deal_state AS s USING (deal_id)
ASOF LEFT JOIN {out}.roster AS r ON r.rep_id = c.rep_id AND s.counts_on >= r.from_on
LEFT JOIN {out}.seats AS p ON p.rep_id = c.rep_id
ORDER BY seat, c.rep_id, c.deal_id;
