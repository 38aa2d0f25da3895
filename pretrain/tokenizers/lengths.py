"""Rules for the number of tokens of a sequence: a formula of its nucleotides, or a count of its letters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PerNucleotide:
    """Tokens of ``k`` nucleotides, one every ``stride`` nucleotides; a shorter rest at the end has no token.

    Attributes:
        k: nucleotides per token.
        stride: nucleotides from the start of a token to that of the next; below k they overlap.
        specials: special tokens per sequence.
    """

    k: int = 1
    stride: int = 1
    specials: int = 2

    def tokens(self, nucleotides: np.ndarray) -> np.ndarray:
        """Return tokens of nucleotides (S,), specials included, int64 (S,)."""
        lengths = np.asarray(nucleotides, np.int64)
        return np.maximum((lengths - self.k) // self.stride + 1, 0) + self.specials

    def nucleotides(self, tokens: int) -> int:
        """Return the longest sequence that fits in so many tokens without losing a nucleotide."""
        return (tokens - self.specials - 1) * self.stride + self.k

    def rest(self, nucleotides: np.ndarray) -> np.ndarray:
        """Return how many letters at the end of sequences of so many nucleotides (S,) have no token, int64 (S,)."""
        lengths = np.asarray(nucleotides, np.int64)
        return np.where(lengths < self.k, lengths, (lengths - self.k) % self.stride)


@dataclass(frozen=True)
class Measured:
    """Tokens that depend on the letters (byte pairs; k-mers that stop at an N): each sequence is counted once.

    Attributes:
        specials: special tokens per sequence.
        longest: nucleotides of the longest token of the vocabulary.
        digest: identity of the vocabulary and its rules; counts are stored under it.
        rest_as_letters: whether a piece too short for a longest token becomes single letters, not one shorter token.
    """

    specials: int
    longest: int
    digest: str
    rest_as_letters: bool = False

    def tokens(self, nucleotides: np.ndarray) -> np.ndarray:
        """Return the most tokens that sequences of so many nucleotides (S,) can have, int64 (S,): one for each."""
        return np.asarray(nucleotides, np.int64) + self.specials

    def nucleotides(self, tokens: int) -> int:
        """Return the longest sequence that fits in so many tokens whatever its letters."""
        return tokens - self.specials

    def rest(self, nucleotides: np.ndarray) -> np.ndarray:
        """Return zeros (S,): every letter is in a token."""
        return np.zeros(len(nucleotides), np.int64)

    def fewest(self, nucleotides: np.ndarray) -> np.ndarray:
        """Return the fewest tokens that sequences of so many nucleotides (S,) can have, int64 (S,)."""
        whole, rest = np.divmod(np.asarray(nucleotides, np.int64), self.longest)
        return whole + (rest if self.rest_as_letters else rest > 0) + self.specials


Lengths = PerNucleotide | Measured
