-- Size of won deals; average deal size is won amount / won deals.
SELECT span, entity, peer, deal_id, rep_id, coalesce(amount_minor, 0) AS x, 1 AS y
FROM decided
WHERE status = 'won'
