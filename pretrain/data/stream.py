"""The endless order of samples: position -> (corpus, epoch, sample index), for any position at once.

Several corpora are interleaved by weight: each block of 1,024 positions holds a fixed quota of every corpus in a random
order named by (seed, block). So the number of samples of a corpus before a position is arithmetic, and finding a place
in the stream takes the same time at step 10 and at step 10 million.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from pretrain.data.balance import Clusters
from pretrain.data.permutation import Permutation
from pretrain.rng import derive_seed

_BLOCK = 1024
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True)
class Samples:
    """Origin of the samples at some stream positions, each int64 (S,)."""

    corpus: np.ndarray
    epoch: np.ndarray
    index: np.ndarray


class SampleStream:
    """Order of samples of one or more corpora.

    Args:
        sizes: samples of each corpus.
        weights: share of the samples of each corpus.
        seed: the run's seed.
        clusters: of each corpus that is read by cluster: an epoch has one sample of each of them; None: of each sample.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float],
        seed: int,
        clusters: Sequence[Clusters | None] | None = None,
    ):
        self.clusters = tuple(clusters or [None] * len(sizes))
        self.sizes = tuple(c.size if c else size for size, c in zip(sizes, self.clusters, strict=True))
        self.seed = seed
        self.quota = _quotas(weights)
        self._orders: OrderedDict[tuple[int, int], Permutation] = OrderedDict()
        self._blocks: OrderedDict[int, Samples] = OrderedDict()

    def next_epoch(self, position: int) -> int:
        """The first position from ``position`` on where an epoch begins.

        The corpora of a mixture have epochs of their own: there it is the position itself.
        """
        return position if len(self.sizes) > 1 else -(-position // self.sizes[0]) * self.sizes[0]

    def epochs(self, position: int) -> float:
        """How often the first corpus has been read up to a position."""
        return position * float(self.quota[0] / self.quota.sum()) / self.sizes[0]

    def at(self, positions: np.ndarray) -> Samples:
        """Return the samples at stream positions int64 (S,)."""
        blocks, within = np.divmod(positions, _BLOCK)
        corpus, epoch, index = np.empty((3, len(positions)), np.int64)
        for number in np.unique(blocks).tolist():
            block = _remembered(self._blocks, number, self._block)
            rows = blocks == number
            chosen = within[rows]
            corpus[rows], epoch[rows], index[rows] = block.corpus[chosen], block.epoch[chosen], block.index[chosen]
        return Samples(corpus, epoch, index)

    def _block(self, block: int) -> Samples:
        """The samples of a whole block: neighbors are wanted next, and many cost hardly more than a few."""
        if len(self.sizes) == 1:
            corpus = np.zeros(_BLOCK, np.int64)
            count = block * _BLOCK + np.arange(_BLOCK)
        else:
            layout = np.repeat(np.arange(len(self.quota)), self.quota)
            seed = derive_seed("mixture", self.seed, block)
            corpus = np.random.Generator(np.random.Philox(key=seed)).permutation(layout)
            count = np.empty(_BLOCK, np.int64)
            for number, quota in enumerate(self.quota.tolist()):
                count[corpus == number] = block * quota + np.arange(quota)
        epoch, within = np.divmod(count, np.array(self.sizes, np.int64)[corpus])
        index = np.empty_like(within)
        for c, e in set(zip(corpus.tolist(), epoch.tolist(), strict=True)):
            rows = (corpus == c) & (epoch == e)
            place, clusters = _remembered(self._orders, (c, e), self._order)(within[rows]), self.clusters[c]
            index[rows] = place if clusters is None else clusters.members(place, e)
        return Samples(corpus, epoch, index)

    def _order(self, corpus_and_epoch: tuple[int, int]) -> Permutation:
        corpus, epoch = corpus_and_epoch
        return Permutation(self.sizes[corpus], derive_seed("corpus", self.seed, corpus), epoch)


def _remembered(memory: OrderedDict[Key, Value], key: Key, make: Callable[[Key], Value]) -> Value:
    """What was made for a key, now or before; the last few are kept. Threads may ask at the same time."""
    value = memory.get(key)
    if value is None:
        value = memory[key] = make(key)
        while len(memory) > 8:
            memory.popitem(last=False)
    return value


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
