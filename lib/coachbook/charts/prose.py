"""Sentences as a page shows them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from coachbook.charts import theme

_COUNTED = re.compile(r"[^\s\u3000-\uffef]*\d[万亿]")


@dataclass(frozen=True)
class Prose:
    """Paragraphs, or a list; plain text that is escaped here and nowhere else."""

    sentences: tuple[str, ...]
    kind: str = "p"
    lead: bool = False

    def _repr_mimebundle_(self, **_kwargs: object) -> dict[str, str]:
        tag = "li" if self.kind == "list" else "p"
        body = "".join(f"<{tag}>{_unbroken(sentence)}</{tag}>" for sentence in self.sentences)
        inner = f"<ul>{body}</ul>" if self.kind == "list" else body
        cls = f"cb-prose {'cb-lead ' if self.lead else ''}{theme.NO_MATH}"
        return {"text/html": f'<div class="{cls}">{inner}</div>', "text/plain": str(self)}

    def __str__(self) -> str:
        return "\n".join(self.sentences)


def _unbroken(sentence: str) -> str:
    """Escaped; no line ends between a figure and the 万 or 亿 that it is counted in."""
    return _COUNTED.sub(r'<span class="cb-whole">\g<0></span>', escape(sentence))
