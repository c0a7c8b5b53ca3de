"""Split credit: who has which part of a deal's amount, to the last minor unit."""

from __future__ import annotations

WHOLE = 10**9
"""Shares are counted in billionths: exact, whatever order they are added up in."""
CLOSE = 10**3
"""Shares that make 1 to within a millionth make 1: thirds are typed with six digits."""


def credits_sql(deals: str, splits: str) -> str:
    """Credited amounts, as a query; those of a deal always add up to its amount.

    Revenue splits that make 1 divide the amount. What they leave of 1 is the owner's. If they make more than 1,
    none of them counts and the owner has it all; so it is where there are none. Minor units that no share gives
    wholly go to the largest remainders, of equal ones to the owner first and then by id; a negative amount
    is divided as the positive one. Overlays come on top of an amount and are left out here.

    Parameters
    ----------
    deals
        A relation with one row per deal: `deal_id`, `rep_id` (who owns it when it counts; may be null),
        `amount_minor` (null: credited amounts are null).
    splits
        A relation with the columns of the canonical table `splits`.

    Returns
    -------
    str
        One row per deal and person with a part in it: `deal_id, rep_id, credited_minor, share, is_owner`; a
        part that is nobody's has no `rep_id`.
    """
    return f"""
    WITH typed AS (
        SELECT deal_id, rep_id, round(least(share, 2) * {WHOLE})::HUGEINT AS part
        FROM {splits} WHERE kind = 'revenue'
    ),
    usable AS (
        SELECT deal_id, sum(part) AS typed FROM typed GROUP BY deal_id HAVING sum(part) BETWEEN 1 AND {WHOLE + CLOSE}
    ),
    divided AS (
        SELECT d.deal_id, d.rep_id AS owner, d.amount_minor::HUGEINT AS amount, u.typed,
            CASE WHEN u.typed < {WHOLE - CLOSE} THEN {WHOLE} - u.typed ELSE 0 END AS rest
        FROM {deals} AS d JOIN usable AS u USING (deal_id)
    ),
    parts AS (
        SELECT deal_id, rep_id, sum(part) AS part FROM (
            SELECT deal_id, t.rep_id, t.part FROM typed AS t SEMI JOIN divided USING (deal_id)
            UNION ALL SELECT deal_id, owner, rest FROM divided
        ) GROUP BY deal_id, rep_id HAVING sum(part) > 0
    ),
    floored AS (
        SELECT deal_id, rep_id, part / (typed + rest) AS share, amount,
            rep_id IS NOT DISTINCT FROM owner AS is_owner,
            (abs(amount) * part) // (typed + rest) AS credited, (abs(amount) * part) % (typed + rest) AS remainder
        FROM parts JOIN divided USING (deal_id)
    ),
    ranked AS (
        SELECT *, abs(amount) - sum(credited) OVER (PARTITION BY deal_id) AS over,
            row_number() OVER (PARTITION BY deal_id ORDER BY remainder DESC, is_owner DESC, rep_id) AS place
        FROM floored
    )
    SELECT deal_id, rep_id, (sign(amount) * (credited + (place <= over)::INTEGER))::BIGINT AS credited_minor,
        share::DOUBLE AS share, is_owner
    FROM ranked
    UNION ALL
    SELECT deal_id, rep_id, amount_minor, 1.0::DOUBLE, true FROM {deals} ANTI JOIN usable USING (deal_id)
    """
