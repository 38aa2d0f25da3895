"""Made-up sequences, for measuring where no corpus is at hand."""

from __future__ import annotations

import numpy as np

# Non-coding RNA: half of the nRC test set is shorter than 121 nt, 5 % longer than 370
MEDIAN_NT, SIGMA, SHORTEST_NT, LONGEST_NT = 121, 0.55, 39, 1022


def draw_lengths(count: int, length: int | None = None, seed: int = 0) -> np.ndarray:
    """Draw int32 (count,): all ``length``, or log-normal like non-coding RNA."""
    if length is not None:
        return np.full(count, length, np.int32)
    logs = np.random.default_rng(seed).normal(np.log(MEDIAN_NT), SIGMA, count)
    return np.clip(np.exp(logs), SHORTEST_NT, LONGEST_NT).astype(np.int32)


def random_letters(count: int, seed: int = 1) -> bytes:
    """Draw ``count`` letters of A, C, G, U."""
    return np.random.default_rng(seed).choice(np.frombuffer(b"ACGU", np.uint8), count).tobytes()
