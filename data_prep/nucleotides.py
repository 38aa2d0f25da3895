"""Letters of nucleic acids: how sequences are spelled in a corpus, and which letters a record may have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.corpus.ragged import Ragged

AMBIGUOUS = b"NRYSWKMBDHVX"  # IUPAC codes, and X as RNAcentral writes an unknown base
GAPS = b"-.~"  # of alignments
PROTEIN_ONLY = b"EFILPQZJO*"  # letters of amino acids that no nucleotide code uses
PLAIN, OTHER, FOREIGN = 0, 1, 2
UPPER = bytes(range(256)).upper()


@dataclass(frozen=True)
class Alphabet:
    """One spelling: upper case, with U (rna) or T (dna)."""

    name: str
    letters: bytes
    replaced: bytes

    def spell(self, letters: np.ndarray) -> np.ndarray:
        """Letters uint8 (n,) in upper case, with T as U or U as T."""
        upper = upper_case(letters)
        replaced = (upper == self.replaced[0]).view(np.uint8)
        return np.bitwise_xor(upper, replaced, out=replaced)  # T and U differ in their last bit

    @property
    def classes(self) -> np.ndarray:
        """uint8 (256,): PLAIN for the four letters, OTHER for ambiguity codes, FOREIGN for the rest."""
        classes = np.full(256, FOREIGN, np.uint8)
        classes[list(AMBIGUOUS)] = OTHER
        classes[list(self.letters)] = PLAIN
        return classes


ALPHABETS = {"rna": Alphabet("rna", b"ACGU", b"T"), "dna": Alphabet("dna", b"ACGT", b"U")}


def upper_case(letters: np.ndarray) -> np.ndarray:
    """Letters uint8 (n,) in upper case; most text is already, and finding that out is cheap."""
    if letters.max(initial=0) < ord("a"):
        return letters
    return np.frombuffer(letters.tobytes().translate(UPPER), np.uint8)


def count_foreign(alphabet: Alphabet, sequences: Ragged) -> np.ndarray | None:
    """Per sequence int64 (S,): letters that belong to no nucleic acid; None where no sequence has one."""
    # Counts of all letters tell it for nearly every block, far cheaper than a class for each letter.
    known = sequences.letter_counts[list(alphabet.letters + AMBIGUOUS)].sum()
    return None if known == len(sequences.values) else _count(alphabet, sequences, FOREIGN)


def count_ambiguous(alphabet: Alphabet, sequences: Ragged) -> np.ndarray:
    """Per sequence int64 (S,): letters that are ambiguity codes."""
    if sequences.letter_counts[list(alphabet.letters)].sum() == len(sequences.values):
        return np.zeros(len(sequences), np.int64)
    return _count(alphabet, sequences, OTHER)


def _count(alphabet: Alphabet, sequences: Ragged, wanted: int) -> np.ndarray:
    at = np.flatnonzero(alphabet.classes[sequences.values] == wanted)
    row = np.searchsorted(sequences.offsets, at, side="right") - 1
    return np.bincount(row, minlength=len(sequences))


def protein_rows(sequences: Sequence[bytes]) -> list[int]:
    """Rows of upper-case sequences that have letters which only proteins have."""
    return [row for row, sequence in enumerate(sequences) if any(letter in sequence for letter in PROTEIN_ONLY)]


def complement_table(alphabet: str) -> np.ndarray:
    """Complement of every byte, uint8 (256,): ambiguity codes too, case kept, other bytes as they are."""
    pairs = b"ACGTUNRYSWKMBDHVX", b"TGCAANYRSWMKVHDBX"
    ours, other = (b"U", b"T") if alphabet == "rna" else (b"T", b"U")
    table = np.arange(256, dtype=np.uint8)
    for letter, partner in zip(*pairs, strict=True):
        partner = ours[0] if partner == other[0] else partner
        table[letter], table[letter + 32] = partner, partner + 32
    return table
