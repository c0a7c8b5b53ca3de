-- Win rate by value: won amount / (won + lost amount), close date in the span.
SELECT span, entity, peer, deal_id, rep_id, CASE status WHEN 'won' THEN amount_minor ELSE 0 END AS x, amount_minor AS y
FROM decided
WHERE amount_minor > 0
