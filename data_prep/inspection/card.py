"""The card of a corpus (README.md of a dataset on a hub): numbers, stages, what was left out, sources."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import yaml

from data_prep.corpus import Corpus
from data_prep.inspection.describe import describe
from data_prep.inspection.table import filters_of, rows_of

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_PARAMETER = 400  # characters of one parameter that a card shows


def card_of(corpus: Corpus, name: str, license_id: str = "unknown", repository: str | None = None) -> str:
    """Return the card as Markdown.

    Args:
        corpus: to be described.
        name: that it has on the card.
        license_id: an id of the hub, such as ``cc0-1.0``; that of the sources, which nobody but their owner can give.
        repository: OWNER/NAME on a hub, to be downloaded from.
    """
    found = describe(corpus)
    rows = sum(int(split.get("sequences", 0)) for split in found["splits"].values())
    matter: dict[str, Any] = {
        "license": license_id,
        "pretty_name": name,
        "tags": ["biology", found["alphabet"], "pretraining", "polymerase"],
    }
    if rows:
        matter["size_categories"] = [next((label for limit, label in _SIZES if rows < limit), "n>10M")]
    sources = [["source", "bytes", "sha256"]]
    for source in found["sources"]:
        place = source.get("url") or source["name"]
        sources.append([place, f"{source.get('bytes', 0):,}", source.get("sha256", "-")])
    stages = [["stage", "parameters"]]
    stages += [[stage["stage"], _parameters(stage.get("parameters", {}))] for stage in corpus.manifest["stages"]]
    parts = [
        f"---\n{yaml.safe_dump(matter, sort_keys=False)}---",
        f"# {name}",
        f"A corpus of kind `{found['kind']}`, written by polymerase. Its fingerprint, the identity of its content, is "
        f"`{found['fingerprint']}`.",
        "## Use",
        *_download(repository, name),
        f'```python\nfrom data_prep.corpus import open_corpus\n\ntrain = open_corpus("{name}").split("train")\n```',
        "## Findings",
        "\n".join(f"* {sentence}" for sentence in found["findings"]),
        "## Numbers",
        _table(rows_of(found)),
        "## How it was made",
        _table(stages),
        "## What was left out",
        _table(filters_of(found)),
        "## Sources",
        _table(sources),
        "## Tools",
        ", ".join(f"{tool} {version}" for tool, version in found["tools"].items()),
    ]
    return "\n\n".join(parts) + "\n"


def _download(repository: str | None, name: str) -> list[str]:
    if repository is None:
        return []
    return [f"```bash\nhf download {repository} --repo-type dataset --local-dir {name}\n```"]


def _parameters(parameters: dict[str, Any]) -> str:
    shown = (f"{key}={json.dumps(value)}" for key, value in parameters.items())
    return "; ".join(text if len(text) <= _PARAMETER else f"{text[:_PARAMETER]} …" for text in shown)


def _table(rows: Sequence[Sequence[str]]) -> str:
    """The first row is the header."""
    lines = ["| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])
