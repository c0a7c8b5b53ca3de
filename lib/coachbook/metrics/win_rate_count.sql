-- Win rate by count: won / (won + lost), close date in the span. Flattering while slow deals are open.
SELECT span, entity, peer, deal_id, rep_id, (status = 'won')::INTEGER AS x, 1 AS y
FROM decided
