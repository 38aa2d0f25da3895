"""Reader of kinds `genome` and `allele_frequencies`: windows of genomes, assembled when asked for.

Kind `genome`: one folder per assembly, its contigs one after another, each from a multiple of four on.

    bases.npy        uint8   four bases per byte, or codes.npy with one: 0-3 = A, C, G, T; 4 = anything else
    other_*.npy      where letters other than A, C, G, T are (four to a byte only); `data_prep.corpus.spans`
    soft_mask_*.npy  where letters were lower case, if that was kept

Kind `allele_frequencies`: one folder per contig, with codes.npy and what differs from the reference:

    pos0.npy         int32 (V,)       0-based positions whose row is not the plain reference, ascending, unique
    row.npy          uint16|32 (V,)   which row of frequencies.npy such a position has
    frequencies.npy  float32 (K, 4)   distinct rows in A, C, G, T order, reference included, each sums to 1

Allele frequencies are counts over a fixed number of genomes, so few rows are distinct: 3.1 Gb + 10 M variants take
3.1 GB + 10 M x 6 bytes + the rows (recipes/mutbert.md#variants; upstream stores 104.8 GB). A split is one
array, int64 (K, 3), of half-open intervals: contig number, start, end; a window never leaves its interval.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_prep.corpus.bases import Bases, ByteBases, PackedBases
from data_prep.corpus.ragged import Ragged, offsets_of
from data_prep.corpus.spans import Spans
from data_prep.errors import DataPrepError

ARRAYS = {"codes": "codes.npy", "pos0": "pos0.npy", "row": "row.npy", "frequencies": "frequencies.npy"}
PACKED = "bases.npy"
CONTIGS = "contigs.npy"  # int64 (C, 3): assembly, first base in it, bases
NAMES = "contig_names.txt"
NO_ROWS = np.empty(0, np.int64)
SUM_TOLERANCE = 1e-3  # of a row of frequencies, which are float32


class Windows(NamedTuple):
    """A batch of windows of one width: base codes, and the sparse rows that are not the plain reference.

    Attributes:
        codes: uint8 (S, width), 0-3 = A, C, G, T, 4 = other.
        row, column: int64 (R,), places of the sparse rows, sorted by row then column.
        freq: float32 (R, 4) in A, C, G, T order, reference included, each sums to 1.
    """

    codes: NDArray[np.uint8]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    freq: NDArray[np.float32]


class Pieces(NamedTuple):
    """A batch of windows of any widths, like ``Windows`` but with ragged codes.

    Also the soft-masked bases, bool (L,), if asked for.
    """

    codes: Ragged
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    freq: NDArray[np.float32]
    soft_mask: NDArray[np.bool_] | None


class Variants(NamedTuple):
    """The memory-mapped rows of one contig (module docstring)."""

    pos0: NDArray[np.int32]
    row: NDArray[np.unsignedinteger]
    frequencies: NDArray[np.float32]

    def inside(
        self, starts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Return index into `starts` (R,), column (R,) and frequencies (R, 4) of the variants inside windows (S,)."""
        # In the type of pos0: another one would convert the whole table for each search.
        first, last = self.pos0.searchsorted(np.stack([starts, starts + lengths]).astype(np.int32))
        counts = last - first
        window = np.arange(len(starts)).repeat(counts)
        variant = np.arange(len(window)) + (last - counts.cumsum())[window]
        return window, self.pos0[variant] - starts[window], self.frequencies[self.row[variant]]


@dataclass(frozen=True)
class Store:
    """The open content of one folder."""

    bases: Bases
    variants: Variants | None
    soft_mask: Spans | None

    @classmethod
    def open(cls, folder: Path) -> "Store":
        """Map the arrays of a folder."""
        variants = None
        if (folder / ARRAYS["pos0"]).exists():
            variants = Variants(*(_map(folder / ARRAYS[name]) for name in Variants._fields))
        soft_mask = _spans(folder, "soft_mask") if (folder / "soft_mask_first.npy").exists() else None
        if (folder / PACKED).exists():
            return cls(PackedBases(_map(folder / PACKED), _spans(folder, "other")), variants, soft_mask)
        return cls(ByteBases(_map(folder / ARRAYS["codes"])), variants, soft_mask)


def _map(path: Path) -> NDArray[Any]:
    # A plain view of the map: the memmap class itself makes every small operation slower.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _spans(folder: Path, name: str) -> Spans:
    return Spans(_map(folder / f"{name}_first.npy"), _map(folder / f"{name}_within.npy"))


def open_split(folder: Path, manifest: dict[str, Any], split: str) -> "GenomeTable":
    """Open a split of kinds `genome` and `allele_frequencies`, for `Corpus.split`."""
    facts = manifest["splits"][split]
    intervals = np.load(folder / facts["intervals"], allow_pickle=False)
    if manifest["kind"] == "allele_frequencies":
        folders = [folder / contig["folder"] for contig in manifest["contigs"]]
        bases = np.array([contig["bases"] for contig in manifest["contigs"]], np.int64)
        return GenomeTable(folders, intervals, _one_folder_each(bases))
    assemblies = manifest["assemblies"]
    return GenomeTable(
        [folder / assembly["folder"] for assembly in assemblies],
        intervals,
        _map(folder / CONTIGS),
        {name: folder / file for name, file in facts.get("regions", {}).items()},
        np.array([assembly["weight"] for assembly in assemblies], np.float64),
        [assembly["name"] for assembly in assemblies],
    )


def _one_folder_each(bases: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.stack((np.arange(len(bases)), np.zeros(len(bases), np.int64), bases), 1)


class GenomeTable:
    """The intervals of one split, and their bases.

    Windows of one width start at every base of an interval except the last width - 1; numbered interval after interval,
    `window_count(width)` = sum over intervals of max(0, length - width + 1): the numbering replaces upstream's 23 GB
    table of starts.
    """

    def __init__(
        self,
        folders: list[Path],
        intervals: NDArray[np.int64],
        contigs: NDArray[np.int64] | None = None,
        regions: dict[str, Path] | None = None,
        weights: NDArray[np.float64] | None = None,
        names: list[str] | None = None,
    ) -> None:
        """`folders` of all stores; `intervals` (K, 3) of this split: contig number, start, end.

        contigs: int64 (C, 3), store, first base in it, bases; None: one store each. regions: further intervals of this
        split by name. weights, names: of the stores.
        """
        self._origin = (folders, intervals, contigs, regions, weights, names)
        self.contigs = _one_folder_each(np.full(len(folders), np.iinfo(np.int64).max)) if contigs is None else contigs
        self.intervals, self.regions = intervals, regions or {}
        self.weights = np.ones(len(folders)) if weights is None else weights
        self.names = names or [folder.name for folder in folders]
        self._opened: dict[int, Store] = {}
        self._ends_by_width: dict[int, NDArray[np.int64]] = {}

    def __reduce__(self) -> Any:
        # Workers that are spawned map the files themselves.
        return GenomeTable, self._origin

    @property
    def bases(self) -> int:
        """Bases in the intervals of this split."""
        return int((self.intervals[:, 2] - self.intervals[:, 1]).sum())

    @cached_property
    def has_soft_mask(self) -> bool:
        """Whether the case of the source was kept."""
        return all((folder / "soft_mask_first.npy").exists() for folder in self._origin[0])

    def region_intervals(self, name: str) -> NDArray[np.int64]:
        """Return the intervals (K, 3) of this split under a name; DataPrepError if there are none of that name."""
        if name not in self.regions:
            known = ", ".join(self.regions) or "none; see python -m data_prep genomes --help"
            raise DataPrepError(
                f"{self._origin[0][0].parent.parent}: no regions {name!r} in this split; it has {known}"
            )
        return np.load(self.regions[name], allow_pickle=False)

    def window_count(self, width: int) -> int:
        """Number of distinct windows of `width` bases."""
        ends = self._window_ends(width)
        return int(ends[-1]) if len(ends) else 0

    def locate(self, index: NDArray[np.int64], width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return contig number (S,) and 0-based start (S,) of windows numbered in [0, window_count(width)).

        Raises:
            IndexError: a number lies outside.
        """
        index = np.asarray(index, dtype=np.int64)
        ends = self._window_ends(width)
        if len(index) and (index.min() < 0 or index.max() >= self.window_count(width)):
            raise IndexError(f"window numbers run from 0 to {self.window_count(width) - 1} at width {width}")
        interval = np.searchsorted(ends, index, side="right")
        # Windows left in the interval, counted from its end: no second table of first window numbers is needed.
        start = self.intervals[interval, 2] - width + 1 - (ends[interval] - index)
        return self.intervals[interval, 0], start

    def gather(self, index: NDArray[np.int64], width: int) -> Windows:
        """Return the windows numbered `index` int64 (S,)."""
        contig, start = self.locate(index, width)
        pieces = self.read(contig, start, np.full(len(contig), width, np.int64))
        return Windows(pieces.codes.values.reshape(-1, width), pieces.row, pieces.column, pieces.freq)

    def read(
        self,
        contig: NDArray[np.int64],
        start: NDArray[np.int64],
        length: NDArray[np.int64],
        *,
        soft_mask: bool = False,
    ) -> Pieces:
        """Return windows [start, start + length) of contigs, int64 (S,) each, inside the contigs.

        Vectorized over the batch: the only loop is over the stores that the batch touches.
        """
        store, first = self.contigs[contig, 0], self.contigs[contig, 1] + start
        if len(store) and (store == store[0]).all():
            return self._read_store(int(store[0]), first, length, soft_mask)
        offsets = offsets_of(length)
        codes, masked = np.empty(offsets[-1], np.uint8), np.zeros(offsets[-1] if soft_mask else 0, bool)
        rows, columns, freqs = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty((0, 4), np.float32)]
        for number in np.unique(store).tolist():
            here = np.flatnonzero(store == number)
            part = self._read_store(number, first[here], length[here], soft_mask)
            places = _values_of(offsets, here)
            codes[places] = part.codes.values
            if part.soft_mask is not None:
                masked[places] = part.soft_mask
            rows.append(here[part.row])
            columns.append(part.column)
            freqs.append(part.freq)
        row, column, freq = np.concatenate(rows), np.concatenate(columns), np.concatenate(freqs)
        order = np.argsort(row, kind="stable")  # each part is sorted, and no window is in two
        return Pieces(Ragged(codes, offsets), row[order], column[order], freq[order], masked if soft_mask else None)

    def _read_store(self, number: int, first: NDArray[np.int64], length: NDArray[np.int64], soft_mask: bool) -> Pieces:
        """Windows of one store, by their first base in it."""
        store, masked = self._store(number), None
        codes = Ragged(store.bases.read(first, length), offsets_of(length))
        if soft_mask:
            masked = np.zeros(len(codes.values), bool)
            if store.soft_mask is not None:
                store.soft_mask.paint(masked, True, first, length)
        if store.variants is None:
            return Pieces(codes, NO_ROWS, NO_ROWS, np.empty((0, 4), np.float32), masked)
        return Pieces(codes, *store.variants.inside(first, length), masked)

    def check(self) -> None:
        """Raise DataPrepError if a row of frequencies is not a distribution (negative, NaN, or a sum other than 1)."""
        folders = self._origin[0]
        for number in np.unique(self.contigs[self.intervals[:, 0], 0]).tolist():
            variants = self._store(number).variants
            if variants is None:
                continue
            rows = variants.frequencies
            whole = (rows >= 0).all(axis=1) & (np.abs(rows.sum(axis=1, dtype=np.float64) - 1) <= SUM_TOLERANCE)
            if not whole.all():
                row = int(np.argmin(whole))
                raise DataPrepError(
                    f"{folders[number] / ARRAYS['frequencies']}: row {row} is {rows[row].tolist()}; the frequencies of "
                    f"A, C, G, T must be 0 or more and sum to 1 ({(~whole).sum():,} such rows); build the corpus again"
                )

    def _store(self, number: int) -> Store:
        if number not in self._opened:
            self._opened[number] = Store.open(self._origin[0][number])
        return self._opened[number]

    def _window_ends(self, width: int) -> NDArray[np.int64]:
        """Running number of windows after each interval, int64 (intervals,)."""
        if width < 1:
            raise ValueError(f"window width must be positive, not {width}")
        if width not in self._ends_by_width:
            lengths = self.intervals[:, 2] - self.intervals[:, 1]
            self._ends_by_width[width] = np.cumsum(np.maximum(lengths - width + 1, 0))
        return self._ends_by_width[width]


def _values_of(offsets: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Flat indices of some rows (S',), row after row."""
    lengths = offsets[rows + 1] - offsets[rows]
    return np.arange(lengths.sum()) + np.repeat(offsets[rows] - (np.cumsum(lengths) - lengths), lengths)
