"""A random permutation that needs no memory: position -> sample index, computed for any position at once.

A shuffled index of 1e9 samples would cost 8 GB and minutes; resuming would need it again. A Feistel network over the
next power of four is a bijection by construction, and walking its cycles until the value falls below ``n`` restricts it
to [0, n) (Black and Rogaway 2002, "cycle walking"): at most four rounds on average, vectorized.
"""

from __future__ import annotations

import numpy as np

from pretrain.rng import derive_seed, mix

_ROUNDS = 6


class Permutation:
    """Permutation of [0, n) named by (seed, epoch)."""

    def __init__(self, n: int, seed: int, epoch: int):
        if n < 1:
            raise ValueError(f"cannot permute {n} samples")
        self.n = n
        self._half_bits = np.uint64(max(1, ((n - 1).bit_length() + 1) // 2))
        self._half_mask = np.uint64((1 << int(self._half_bits)) - 1)
        self._keys = [np.uint64(derive_seed("order", seed, epoch, round_)) for round_ in range(_ROUNDS)]

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """int64 (S,) positions in [0, n) -> int64 (S,) sample indices."""
        values = self._encrypt(positions.astype(np.uint64))
        outside = np.flatnonzero(values >= self.n)
        while outside.size:
            values[outside] = self._encrypt(values[outside])
            outside = outside[values[outside] >= self.n]
        return values.astype(np.int64)

    def _encrypt(self, values: np.ndarray) -> np.ndarray:
        left, right = values >> self._half_bits, values & self._half_mask
        with np.errstate(over="ignore"):
            for key in self._keys:
                left, right = right, left ^ (mix(right + key) & self._half_mask)
        return (left << self._half_bits) | right
