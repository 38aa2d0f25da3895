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
        """Codes uint8 (L,) of windows [start, start + length), int64 (S,), one after another."""


@dataclass(frozen=True)
class ByteBases:
    """One code per byte, uint8 (bases,)."""

    codes: np.ndarray

    def read(self, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return Ragged.from_slices(self.codes, starts, starts + lengths).values


@dataclass(frozen=True)
class PackedBases:
    """Four codes per byte, the first in the lowest bits, uint8 (ceil(bases / 4),); other letters are intervals."""

    packed: np.ndarray
    other: Spans

    def read(self, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        part = Ragged.from_slices(self.packed, starts >> 2, (starts + lengths + 3) >> 2)
        unpacked = UNPACKED[part.values].view(np.uint8)
        begin = part.offsets[:-1] * 4 + (starts & 3)
        codes = Ragged.from_slices(unpacked, begin, begin + lengths).values.copy()
        self.other.paint(codes, OTHER, starts, lengths)
        return codes


def pack(codes: np.ndarray) -> np.ndarray:
    """Codes uint8 (bases,) to uint8 (ceil(bases / 4),); OTHER is written as 0."""
    padded = np.zeros(-(-len(codes) // 4) * 4, np.uint8)
    padded[: len(codes)] = np.where(codes < OTHER, codes, 0)
    quads = padded.reshape(-1, 4)
    return quads[:, 0] | quads[:, 1] << 2 | quads[:, 2] << 4 | quads[:, 3] << 6
