"""A file that a page holds, for whoever reads it to keep."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Download:
    """A link to a CSV that is in the page itself; `note` says what to do with it. As text it is the note alone."""

    name: str
    label: str
    content: str
    note: str

    def _repr_mimebundle_(self, **_kwargs: object) -> dict[str, str]:
        data = b64encode(
            self.content.encode("utf-8-sig")
        ).decode()  # spreadsheets take UTF-8 by its mark alone
        link = (
            f'<a class="cb-button" download="{escape(self.name)}" href="data:text/csv;charset=utf-8;base64,{data}">'
            f"{escape(self.label)}</a>"
        )
        return {"text/html": f'<div class="cb-prose"><p>{link}</p><p>{escape(self.note)}</p></div>', "text/plain": str(self)}  # fmt: skip

    def __str__(self) -> str:
        return self.note
