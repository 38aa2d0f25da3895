"""The page about a corpus: what stands out, pictures, then tables."""

from typing import Any

from data_prep.html_page import Page
from data_prep.inspection.table import filters_of, rows_of


def page_of(description: dict[str, Any], plots: dict[str, bytes]) -> str:
    """The page as text."""
    sources = [["source", "bytes", "sha256"]]
    for source in description["sources"]:
        sources.append([source["name"], f"{source.get('bytes', 0):,}", source.get("sha256", "-")])
    page = Page(description["corpus"].rstrip("/").rsplit("/", 1)[-1])
    page.paragraph(f"{description['kind']}, fingerprint {description['fingerprint']}")
    page.heading("Findings")
    page.bullets([(sentence, "") for sentence in description["findings"]])
    page.pictures(plots)
    page.heading("Numbers")
    page.table(rows_of(description))
    for title, rows in (("Filters", filters_of(description)), ("Sources", sources)):
        page.heading(title)
        page.table(rows)
        if len(rows) == 1:  # the header alone
            page.paragraph("None.", "muted")
    return page.text()
