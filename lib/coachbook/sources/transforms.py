"""What a mapping may have done to a text before it is looked up or mapped, each by its name, as SQL."""

from __future__ import annotations

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
"""The letters of a Salesforce id's check sum: five characters each, one bit for a capital."""


def _salesforce_id() -> str:
    """An id of 15 characters with the 3 that make it the same in any case; all others as they are."""

    def letter(block: int) -> str:
        bits = " + ".join(
            f"CASE WHEN regexp_full_match(substr({{text}}, {5 * block + i + 1}, 1), '[A-Z]') THEN {2**i} ELSE 0 END"
            for i in range(5)
        )
        return f"substr('{_LETTERS}', 1 + {bits}, 1)"

    suffix = " || ".join(letter(block) for block in range(3))
    return f"CASE WHEN regexp_full_match({{text}}, '[0a][0-9A-Za-z]{{{{14}}}}') THEN {{text}} || {suffix} ELSE {{text}} END"


def _minutes(divisor: int) -> str:
    return f"coalesce(CAST(CAST(round(try_cast({{text}} AS DOUBLE) / {divisor}) AS BIGINT) AS VARCHAR), {{text}})"


TRANSFORMS: dict[str, str] = {
    "day": r"regexp_replace({text}, '[ T]+\d\d?:\d\d.*$', '')",
    "lower": "lower({text})",
    "minutes_from_milliseconds": _minutes(60_000),
    "minutes_from_seconds": _minutes(60),
    "percent": r"regexp_replace({text}, '(\d[.]?) *%?$', '\1%')",
    "salesforce_id": _salesforce_id(),
    "trim": "trim({text})",
}
"""`{text}` is the text, an SQL expression."""


def transformed(text: str, names: list[str]) -> str:
    """The expression `text` after the transforms, in their order."""
    for name in names:
        text = TRANSFORMS[name].format(text=text)
    return text
