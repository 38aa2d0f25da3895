"""The endless order of samples: position -> (corpus, epoch, sample index), for any position at once.

Several corpora are interleaved by weight: each block of 1,024 positions holds a fixed quota of every corpus in a random
order named by (seed, block). So the number of samples of a corpus before a position is arithmetic, and finding a place
in the stream takes the same time at step 10 and at step 10 million.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pretrain.data.permutation import Permutation
from pretrain.rng import derive_seed

_BLOCK = 1024


@dataclass(frozen=True)
class Samples:
    """Where the samples of some stream positions come from, each int64 (S,)."""

    corpus: np.ndarray
    epoch: np.ndarray
    index: np.ndarray


class SampleStream:
    """Order of samples of one or more corpora.

    Args:
        sizes: samples per epoch of each corpus.
        weights: share of the samples of each corpus.
        seed: the run's seed.
    """

    def __init__(self, sizes: Sequence[int], weights: Sequence[float], seed: int):
        self.sizes = tuple(sizes)
        self.seed = seed
        self.quota = _quotas(weights)
        self._orders: OrderedDict[tuple[int, int], Permutation] = OrderedDict()

    def at(self, positions: np.ndarray) -> Samples:
        """Samples at stream positions int64 (S,)."""
        corpus, count = self._corpus_and_count(positions)
        sizes = np.array(self.sizes, np.int64)[corpus]
        epoch, within = np.divmod(count, sizes)
        index = np.empty_like(within)
        for c, e in {(int(c), int(e)) for c, e in zip(corpus, epoch, strict=True)}:
            rows = (corpus == c) & (epoch == e)
            index[rows] = self._order(c, e)(within[rows])
        return Samples(corpus, epoch, index)

    def _corpus_and_count(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which corpus a position belongs to, and how many samples of that corpus came before it."""
        if len(self.sizes) == 1:
            return np.zeros(len(positions), np.int64), positions.astype(np.int64)
        corpus = np.empty(len(positions), np.int64)
        count = np.empty(len(positions), np.int64)
        blocks, within = np.divmod(positions, _BLOCK)
        layout = np.repeat(np.arange(len(self.quota)), self.quota)
        for block in np.unique(blocks):
            order = np.random.Generator(
                np.random.Philox(key=derive_seed("mixture", self.seed, int(block)))
            ).permutation(layout)
            rank = np.empty(_BLOCK, np.int64)
            for c, quota in enumerate(self.quota):
                rank[order == c] = np.arange(quota)
            rows = blocks == block
            corpus[rows] = order[within[rows]]
            count[rows] = block * self.quota[corpus[rows]] + rank[within[rows]]
        return corpus, count

    def _order(self, corpus: int, epoch: int) -> Permutation:
        key = (corpus, epoch)
        if key not in self._orders:
            self._orders[key] = Permutation(self.sizes[corpus], derive_seed("corpus", self.seed, corpus), epoch)
            while len(self._orders) > 8:
                self._orders.popitem(last=False)
        return self._orders[key]


def _quotas(weights: Sequence[float]) -> np.ndarray:
    """Samples of each corpus per block, int64 (C,), largest remainders, at least one each."""
    share = np.asarray(weights, np.float64) / np.sum(weights) * _BLOCK
    quota = np.maximum(np.floor(share).astype(np.int64), 1)
    while quota.sum() != _BLOCK:
        step = 1 if quota.sum() < _BLOCK else -1
        gap = (share - quota) * step
        gap[(quota == 1) & (step < 0)] = -np.inf
        quota[int(np.argmax(gap))] += step
    return quota
