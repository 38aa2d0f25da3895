"""Rows of different length in one flat array."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Ragged:
    """S rows of bytes, one behind the other.

    values: uint8 (total,); offsets: int64 (S+1,), row s is values[offsets[s]:offsets[s+1]].
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_rows(cls, rows: Iterable[bytes]) -> "Ragged":
        """Pack byte strings; text must be encoded first."""
        rows = list(rows)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        return cls(np.frombuffer(b"".join(rows), np.uint8), offsets_of(lengths))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """int64 (S,)"""
        return np.diff(self.offsets)

    def rows(self) -> list[bytes]:
        """The S rows as byte strings (copies)."""
        flat = self.values.tobytes()
        bounds = self.offsets.tolist()
        return [flat[start:stop] for start, stop in pairwise(bounds)]


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Lengths (S,) to int64 offsets (S+1,)."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
