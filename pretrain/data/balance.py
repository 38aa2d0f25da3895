"""One member per cluster and epoch: samples of a corpus by cluster, and which of them an epoch takes."""

from __future__ import annotations

import numpy as np

from pretrain.rng import sample_keys


class Clusters:
    """Samples 0 ... S-1 by cluster.

    Args:
        codes: int64 (S,), the cluster of each sample; -1: in none, so that it is a cluster of its own.
        seed: names the order in which members take turns.
    """

    def __init__(self, codes: np.ndarray, seed: int):
        alone = codes < 0
        groups = np.where(alone, codes.max(initial=-1) + np.cumsum(alone), codes)  # numbers beyond all clusters
        order = np.argsort(groups, kind="stable")
        first = np.flatnonzero(np.diff(groups[order], prepend=-1))
        small = np.uint32 if len(codes) < 2**32 else np.int64
        self._order, self._first = order.astype(small), np.append(first, len(order)).astype(small)
        self._seed = seed
        self.size = len(first)
        self.index_bytes = self._order.nbytes + self._first.nbytes

    def members(self, cluster: np.ndarray, epoch: int) -> np.ndarray:
        """The sample that an epoch takes of clusters int64 (C,) -> int64 (C,).

        A cluster begins with some member and goes on with the next in every epoch, so that each is read once before
        any is read again. A function of seed, epoch and cluster alone.
        """
        first = self._first[cluster].astype(np.int64)
        count = self._first[cluster + 1].astype(np.int64) - first
        start = (sample_keys(self._seed, np.zeros_like(cluster), cluster) % count.astype(np.uint64)).astype(np.int64)
        return self._order[first + (start + epoch) % count].astype(np.int64)
