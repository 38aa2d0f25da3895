"""Rows of different length in one flat array."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa

COMMON_LETTERS = b"ACGUTN"
CACHED = 1 << 20  # letters that are compared at a time, so that they stay in the processor's cache


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

    @classmethod
    def from_arrow(cls, column: pa.StringArray) -> "Ragged":
        """View the rows of a text column without copying letters; rows without value are empty."""
        _, offsets, values = column.buffers()
        if values is None or len(column) == 0:
            return cls(np.empty(0, np.uint8), np.zeros(len(column) + 1, np.int64))
        bounds = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
        return cls(np.frombuffer(values, np.uint8)[bounds[0] : bounds[-1]], bounds - bounds[0])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Rows' lengths, int64 (S,)."""
        return self.offsets[1:] - self.offsets[:-1]

    @cached_property
    def letter_counts(self) -> np.ndarray:
        """Count of each byte, int64 (256,)."""
        return letter_counts(self.values)

    @classmethod
    def from_slices(cls, text: bytes | np.ndarray, starts: np.ndarray, stops: np.ndarray) -> "Ragged":
        """Copy the rows text[starts[s]:stops[s]] of bytes; starts and stops int64 (S,), empty if stop < start."""
        view = memoryview(text)  # type: ignore[arg-type]  # arrays are buffers
        flat = b"".join([view[start:stop] for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)])
        return cls(np.frombuffer(flat, np.uint8), offsets_of(np.maximum(stops - starts, 0)))

    def slices(self) -> list[memoryview]:
        """Return the S rows, nothing copied."""
        flat = memoryview(self.values)  # type: ignore[arg-type]  # arrays are buffers
        return [flat[start:stop] for start, stop in pairwise(self.offsets.tolist())]

    def part(self, first: int, last: int) -> "Ragged":
        """Return rows first to last - 1, letters not copied."""
        start, stop = self.offsets[first], self.offsets[last]
        return Ragged(self.values[start:stop], self.offsets[first : last + 1] - start)

    def where(self, mask: np.ndarray) -> "Ragged":
        """Return the rows whose mask bool (S,) is True. Neighbors are copied together."""
        kept = self._copied(mask)
        if "letter_counts" in vars(self) and len(kept.values) > len(self.values) // 2:  # less to count in the others
            vars(kept)["letter_counts"] = self.letter_counts - self._copied(~mask).letter_counts
        return kept

    def _copied(self, mask: np.ndarray) -> "Ragged":
        padded = np.zeros(len(mask) + 2, bool)
        padded[1:-1] = mask
        bounds = self.offsets[np.flatnonzero(padded[1:] != padded[:-1])].tolist()
        view = memoryview(self.values)  # type: ignore[arg-type]  # arrays are buffers
        flat = b"".join([view[start:stop] for start, stop in zip(bounds[::2], bounds[1::2], strict=True)])
        return Ragged(np.frombuffer(flat, np.uint8), offsets_of(self.lengths[mask]))

    def rows(self) -> list[bytes]:
        """Return the S rows as byte strings (copies)."""
        flat = self.values.tobytes()
        bounds = self.offsets.tolist()
        return [flat[start:stop] for start, stop in pairwise(bounds)]


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Return int64 offsets (S+1,) of lengths (S,)."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def letter_counts(letters: np.ndarray) -> np.ndarray:
    """Count each byte in uint8 (n,): int64 (256,)."""
    counts = np.zeros(256, np.int64)
    # Comparing with the few common letters is many times faster than a histogram of all bytes.
    for start in range(0, len(letters), CACHED):
        part = letters[start : start + CACHED]
        found = np.zeros(256, np.int64)
        rest = len(part)
        for letter in COMMON_LETTERS:
            found[letter] = np.count_nonzero(part == letter)
            rest -= found[letter]
            if not rest:
                break
        counts += found if not rest else np.bincount(part, minlength=256)
    return counts
