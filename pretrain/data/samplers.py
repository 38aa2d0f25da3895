"""Sampling of windows of a genome: sample number -> contig, start, length. Nothing is stored.

The length of a sample depends only on its number, so that a plan knows it without reading; its place may also depend
on the sample's own random stream, which differs from epoch to epoch.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from data_prep.corpus.genome import GenomeTable
from pretrain.rng import SampleRng, mix

Place = tuple[np.ndarray, np.ndarray, np.ndarray]  # contig, start and length of each sample, int64 (S,)


class Sampler(Protocol):
    """Samples of one split of one genome corpus."""

    size: int  # samples per epoch

    def lengths(self, index: np.ndarray) -> np.ndarray:
        """Return the nucleotides of samples int64 (S,): int64 (S,)."""

    def draw(self, index: np.ndarray, rng: SampleRng) -> Place:
        """Return the places of samples int64 (S,)."""


class Uniform:
    """Windows of one width, each window of the split equally likely; an epoch is about one pass over the genome."""

    def __init__(self, table: GenomeTable, width: int):
        self._table, self._width = table, width
        self._starts = table.window_count(width)
        self._share = _Shares(table, table.intervals, np.maximum(_lengths(table.intervals) - width + 1, 0), 1 / width)
        self.size = self._share.size

    def lengths(self, index: np.ndarray) -> np.ndarray:
        """Return the width for every sample, int64 (S,)."""
        return np.full(len(index), self._width, np.int64)

    def draw(self, index: np.ndarray, rng: SampleRng) -> Place:
        """Draw a place for each sample, uniformly over the windows of the split."""
        first, count, _ = self._share.of(index)
        number = first + np.minimum((rng.uniform("window") * count).astype(np.int64), count - 1)
        return *self._table.locate(number, self._width), self.lengths(index)


class Tiles:
    """Windows one behind the other through each interval.

    Args:
        table: the genome.
        intervals: int64 (K, 3), contig, start, end.
        width: bases of a tile.
        step: bases from one tile to the next.
        shortest: also take the rest at the end of an interval if it has so many bases; None: whole tiles only.
        read: bases that are read of each tile, from its start on.
        slack: start up to so many bases later, at random.
    """

    def __init__(
        self,
        table: GenomeTable,
        intervals: np.ndarray,
        width: int,
        step: int,
        shortest: int | None = None,
        read: int | None = None,
        slack: int = 0,
    ):
        self._intervals, self._width, self._step = intervals, width, step
        self._read, self._slack = min(read or width, width - slack), slack
        lengths = _lengths(intervals)
        if shortest is None:
            counts = np.maximum((lengths - width) // step + 1, 0)
        else:
            counts = np.maximum((lengths - min(shortest, width)) // step + 1, 0)
        self._ends = np.cumsum(counts)
        self._share = _Shares(table, intervals, counts)
        self.size = self._share.size

    def lengths(self, index: np.ndarray) -> np.ndarray:
        """Return the bases that are read of each tile, int64 (S,)."""
        _, begin, end = self._tile(index)
        return np.minimum(end - begin, self._read)

    def draw(self, index: np.ndarray, rng: SampleRng) -> Place:
        """Return the place of each tile, shifted at random if ``slack`` is set."""
        contig, begin, end = self._tile(index)
        length = np.minimum(end - begin, self._read)
        if self._slack:
            room = np.minimum(end - begin - length, self._slack)
            begin = begin + np.floor(rng.uniform("window") * (room + 1)).astype(np.int64)
        return contig, begin, length

    def _tile(self, index: np.ndarray) -> Place:
        """Contig, beginning and end of the tiles of samples."""
        first, count, number = self._share.of(index)
        tile = first + np.minimum(number, count - 1)
        interval = np.searchsorted(self._ends, tile, side="right")
        before = np.concatenate(([0], self._ends))[interval]
        contig, start, end = self._intervals[interval].T
        begin = start + (tile - before) * self._step
        return contig, begin, np.minimum(begin + self._width, end)


class CutAndSample:
    """The windows of DNABERT's corpus.

    Every other sample is a piece of one width, cut one behind the other (the rest at the end of an interval is
    shorter); the others have any length from ``shortest`` to that width, anywhere in intervals of at least that width.
    """

    def __init__(self, table: GenomeTable, width: int, shortest: int):
        self._width, self._shortest = width, min(shortest, width)
        self._cut = Tiles(table, table.intervals, width, width, self._shortest)
        self._homes = table.intervals[_lengths(table.intervals) >= width]  # where a window of any length fits
        self._ends = np.cumsum(_lengths(self._homes))
        self.size = 2 * self._cut.size if len(self._homes) else 0

    def lengths(self, index: np.ndarray) -> np.ndarray:
        """Return the bases of each sample, int64 (S,), from its number alone."""
        return np.where(index % 2 == 0, self._cut.lengths(index // 2), self._sampled_length(index))

    def draw(self, index: np.ndarray, rng: SampleRng) -> Place:
        """Return the place of each piece, and draw one for each sample of random length."""
        contig, begin, length = self._cut.draw(index // 2, rng)
        sampled = np.flatnonzero(index % 2)
        base = np.floor(rng.uniform("window")[sampled] * self._ends[-1]).astype(np.int64)
        interval = np.searchsorted(self._ends, base, side="right")
        own_contig, _, end = self._homes[interval].T
        wanted = self._sampled_length(index[sampled])
        contig[sampled] = own_contig
        # one that would reach beyond its interval ends there
        begin[sampled] = np.minimum(end - (self._ends[interval] - base), end - wanted)
        length[sampled] = wanted
        return contig, begin, length

    def _sampled_length(self, index: np.ndarray) -> np.ndarray:
        bits = mix(index.astype(np.uint64)) >> np.uint64(11)
        return self._shortest + np.floor(bits * 2.0**-53 * (self._width - self._shortest + 1)).astype(np.int64)


class Around:
    """One window per interval (HyenaDNA).

    An interval shorter than ``width`` is extended to both sides, not beyond its contig. Of a window longer than
    ``read`` the first bases are taken, always the same ones, or others each time.
    """

    def __init__(self, table: GenomeTable, intervals: np.ndarray, width: int, read: int, random_start: bool):
        extra = np.maximum(width - _lengths(intervals), 0)
        contig, start, end = intervals.T
        self._contig = contig
        self._begin = np.maximum(start - extra // 2, 0)
        self._end = np.minimum(end + extra - extra // 2, table.contigs[contig, 2])
        self._width, self._random = min(width, read), random_start
        self._share = _Shares(table, intervals, np.ones(len(intervals), np.int64))
        self.size = self._share.size

    def lengths(self, index: np.ndarray) -> np.ndarray:
        """Return the bases that are read of each interval, int64 (S,)."""
        row = self._row(index)
        return np.minimum(self._end[row] - self._begin[row], self._width)

    def draw(self, index: np.ndarray, rng: SampleRng) -> Place:
        """Return the place of each window; drawn anew per epoch if ``corpus.sampling`` says so."""
        row = self._row(index)
        begin, length = self._begin[row], np.minimum(self._end[row] - self._begin[row], self._width)
        if self._random:
            room = self._end[row] - begin - length
            begin = begin + np.floor(rng.uniform("window") * (room + 1)).astype(np.int64)
        return self._contig[row], begin, length

    def _row(self, index: np.ndarray) -> np.ndarray:
        first, count, number = self._share.of(index)
        return first + np.minimum(number, count - 1)


class _Shares:
    """Sample numbers divided among assemblies in proportion to their number of units, times their weight.

    Args:
        table: the genome.
        intervals: int64 (K, 3), by assembly.
        counts: int64 (K,), units of each interval; numbered interval after interval.
        rate: samples per unit of an assembly of weight 1. A weight above 1 takes units more than once an epoch, one
            below 1 only some of them, evenly spaced.
    """

    def __init__(self, table: GenomeTable, intervals: np.ndarray, counts: np.ndarray, rate: float = 1.0):
        store = table.contigs[intervals[:, 0], 0]
        weights = table.weights
        if (weights == 1).all():
            store, weights = np.zeros_like(store), np.ones(1)
        things = np.bincount(store, weights=counts, minlength=len(weights)).astype(np.int64)
        samples = np.ceil(np.round(things * rate * weights, 6)).astype(np.int64)
        self._count, self._speed = things, weights if rate == 1.0 else np.ones(len(weights))
        self._first = np.concatenate(([0], np.cumsum(things)))
        self._end = np.cumsum(samples)
        self.size = int(self._end[-1]) if len(samples) else 0

    def of(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First unit and number of units of each sample's assembly, and its own number there, int64 (S,) each."""
        if len(self._end) == 1:
            count = np.full(len(index), self._count[0])
            return np.zeros(len(index), np.int64), count, np.asarray(index, np.int64)
        assembly = np.searchsorted(self._end, index, side="right")
        within = index - np.concatenate(([0], self._end))[assembly]
        number = np.floor(within / self._speed[assembly]).astype(np.int64)
        return self._first[assembly], self._count[assembly], number


def _lengths(intervals: np.ndarray) -> np.ndarray:
    return intervals[:, 2] - intervals[:, 1]
