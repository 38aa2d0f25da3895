"""Local alignments of many pairs at once, in a band around the diagonal of a shared seed.

Scores (Smith and Waterman 1981): 2 for equal letters, -3 for others, -4 for each letter opposite a gap; letters that
are not A, C, G, T or U equal nothing. A cell is one int64: the score in the upper 16 bits, then equal letters, columns
and letters of the shorter sequence, 16 bits each. So the best cell says all that is asked of its alignment, and nothing
is traced back; of alignments of the same score the one with more equal letters, then with more columns, counts.
"""

from dataclasses import dataclass

import numpy as np

from data_prep.corpus.ragged import Ragged
from data_prep.filters.similarity.seeds import UNKNOWN

FIELD = 16
LONGEST_NT = 12_000  # of a sequence that is aligned, so that the score fits its field
MIN_BAND, MAX_BAND = 8, 32
BATCH_CELLS = 1 << 15  # of a step, all pairs of a batch together: what the processor's cache holds


def _cell(score: int, equal: int, column: int, shorter: int) -> int:
    return (score << 3 * FIELD) + (equal << 2 * FIELD) + (column << FIELD) + shorter


EQUAL, DIFFERENT = _cell(2, 1, 1, 1), _cell(-3, 0, 1, 1)
GAP_IN_LONGER, GAP_IN_SHORTER = _cell(-4, 0, 1, 1), _cell(-4, 0, 1, 0)


@dataclass(frozen=True)
class Batch:
    """P pairs to align.

    shorter: codes, P rows. longer uint8 (P, T + 2h): the letters in the band of each, T the longest of the shorter
    ones, h the band: letter t of a shorter one lies on the middle of the band opposite letter t + h.
    """

    shorter: Ragged
    longer: np.ndarray
    band: int


def band_for(identity: float, longest_nt: int) -> int:
    """Diagonals on each side of the seed's, an even number."""
    return int(np.clip(2 * np.ceil((1 - identity) * longest_nt / 2), MIN_BAND, MAX_BAND))


def align(batch: Batch) -> np.ndarray:
    """int64 (P, 4): score, equal letters, columns and letters of the shorter sequence in the best local alignments."""
    band, pairs = batch.band, len(batch.shorter)
    longest = batch.longer.shape[1] - 2 * band
    # Row La + h - i holds letter i (from 1) of the shorter ones: both grow along an anti-diagonal of the band.
    shorter = np.full((pairs, longest + 2 * band), UNKNOWN, np.uint8)
    inside = np.arange(longest) < batch.shorter.lengths[:, None]
    shorter[:, band : band + longest][inside] = batch.shorter.values
    ours = np.ascontiguousarray(shorter.T[::-1])
    theirs = np.ascontiguousarray(batch.longer.T)
    theirs[theirs == UNKNOWN] = UNKNOWN + 1  # unlike the unknown of the others
    even, odd = np.zeros((band + 1, pairs), np.int64), np.zeros((band, pairs), np.int64)
    best_even, best_odd = even.copy(), odd.copy()
    add, gap, same = even.copy(), odd.copy(), np.empty(even.shape, bool)
    half = band // 2
    for step in range(2 - band, 2 * longest + band + 1):
        if step % 2 == 0:
            row, column = longest + half - step // 2, step // 2 + half - 1
            _diagonal(even, ours[row : row + band + 1], theirs[column : column + band + 1], add, same)
            np.maximum(even[1:], np.add(odd, GAP_IN_SHORTER, out=gap), out=even[1:])
            np.maximum(even[:-1], np.add(odd, GAP_IN_LONGER, out=gap), out=even[:-1])
            np.maximum(best_even, even, out=best_even)
        else:
            row, column = longest + band - (step + band - 1) // 2, (step - band + 1) // 2 + band - 1
            _diagonal(odd, ours[row : row + band], theirs[column : column + band], add[:band], same[:band])
            np.maximum(odd, np.add(even[:-1], GAP_IN_SHORTER, out=gap), out=odd)
            np.maximum(odd, np.add(even[1:], GAP_IN_LONGER, out=gap), out=odd)
            np.maximum(best_odd, odd, out=best_odd)
    best = np.maximum(best_even.max(axis=0), best_odd.max(axis=0))
    mask = (1 << FIELD) - 1
    return np.stack([best >> 3 * FIELD, best >> 2 * FIELD & mask, best >> FIELD & mask, best & mask], axis=1)


def _diagonal(cells: np.ndarray, ours: np.ndarray, theirs: np.ndarray, add: np.ndarray, same: np.ndarray) -> None:
    """Cells (K, P) two steps ago to cells now, along their diagonals; never below 0, where an alignment begins."""
    np.equal(ours, theirs, out=same)
    np.multiply(same, EQUAL - DIFFERENT, out=add)
    add += DIFFERENT
    cells += add
    np.maximum(cells, 0, out=cells)


def align_batches(batches: list[Batch]) -> list[np.ndarray]:
    """Align batches, as a worker does."""
    return [align(batch) for batch in batches]
