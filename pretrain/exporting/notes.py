"""Sentences that a model card must have, by family and by content of the weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pretrain.families import Family
from pretrain.objectives.structure import structure_note

# what hosts of public data say of them, by a part of the address
_TERMS = {
    "/RNAcentral/": "CC0 1.0",
    "/Rfam/": "CC0 1.0",
    "ensembl.org": "no restrictions (Ensembl)",
    "/Gencode_": "no restrictions (GENCODE)",
    "hgdownload.soe.ucsc.edu": "no restrictions (UCSC genome sequence)",
    "ncbi.nlm.nih.gov": "no restrictions (NCBI)",
    "basenji_barnyard2": "human genome sequence, no restrictions; intervals of Basenji (Apache-2.0)",
    "1000genomes": "open; cite the 1000 Genomes Project (IGSR)",
    "/CatIIIIIIII/RNAErnie/": "MIT (repository of RNAErnie); those of the databases behind its lists are not stated",
}


def source_rows(corpora: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[dict[str, str], ...]:
    """Return rows of the card's table of sources. corpora: name -> sources of its manifest."""
    return tuple(
        {
            "corpus": corpus,
            "source": str(source.get("url") or source.get("name", "?")),
            "release": str(source.get("release") or "-"),
            "sha256": str(source.get("sha256", "-"))[:16],
            "license": terms_of(str(source.get("url") or "")),
        }
        for corpus, sources in corpora.items()
        for source in sources
    )


def terms_of(url: str) -> str:
    """Return the terms of use of a public file, as far as its address tells."""
    return next((terms for part, terms in _TERMS.items() if part in url), "not stated: ask whoever gave you the file")


def conversion_notes(family: Family, layout: str, names: Collection[str]) -> list[str]:
    """Return what a user of converted published weights must know. ``names``: our names of the tensors."""
    notes = []
    doubled = any(rule.transform == "double" for rule in family.upstream.rules)
    if doubled and layout == "upstream":
        notes.append("The release adds its output bias twice; the bias stored here is doubled, which gives its logits.")
    if any(name.startswith("heads.structure.") for name in names) and layout == "upstream":
        notes.append(structure_note(label_shift=-1))
    return notes
