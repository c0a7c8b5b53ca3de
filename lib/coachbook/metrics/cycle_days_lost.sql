-- Time to loss: days from creation to close of deals lost in the span.
SELECT span, entity, peer, deal_id, rep_id, close_on - created_on AS x, 1 AS y
FROM decided
WHERE status = 'lost' AND close_on >= created_on
