"""The numbers of a corpus, from its manifest, and the findings."""

import math
from typing import Any

from data_prep.corpus import Corpus
from data_prep.inspection.findings import findings_of


def describe(corpus: Corpus) -> dict[str, Any]:
    """Return kind, fingerprint, findings, statistics of splits, contigs, filters of all stages, sources, tools."""
    manifest = corpus.manifest
    splits = {name: _without_files(split) for name, split in manifest["splits"].items()}
    for split in splits.values():
        if "composition" in split:
            split["unigram_entropy_nats"] = unigram_entropy(split["composition"])
    return {
        "corpus": str(corpus.folder),
        "kind": corpus.kind,
        "fingerprint": corpus.fingerprint,
        "findings": findings_of(corpus),
        "alphabet": manifest["alphabet"],
        "splits": splits,
        **({"contigs": manifest["contigs"]} if "contigs" in manifest else {}),
        "stages": [{"stage": stage["stage"], "filters": stage.get("filters", [])} for stage in manifest["stages"]],
        "sources": manifest["sources"],
        "tools": manifest["tools"],
    }


def unigram_entropy(composition: dict[str, int]) -> float | None:
    """Return nats per letter: the loss of a model that knows only the letter frequencies."""
    total = sum(composition.values())
    if not total:
        return None
    return round(-sum(count / total * math.log(count / total) for count in composition.values() if count), 6)


def _without_files(split: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in split.items() if key not in ("shards", "intervals", "regions")}
