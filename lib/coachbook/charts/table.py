"""Tables, laid out by great-tables; every figure arrives formatted."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa  # type: ignore[import-untyped]
from great_tables import GT, loc, style

from coachbook.charts import theme
from coachbook.text import active

Row = Sequence[str]
# great-tables sets cell by cell: three times faster in Arrow's columns than in pandas', whatever it says of the former.
warnings.filterwarnings("ignore", "PyArrow Table support is currently experimental", UserWarning)


@dataclass(frozen=True)
class Sheet:
    """A table of texts. The first column names the row; `right` lists columns of figures.

    Figures, and the texts of columns in `whole`, stay on one line. `id` is stable, so that a page is the same from run
    to run; `marked` rows are the reader's own.
    """

    id: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    caption: str
    note: str = ""
    right: tuple[int, ...] = ()
    whole: tuple[int, ...] = ()
    marked: frozenset[int] = field(default_factory=frozenset)

    def _repr_mimebundle_(self, **_kwargs: object) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": str(self)}

    @property
    def html(self) -> str:
        """The table as HTML; every text in it is escaped."""
        keys = [f"c{i}" for i in range(len(self.columns))]
        frame = pa.table(
            {key: [row[i] for row in self.rows] for i, key in enumerate(keys)},
            schema=pa.schema([(key, pa.string()) for key in keys]),
        )
        table = (
            GT(frame, id=f"cb-{self.id}", locale=active().great_tables)
            .tab_header(title=self.caption)
            .cols_label(dict(zip(keys, self.columns, strict=True)))
            .cols_align(align="left", columns=keys)
            .tab_options(
                table_font_names=theme.FONT,
                table_font_size=f"{theme.SIZE}px",
                table_font_color=theme.INK,
                heading_align="left",
                heading_title_font_size=f"{theme.SIZE}px",
                heading_title_font_weight="bold",
                heading_border_bottom_color=theme.RULE,
                column_labels_font_weight="normal",
                column_labels_border_top_style="hidden",
                column_labels_border_bottom_color=theme.MUTED,
                table_border_top_style="hidden",
                table_border_bottom_color=theme.RULE,
                table_body_hlines_color=theme.RULE,
                table_width="100%",
                data_row_padding="5px",
                source_notes_font_size="12px",
            )
        )
        if self.right:
            table = table.cols_align(align="right", columns=[keys[i] for i in self.right])
        if unbroken := [keys[i] for i in (*self.right, *self.whole)]:
            table = table.tab_style(
                style=style.css("white-space:nowrap"), locations=loc.body(columns=unbroken)
            )
        if self.marked:
            bold = style.text(weight="bold", color=theme.ACCENT)
            table = table.tab_style(style=bold, locations=loc.body(rows=sorted(self.marked)))
        if self.note:
            table = table.tab_source_note(self.note)
        html: str = table.as_raw_html(inline_css=False)
        return f'<div class="cb-table {theme.NO_MATH}">{html}</div>'

    def __str__(self) -> str:
        lines = [self.caption, " | ".join(self.columns), *(" | ".join(row) for row in self.rows)]
        return "\n".join([*lines, self.note] if self.note else lines)
