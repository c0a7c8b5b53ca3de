-- Won amount: what is credited of deals won with a close date in the span; of an unshared deal, all of it.
SELECT span, entity, peer, deal_id, rep_id, coalesce(credited_minor, 0) AS x, 1 AS y
FROM credited
