-- Open pipeline at the as-of instant; without an event history there is no earlier state to compare with.
SELECT span, entity, peer, deal_id, rep_id, coalesce(amount_minor, 0) AS x, 1 AS y
FROM open_deals
