-- Deals won with a close date in the span.
SELECT span, entity, peer, deal_id, rep_id, 1 AS x, 1 AS y
FROM decided
WHERE status = 'won'
