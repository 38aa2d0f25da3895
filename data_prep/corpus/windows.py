"""Reader of kind `allele_frequencies`: fixed-width windows of a genome, assembled when asked for.

One folder per contig holds four memory-mapped arrays:

    codes.npy        uint8 (bases,)   0-3 = A, C, G, T; 4 = anything else
    pos0.npy         int32 (V,)       0-based positions whose row is not the plain reference, ascending, unique
    row.npy          uint16|32 (V,)   which row of frequencies.npy such a position has
    frequencies.npy  float32 (K, 4)   distinct rows in A, C, G, T order, reference included, each sums to 1

Allele frequencies are counts over a fixed number of genomes, so few rows are distinct: 3.1 Gb + 10 M variants take
3.1 GB + 10 M x 6 bytes + the rows (recipes/mutbert.md#variants; upstream stores 104.8 GB). What belongs to a split is
one array, int64 (K, 3), of half-open intervals: contig number, start, end. A window never leaves its interval.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import DataPrepError

ARRAYS = {"codes": "codes.npy", "pos0": "pos0.npy", "row": "row.npy", "frequencies": "frequencies.npy"}
SUM_TOLERANCE = 1e-3  # of a row of frequencies, which are float32
COMPLEMENT_CODE = np.array([3, 2, 1, 0, 4], dtype=np.uint8)


class Windows(NamedTuple):
    """A batch of windows: base codes, and the sparse rows that are not the plain reference.

    codes uint8 (S, width), 0-3 = A, C, G, T, 4 = other; row int64 (R,) and column int64 (R,), sorted by row then
    column; freq float32 (R, 4) in A, C, G, T order, reference included, each sums to 1.
    """

    codes: NDArray[np.uint8]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    freq: NDArray[np.float32]


class Contig(NamedTuple):
    """The memory-mapped arrays of one contig (module docstring)."""

    codes: NDArray[np.uint8]
    pos0: NDArray[np.int32]
    row: NDArray[np.unsignedinteger]
    frequencies: NDArray[np.float32]

    @classmethod
    def open(cls, folder: Path) -> "Contig":
        # Plain views of the maps: the memmap class itself makes every small operation slower.
        return cls(*(np.asarray(np.load(folder / ARRAYS[name], mmap_mode="r")) for name in cls._fields))

    def window_codes(self, starts: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
        """(S, width) codes, one contiguous copy per window: every window is a row of one overlapping view."""
        view = np.ndarray((len(self.codes) - width + 1, width), np.uint8, self.codes, strides=(1, 1))
        return view[starts]

    def variants(
        self, starts: NDArray[np.int64], width: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Index into `starts` (R,), column (R,) and frequencies (R, 4) of the variants inside the windows."""
        # In the type of pos0: another one would convert the whole table for each search.
        first, last = self.pos0.searchsorted(np.stack([starts, starts + width]).astype(np.int32))
        counts = last - first
        window = np.arange(len(starts)).repeat(counts)
        variant = np.arange(len(window)) + (last - counts.cumsum())[window]
        return window, self.pos0[variant] - starts[window], self.frequencies[self.row[variant]]


def open_split(folder: Path, manifest: dict[str, Any], split: str) -> "WindowTable":
    """What `Corpus.split` calls for kind `allele_frequencies`."""
    folders = [folder / contig["folder"] for contig in manifest["contigs"]]
    return WindowTable(folders, np.load(folder / manifest["splits"][split]["intervals"], allow_pickle=False))


class WindowTable:
    """All windows of one split, numbered interval after interval; any width up to the longest interval.

    Windows start at every base of an interval except the last width - 1, so `window_count(width)` = sum over intervals
    of max(0, length - width + 1): the numbering replaces upstream's 23 GB table of starts.
    """

    def __init__(self, folders: list[Path], intervals: NDArray[np.int64]) -> None:
        """`folders` of all contigs; `intervals` (K, 3) of this split: contig number, start, end."""
        self._origin = (folders, intervals)
        self._contig, self._start, self._end = intervals.T
        self._mapped: dict[int, Contig] = {}
        self._ends_by_width: dict[int, NDArray[np.int64]] = {}

    def __reduce__(self) -> Any:
        # Workers that are spawned map the files themselves.
        return WindowTable, self._origin

    @property
    def bases(self) -> int:
        """Bases in the intervals of this split."""
        return int((self._end - self._start).sum())

    def window_count(self, width: int) -> int:
        """Number of distinct windows of `width` bases."""
        ends = self._window_ends(width)
        return int(ends[-1]) if len(ends) else 0

    def locate(self, index: NDArray[np.int64], width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Contig number (S,) and 0-based start (S,) of windows numbered in [0, window_count(width)).

        IndexError if a number lies outside.
        """
        index = np.asarray(index, dtype=np.int64)
        ends = self._window_ends(width)
        if len(index) and (index.min() < 0 or index.max() >= self.window_count(width)):
            raise IndexError(f"window numbers run from 0 to {self.window_count(width) - 1} at width {width}")
        interval = np.searchsorted(ends, index, side="right")
        # Windows left in the interval, counted from its end: no second table of first window numbers is needed.
        start = self._end[interval] - width + 1 - (ends[interval] - index)
        return self._contig[interval], start

    def gather(self, index: NDArray[np.int64], width: int, reverse: NDArray[np.bool_] | None = None) -> Windows:
        """Windows numbered `index` int64 (S,); those with `reverse` bool (S,) set are read on the other strand.

        Vectorised over the batch: the only loop is over the contigs that the batch touches.
        """
        contig, start = self.locate(index, width)
        codes = np.empty((len(contig), width), dtype=np.uint8)
        rows, columns, freqs = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty((0, 4), np.float32)]
        for number in np.unique(contig).tolist():
            here = np.flatnonzero(contig == number)
            arrays = self._contig_arrays(number)
            codes[here] = arrays.window_codes(start[here], width)
            window, column, freq = arrays.variants(start[here], width)
            rows.append(here[window])
            columns.append(column)
            freqs.append(freq)
        row, column, freq = np.concatenate(rows), np.concatenate(columns), np.concatenate(freqs)
        if reverse is not None and reverse.any():
            codes[reverse] = COMPLEMENT_CODE[codes[reverse, ::-1]]
            turned = reverse[row]
            column = np.where(turned, width - 1 - column, column)
            freq[turned] = freq[turned, ::-1]  # A, C, G, T backwards is T, G, C, A: the complement
        order = np.lexsort((column, row))
        return Windows(codes, row[order], column[order], freq[order])

    def check(self) -> None:
        """DataPrepError if a row of frequencies is no distribution (negative, NaN, or a sum other than 1)."""
        folders, _ = self._origin
        for number in np.unique(self._contig).tolist():
            rows = self._contig_arrays(number).frequencies
            whole = (rows >= 0).all(axis=1) & (np.abs(rows.sum(axis=1, dtype=np.float64) - 1) <= SUM_TOLERANCE)
            if not whole.all():
                row = int(np.argmin(whole))
                raise DataPrepError(
                    f"{folders[number] / ARRAYS['frequencies']}: row {row} is {rows[row].tolist()}; the frequencies of "
                    f"A, C, G, T must be 0 or more and sum to 1 ({(~whole).sum():,} such rows); build the corpus again"
                )

    def _contig_arrays(self, number: int) -> Contig:
        if number not in self._mapped:
            self._mapped[number] = Contig.open(self._origin[0][number])
        return self._mapped[number]

    def _window_ends(self, width: int) -> NDArray[np.int64]:
        """Running number of windows after each interval, int64 (intervals,)."""
        if width < 1:
            raise ValueError(f"window width must be positive, not {width}")
        if width not in self._ends_by_width:
            self._ends_by_width[width] = np.cumsum(np.maximum(self._end - self._start - width + 1, 0))
        return self._ends_by_width[width]
