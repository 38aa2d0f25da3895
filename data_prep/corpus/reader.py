"""Opening a corpus: checks that it is whole, and of a known kind."""

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from data_prep.corpus.files import sha256_of_file
from data_prep.corpus.manifest import read_manifest
from data_prep.errors import DataPrepError

# kind -> module whose open_split(folder, manifest, split) gives the table of a split
KINDS = {
    "sequences": "data_prep.corpus.sequences",
    "allele_frequencies": "data_prep.corpus.genome",
    "genome": "data_prep.corpus.genome",
}


@dataclass(frozen=True)
class Corpus:
    """A whole corpus on disk."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def kind(self) -> str:
        """A name in KINDS."""
        return self.manifest["kind"]

    @property
    def fingerprint(self) -> str:
        """Identity of the data; checkpoints remember it."""
        return self.manifest["fingerprint"]

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, `train` first."""
        return tuple(self.manifest["splits"])

    def split(self, name: str) -> Any:
        """Open the rows of a split: `SequenceTable` for sequences, `GenomeTable` for genomes."""
        if name not in self.splits:
            raise DataPrepError(f"{self.folder}: no split {name!r}; it has {', '.join(self.splits)}")
        return import_module(KINDS[self.kind]).open_split(self.folder, self.manifest, name)


def open_corpus(path: str | Path, *, verify: bool = False) -> Corpus:
    """Open a corpus folder.

    Every file of the manifest must be there with its size; `verify` also reads them all and compares checksums.

    Raises:
        DataPrepError: names the folder or file that is wrong.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    if manifest["kind"] not in KINDS:
        raise DataPrepError(f"{folder}: unknown corpus kind {manifest['kind']!r}; known: {', '.join(KINDS)}")
    for name, facts in manifest["files"].items():
        file = folder / name
        if not file.is_file():
            raise DataPrepError(f"{folder}: not whole, {name} is missing; copy it again or build the corpus again")
        if file.stat().st_size != facts["bytes"]:
            raise DataPrepError(
                f"{file}: {file.stat().st_size} bytes, the manifest says {facts['bytes']}; copy or build it again"
            )
        if verify and sha256_of_file(file) != facts["sha256"]:
            raise DataPrepError(
                f"{file}: damaged (sha256 differs from the manifest); copy it or build the corpus again"
            )
    return Corpus(folder, manifest)
