"""Content of the card of converted published weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pretrain.exporting.card import CardFacts
from pretrain.exporting.notes import conversion_notes
from pretrain.importing import Imported, ImportedFile
from pretrain.importing.training_facts import Fact

_WANTED = ("num_updates", "epoch", "val_loss", "best", "lr", "max_tokens", "update_freq", "dropout", "seed")


def published_facts(source: ImportedFile, imported: Imported, license: str | None = None) -> CardFacts:
    """Return origin, checksum, training facts found in the file, and what a user must know.

    Args:
        source: the file.
        imported: the model in it.
        license: license id of the hub; by default what the release states for its weights.
    """
    family = imported.family
    training = {name: value for name, value in sorted(source.facts.items()) if name.split(".")[-1] in _WANTED}
    table: Mapping[str, Fact] = {
        "source file": source.path.name,
        "sha256 of the source": _sha256(source.path),
        **training,
    }
    return CardFacts(
        origin=f"Converted from {source.path.name} ({imported.layout} layout).",
        license=license or family.license,
        table=table,
        notes=(*conversion_notes(family, imported.layout, imported.state), *family.notes),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
