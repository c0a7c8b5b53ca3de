-- Won amount: amounts of deals won with a close date in the span.
SELECT span, deal_id, rep_id, coalesce(amount_minor, 0) AS x, 1 AS y
FROM decided
WHERE status = 'won'
