"""Many intervals of a genome in four bytes each: soft-masked stretches, and letters other than A, C, G, T.

Intervals are cut at multiples of 65,536, so that each lies in one block: its beginning there and its length - 1 fit 16
bits. A table says where the intervals of each block begin. Five million repeats of a human genome take 20 MB.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from data_prep.corpus.ragged import Ragged, offsets_of

BLOCK = 1 << 16


@dataclass(frozen=True)
class Spans:
    """Disjoint half-open intervals, ascending.

    Attributes:
        first: uint32 (blocks + 1,), number of the first interval of each block.
        within: uint16 (K, 2), start in the block and length - 1.
    """

    first: np.ndarray
    within: np.ndarray

    @classmethod
    def of(cls, intervals: np.ndarray, size: int) -> "Spans":
        """Build from int64 (K, 2) starts and ends, disjoint and ascending, of positions below `size`."""
        start, end = intervals[:, 0], intervals[:, 1]
        pieces = np.maximum((end - 1) // BLOCK - start // BLOCK + 1, 0)
        number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        block = np.repeat(start // BLOCK, pieces) + number
        begin = np.maximum(np.repeat(start, pieces), block * BLOCK)
        stop = np.minimum(np.repeat(end, pieces), (block + 1) * BLOCK)
        first = np.searchsorted(block, np.arange(-(-size // BLOCK) + 1))
        within = np.stack((begin - block * BLOCK, stop - begin - 1), 1).astype(np.uint16)
        return cls(first.astype(np.uint32), within)

    def inside(self, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the intervals in windows [start, start + length), int64 (S,): window, start and end in it, (R,)."""
        first_block, last_block = starts // BLOCK, np.maximum(starts + lengths - 1, starts) // BLOCK
        blocks = last_block - first_block + 1
        window = np.repeat(np.arange(len(starts)), blocks)
        block = np.arange(len(window)) - np.repeat(np.cumsum(blocks) - blocks, blocks) + np.repeat(first_block, blocks)
        low = self.first[block].astype(np.int64)
        counts = self.first[block + 1].astype(np.int64) - low
        number = np.arange(counts.sum()) + np.repeat(low - (np.cumsum(counts) - counts), counts)
        window, block = np.repeat(window, counts), np.repeat(block, counts)
        pairs = self.within[number].astype(np.int64)
        begin = block * BLOCK + pairs[:, 0] - starts[window]
        end = np.minimum(begin + pairs[:, 1] + 1, lengths[window])
        begin = np.maximum(begin, 0)
        kept = begin < end
        return window[kept], begin[kept], end[kept]

    def paint(self, values: np.ndarray, value: int | bool, starts: np.ndarray, lengths: np.ndarray) -> None:
        """Set `values` (L,), windows (S,) one after another, to `value` inside the intervals."""
        window, begin, end = self.inside(starts, lengths)
        at = offsets_of(lengths)[window] + begin
        size = end - begin
        values[np.arange(size.sum()) + np.repeat(at - (np.cumsum(size) - size), size)] = value

    @property
    def nbytes(self) -> int:
        """Bytes of both arrays."""
        return self.first.nbytes + self.within.nbytes


def runs(mask: np.ndarray) -> np.ndarray:
    """Return the stretches where bool (L,) is True: int64 (K, 2) of starts and ends."""
    padded = np.zeros(len(mask) + 2, bool)
    padded[1:-1] = mask
    return np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)


def soft_mask_column(mask: Ragged) -> list[bytes]:
    """Encode rows (S,) of 0 and 1 as the column `soft_mask`: uint32 pairs start, end of the ones in each row."""
    rows = len(mask)
    apart = np.zeros(len(mask.values) + rows, bool)  # a zero behind each row, so that no stretch goes on in the next
    apart[np.arange(len(mask.values)) + np.repeat(np.arange(rows), mask.lengths)] = mask.values != 0
    found = runs(apart)
    begin = mask.offsets[:-1] + np.arange(rows)
    row = np.searchsorted(begin, found[:, 0], side="right") - 1
    pairs = (found - begin[row][:, None]).astype("<u4").tobytes()
    bounds = (8 * offsets_of(np.bincount(row, minlength=rows))).tolist()
    return [pairs[a:b] for a, b in pairwise(bounds)]
