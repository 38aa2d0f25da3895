"""One HTML page: what stands out, pictures, then tables. The pictures are inside it, so the file can be sent alone."""

import base64
import html
import re
from typing import Any

from data_prep.inspection.table import filters_of, rows_of

STYLE = """
:root { color-scheme: light }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #222; background: #fff; max-width: 64rem }
body { margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word }
h2 { margin-top: 2.2rem; border-bottom: 2px solid #33658a; padding-bottom: .2rem }
ul { padding-left: 1.2rem }
.table { overflow-x: auto; margin: .6rem 0 }
table { border-collapse: collapse }
td, th { padding: .15rem 1rem .15rem 0; text-align: left; border-bottom: 1px solid #eee; vertical-align: top }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(28rem, 100%), 1fr)); gap: .6rem }
.plots img { width: 100%; display: block }
code { word-break: break-all }
"""


def page_of(description: dict[str, Any], plots: dict[str, bytes]) -> str:
    """The page as text."""
    name = html.escape(description["corpus"].rstrip("/").rsplit("/", 1)[-1])
    sources = [["source", "bytes", "sha256"]]
    for source in description["sources"]:
        sources.append([source["name"], f"{source.get('bytes', 0):,}", source.get("sha256", "-")])
    parts = [
        "<!doctype html>",
        '<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{name}</title><style>{STYLE}</style><main>",
        f"<h1>{name}</h1>",
        f"<p>{description['kind']}, fingerprint <code>{description['fingerprint']}</code></p>",
        "<h2>Findings</h2>",
        "<ul>" + "".join(f"<li>{html.escape(sentence)}</li>" for sentence in description["findings"]) + "</ul>",
        '<div class="plots">' + "".join(_image(file, content) for file, content in plots.items()) + "</div>",
        "<h2>Numbers</h2>",
        _table(rows_of(description)),
        "<h2>Filters</h2>",
        _table(filters_of(description)),
        "<h2>Sources</h2>",
        _table(sources),
        "</main></html>",
    ]
    return "\n".join(parts) + "\n"


def _table(rows: list[list[str]]) -> str:
    """A table in a frame of its own that scrolls; columns of numbers stand on the right."""
    head, *body = rows
    right = [
        bool(body) and all(re.match(r"-?[\d,.]+( \(|$)|-?$", row[place]) for row in body) for place in range(len(head))
    ]
    kinds = [' class="number"' if is_right else "" for is_right in right]
    lines = ["".join(f'<th scope="col"{k}>{html.escape(cell)}</th>' for k, cell in zip(kinds, head, strict=True))]
    lines += ["".join(f"<td{k}>{html.escape(cell)}</td>" for k, cell in zip(kinds, row, strict=True)) for row in body]
    inside = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="table" tabindex="0"><table>{inside}</table></div>'


def _image(file: str, content: bytes) -> str:
    data = base64.b64encode(content).decode()
    return f'<img alt="{html.escape(file.removesuffix(".png").replace("-", " "))}" src="data:image/png;base64,{data}">'
