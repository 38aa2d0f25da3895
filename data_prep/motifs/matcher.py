"""All occurrences of thousands of motifs in many sequences at once.

Windows of n letters are numbers of base 4. Up to BLOCK letters, a table of all windows tells which are motifs; a longer
motif is looked up by its first BLOCK letters and then compared as text.
"""

from collections import defaultdict
from collections.abc import Collection

import numpy as np

from data_prep.corpus import Ragged

BLOCK = 10
OTHER = 4
DIGITS = np.full(256, OTHER, np.uint8)
for _digit, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"UuTt")):
    DIGITS[list(_letters)] = _digit


class MotifMatcher:
    """Motifs are text of A, C, G, U; sequences may have T and lower case, and other letters match nothing."""

    def __init__(self, motifs: Collection[str]):
        self._tables: dict[int, np.ndarray] = {}
        self._long: dict[int, list[np.ndarray]] = defaultdict(list)  # number of the first BLOCK letters -> digits
        for motif in motifs:
            digits = DIGITS[np.frombuffer(motif.encode(), np.uint8)]
            if len(motif) <= BLOCK:
                self._tables.setdefault(len(motif), np.zeros(4 ** len(motif), bool))[_number(digits)] = True
            else:
                self._long[_number(digits[:BLOCK])].append(digits)
        self._begins_long = np.zeros(4**BLOCK, bool)
        self._begins_long[list(self._long)] = True

    def find(self, rows: Ragged) -> tuple[np.ndarray, np.ndarray]:
        """Starts int64 (K,), flat in `rows.values`, and lengths int64 (K,), overlapping and nested ones included."""
        digits = DIGITS[rows.values]
        run = unbroken(digits, rows.offsets)
        starts, lengths = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        numbers = np.zeros(len(digits), np.int64)
        for length in range(1, BLOCK + 1):
            numbers = extended(numbers, digits, length)
            if length in self._tables:
                at = np.flatnonzero(self._tables[length][numbers] & (run[: len(numbers)] >= length))
                starts.append(at)
                lengths.append(np.full(len(at), length, np.int64))
        if self._long:
            found = [
                (start, len(motif))
                for start in np.flatnonzero(self._begins_long[numbers]).tolist()
                for motif in self._long[int(numbers[start])]
                if len(motif) <= run[start] and np.array_equal(digits[start : start + len(motif)], motif)
            ]
            pairs = np.array(found, np.int64).reshape(-1, 2)
            starts.append(pairs[:, 0])
            lengths.append(pairs[:, 1])
        return np.concatenate(starts), np.concatenate(lengths)


def unbroken(digits: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """int64 (N,): how many plain nucleotides of the same row follow from each position on, itself included."""
    positions = np.arange(len(digits))
    others = np.append(np.flatnonzero(digits == OTHER), len(digits))
    row_ends = np.repeat(offsets[1:], np.diff(offsets))
    return np.minimum(others[np.searchsorted(others, positions)], row_ends) - positions


def extended(numbers: np.ndarray, digits: np.ndarray, length: int) -> np.ndarray:
    """Numbers of the windows of `length` letters from those one letter shorter; other letters count as A."""
    return numbers[: max(len(digits) - length + 1, 0)] * 4 + digits[length - 1 :] % OTHER


def _number(digits: np.ndarray) -> int:
    return int("".join(map(str, digits.tolist())), 4)
