-- Cycle: days from creation to close of deals won in the span. Losses have a cycle of their own.
SELECT span, entity, peer, deal_id, rep_id, close_on - created_on AS x, 1 AS y
FROM decided
WHERE status = 'won' AND close_on >= created_on
