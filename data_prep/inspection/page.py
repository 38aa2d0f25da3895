"""One HTML page: what stands out, pictures, then tables. The pictures are inside it, so the file can be sent alone."""

import base64
import html
from typing import Any

from data_prep.inspection.table import filters_of, rows_of

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .15rem .8rem .15rem 0; text-align: left; border-bottom: 1px solid #eee }
img { max-width: 100%; display: block; margin: 1rem 0 }
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
        f'<html lang="en"><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style>',
        f"<h1>{name}</h1>",
        f"<p>{description['kind']}, fingerprint <code>{description['fingerprint']}</code></p>",
        "<h2>What stands out</h2>",
        "<ul>" + "".join(f"<li>{html.escape(sentence)}</li>" for sentence in description["findings"]) + "</ul>",
        *(_image(file, content) for file, content in plots.items()),
        "<h2>Numbers</h2>",
        _table(rows_of(description)),
        "<h2>Filters</h2>",
        _table(filters_of(description)),
        "<h2>Sources</h2>",
        _table(sources),
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _table(rows: list[list[str]]) -> str:
    head, *body = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    lines = [f"<tr>{head.replace('td>', 'th>')}</tr>", *(f"<tr>{row}</tr>" for row in body)]
    return "<table>" + "\n".join(lines) + "</table>"


def _image(file: str, content: bytes) -> str:
    data = base64.b64encode(content).decode()
    return f'<img alt="{html.escape(file.removesuffix(".png"))}" src="data:image/png;base64,{data}">'
