"""Overlapping k-mers between blanks (`ACG CGU GUA`), the form in which DNABERT and its kin are given sequences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

_FEWEST = 3  # different words; blocks of ten letters of a run of A overlap, too


def are_overlapping(words: Sequence[bytes]) -> bool:
    """Whether all words have the same length k > 1 and each repeats the last k - 1 letters of the one before."""
    if len(set(words)) < _FEWEST or len(words[0]) < 2:
        return False
    return all(len(a) == len(b) and a[1:] == b[:-1] for a, b in pairwise(words))


def sequence_of(words: Sequence[bytes]) -> bytes:
    """The sequence that overlapping k-mers were cut from."""
    return words[0] + b"".join(word[-1:] for word in words[1:])
