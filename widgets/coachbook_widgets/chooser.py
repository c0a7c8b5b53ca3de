"""A choice, and what belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import ipywidgets


class Chooser(ipywidgets.VBox):  # type: ignore[misc]
    """A list to choose from, and below it what `show` says of the choice.

    Parameters
    ----------
    label
        What is chosen, in the reader's language.
    choices
        What the reader sees, and the key that `show` takes. A browser can send no other key.
    show
        Gives HTML of our own making for a key; names in it are escaped there.
    """

    def __init__(self, *, label: str, choices: Mapping[str, str], show: Callable[[str], str]) -> None:
        self.choice = ipywidgets.Dropdown(
            description=label, options=list(choices.items()), style={"description_width": "initial"}
        )
        self.shown = ipywidgets.HTML(value=show(self.choice.value))
        self.choice.observe(lambda change: self._follow(show(change["new"])), names="value")
        super().__init__([self.choice, self.shown])

    def _follow(self, html: str) -> None:
        self.shown.value = html
