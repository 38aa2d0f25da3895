"""Letters of nucleic acids: how sequences are spelled in a corpus, and which letters a record may have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.corpus.ragged import offsets_of

AMBIGUOUS = b"NRYSWKMBDHVX"  # IUPAC codes, and X as RNAcentral writes an unknown base
PROTEIN_ONLY = b"EFILPQZJO*"  # letters of amino acids that no nucleotide code uses
PLAIN, OTHER, FOREIGN = 0, 1, 2


@dataclass(frozen=True)
class Alphabet:
    """One spelling: upper case, with U (rna) or T (dna)."""

    name: str
    letters: bytes
    replaced: bytes

    @property
    def table(self) -> bytes:
        """For `bytes.translate`: upper case, and T to U or U to T."""
        return bytes.maketrans(b"abcdefghijklmnopqrstuvwxyz", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ").translate(
            bytes.maketrans(self.replaced, self.letters[3:])
        )

    @property
    def classes(self) -> np.ndarray:
        """uint8 (256,): PLAIN for the four letters, OTHER for ambiguity codes, FOREIGN for the rest."""
        classes = np.full(256, FOREIGN, np.uint8)
        classes[list(AMBIGUOUS)] = OTHER
        classes[list(self.letters)] = PLAIN
        return classes


ALPHABETS = {"rna": Alphabet("rna", b"ACGU", b"T"), "dna": Alphabet("dna", b"ACGT", b"U")}


def count_letters(alphabet: Alphabet, sequences: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Per sequence (S,): letters that are ambiguity codes, and letters that belong to no nucleic acid."""
    letters = np.frombuffer(b"".join(sequences), np.uint8)
    # Most blocks hold the four letters only, and counting these is far cheaper than classifying each.
    if sum(np.count_nonzero(letters == letter) for letter in alphabet.letters) == len(letters):
        return np.zeros(len(sequences), np.int64), np.zeros(len(sequences), np.int64)
    offsets = offsets_of(np.fromiter(map(len, sequences), np.int64, len(sequences)))
    classes = alphabet.classes[letters]
    at = np.flatnonzero(classes)
    row = np.searchsorted(offsets, at, side="right") - 1
    foreign = classes[at] == FOREIGN
    count = len(sequences)
    return np.bincount(row[~foreign], minlength=count), np.bincount(row[foreign], minlength=count)


def protein_rows(sequences: Sequence[bytes]) -> list[int]:
    """Rows of upper-case sequences that have letters which only proteins have."""
    return [row for row, sequence in enumerate(sequences) if any(letter in sequence for letter in PROTEIN_ONLY)]
