"""Errors that say what was wrong and what would be right. A user sees these, never a traceback."""

from __future__ import annotations

from difflib import get_close_matches
from typing import ClassVar

from coachbook.text import _, listed, shown


class CoachbookError(Exception):
    """A refusal: nothing was changed.

    Parameters
    ----------
    message
        Message id with `{name}` placeholders; translated when the error is shown.
    values
        What fills the placeholders. Strings are made printable and cut, so that hostile or huge
        values can be named safely.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, /, **values: object) -> None:
        super().__init__(message)
        self.message = message
        self.values = values

    def __str__(self) -> str:
        return _(self.message, **{k: shown_value(v) for k, v in self.values.items()})

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.values)

    def _render_traceback_(self) -> list[str]:
        """IPython asks an exception for this: in a notebook the message stands alone."""
        return [f"{type(self).__name__}: {self}"]


def _rebuild(kind: type[CoachbookError], message: str, values: dict[str, object]) -> CoachbookError:
    return kind(message, **values)


def shown_value(value: object) -> object:
    """A placeholder's value as it is printed: lists joined, strings made safe, numbers as they are."""
    if isinstance(value, int | float):
        return value
    if isinstance(value, list | tuple):
        return listed([shown(item) for item in value])
    return shown(value)


def nearest(wrong: str, known: list[str], *, most: int = 3) -> list[str]:
    """The known names nearest to a wrong one, nearest first; some known names if none is near."""
    folded = {name.casefold(): name for name in reversed(known)}
    near = get_close_matches(wrong[:100].casefold(), list(folded), n=most, cutoff=0.4)
    return [folded[name] for name in near] or known[:most]


class NotFound(CoachbookError):
    """A name, id, file or column that is not there."""


class Invalid(CoachbookError):
    """A value that cannot be read as what it should be."""


class Refused(CoachbookError):
    """An action that may not be done, or not now."""


class AccessDenied(CoachbookError):
    """A grant that does not cover what was asked for."""
