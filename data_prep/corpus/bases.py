"""The bases of a genome on disk, in one byte each or four to a byte."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from data_prep.corpus.ragged import Ragged
from data_prep.corpus.spans import Spans

OTHER = 4  # the code of every letter but A 0, C 1, G 2, T 3
UNPACKED = np.array([[byte >> 2 * place & 3 for place in range(4)] for byte in range(256)], np.uint8).view("<u4")[:, 0]


class Bases(Protocol):
    """Bases of a contig, or of the contigs of an assembly one after another."""

    def read(self, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the codes uint8 (L,) of windows [start, start + length), int64 (S,), one after another."""


@dataclass(frozen=True)
class ByteBases:
    """One code per byte, uint8 (bases,)."""

    codes: np.ndarray

    def read(self, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Copy the windows, see ``Bases.read``."""
        return _slices(self.codes, starts, lengths)


@dataclass(frozen=True)
class PackedBases:
    """Four codes per byte, the first in the lowest bits, uint8 (ceil(bases / 4),); other letters are intervals."""

    packed: np.ndarray
    other: Spans

    def read(self, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Unpack the windows and mark other letters, see ``Bases.read``."""
        first = starts >> 2
        size = ((starts + lengths + 3) >> 2) - first
        if _one_width(lengths):  # bytes of one width too, then: one more where the window ends in its first quarter
            size = np.minimum(np.full_like(size, size.max(initial=0)), len(self.packed))
            first = np.minimum(first, len(self.packed) - size)
        unpacked = UNPACKED[_slices(self.packed, first, size)].view(np.uint8)
        begin = 4 * (np.cumsum(size) - size) + starts - 4 * first
        codes = np.require(_slices(unpacked, begin, lengths), requirements="W")
        self.other.paint(codes, OTHER, starts, lengths)
        return codes


def _one_width(lengths: np.ndarray) -> bool:
    return len(lengths) > 0 and bool((lengths == lengths[0]).all())


def _slices(values: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """values[start : start + length] of uint8, one after another."""
    if _one_width(lengths) and 0 < lengths[0] <= len(values):
        # Every window is a row of one overlapping view: one copy each, no loop.
        width = int(lengths[0])
        rows = np.ndarray((len(values) - width + 1, width), np.uint8, values, strides=(1, 1))
        return rows[starts].reshape(-1)
    return Ragged.from_slices(values, starts, starts + lengths).values


def pack(codes: np.ndarray) -> np.ndarray:
    """Pack codes uint8 (bases,) into uint8 (ceil(bases / 4),); OTHER is written as 0."""
    padded = np.zeros(-(-len(codes) // 4) * 4, np.uint8)
    padded[: len(codes)] = np.where(codes < OTHER, codes, 0)
    quads = padded.reshape(-1, 4)
    return quads[:, 0] | quads[:, 1] << 2 | quads[:, 2] << 4 | quads[:, 3] << 6
