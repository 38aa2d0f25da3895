"""One HTML file with its pictures inside, so that it can be sent alone."""

from __future__ import annotations

import base64
import html
import re
from typing import Any

STYLE = """
:root { color-scheme: light }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #222; background: #fff; max-width: 64rem }
body { margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word }
h1 { margin-bottom: 0 } h2 { margin-top: 2.2rem; border-bottom: 2px solid #33658a; padding-bottom: .2rem }
.table { overflow-x: auto; margin: .6rem 0 }
table { border-collapse: collapse }
td, th { padding: .15rem 1rem .15rem 0; text-align: left; border-bottom: 1px solid #eee; vertical-align: top }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
td.number { white-space: nowrap }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(28rem, 100%), 1fr)); gap: .6rem }
.plots img { width: 100%; display: block }
@media (max-width: 36rem) {
  .table { font-size: .8rem } td, th { padding-right: .5rem } td:first-child { min-width: 7rem }
  td:last-child, th:last-child { padding-right: 0 }
  .plots:not(.wide) { margin: 0 -1rem }
}
.wide { display: block; overflow-x: auto } .wide img { min-width: 62rem; margin-bottom: 1rem }
.good { color: #1a7f37 } .bad { color: #b42318 } .muted { color: #666 }
ul { padding-left: 1.2rem }
"""


class Page:
    """A page that is built section by section. Everything that comes from outside is escaped."""

    def __init__(self, title: str):
        self._title = html.escape(title)
        self._components = [f"<h1>{self._title}</h1>"]

    def heading(self, text: str) -> None:
        """Add a heading."""
        self._components.append(f"<h2>{html.escape(text)}</h2>")

    def paragraph(self, text: str, kind: str = "") -> None:
        """Add a paragraph; ``kind``: good, bad or muted."""
        self._components.append(f"<p{_class(kind)}>{html.escape(text)}</p>")

    def bullets(self, items: list[tuple[str, str]]) -> None:
        """Add a list of (text, kind)."""
        rows = "".join(f"<li{_class(kind)}>{html.escape(text)}</li>" for text, kind in items)
        self._components.append(f"<ul>{rows}</ul>")

    def table(self, rows: list[list[Any]]) -> None:
        """Add a table with a header row; columns of numbers are right-aligned. Nothing if no row follows the header."""
        head, *body = rows
        if not body:
            return
        kinds = [
            _class("number" if all(_is_number(row[column]) for row in body) else "") for column in range(len(head))
        ]
        lines = ["".join(f'<th scope="col"{k}>{_cell(cell)}</th>' for k, cell in zip(kinds, head, strict=True))]
        lines += ["".join(f"<td{k}>{_cell(cell)}</td>" for k, cell in zip(kinds, row, strict=True)) for row in body]
        rows_ = "\n".join(f"<tr>{line}</tr>" for line in lines)
        self._components.append(f'<div class="table" tabindex="0"><table>{rows_}</table></div>')

    def pictures(self, plots: dict[str, bytes], wide: bool = False) -> None:
        """Add pictures: PNG content by name of the file, which is also what is read to those who do not see it.

        Args:
            plots: the pictures.
            wide: one below the other, as wide as the page, with text that stays readable.
        """
        images = (
            f'<img alt="{html.escape(name.removesuffix(".png").replace("-", " "))}" '
            f'src="data:image/png;base64,{base64.b64encode(content).decode()}">'
            for name, content in plots.items()
        )
        kind = "plots wide" if wide else "plots"
        self._components.append(f'<div class="{kind}" tabindex="0">{"".join(images)}</div>')

    def text(self) -> str:
        """Return the whole file."""
        meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        head = f'<!doctype html>\n<html lang="en">{meta}<title>{self._title}</title>'
        return "\n".join([head, f"<style>{STYLE}</style>", "<main>", *self._components, "</main></html>"]) + "\n"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _is_number(cell: Any) -> bool:
    """Whether a cell is a number, none, or text that is a count (and its share): 1,234 (5.0%)."""
    return isinstance(cell, int | float) or cell in ("", "–") or bool(re.match(r"-?[\d,.]+( \(|$)|-?$", str(cell)))


def _cell(cell: Any) -> str:
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, int):
        return f"{cell:,}"
    return html.escape(f"{cell:.6g}" if isinstance(cell, float) else "–" if cell is None else str(cell))
