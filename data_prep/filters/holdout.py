"""The choice of held-out sequences: a function of their key only, so that duplicates never straddle splits."""

import hashlib
from collections.abc import Sequence

import numpy as np


def is_held_out(keys: Sequence[bytes], fraction: float) -> np.ndarray:
    """Return True for about `fraction` of the keys (8 or 16 uniform bytes each), the same ones in every run.

    A larger fraction holds out a superset. The result is bool (S,).
    """
    return words_held_out(words_of(keys), fraction)


def words_held_out(words: np.ndarray, fraction: float) -> np.ndarray:
    """Return ``is_held_out`` of keys given by their first eight bytes, uint64 (S,): bool (S,)."""
    return (words >> np.uint64(11)).astype(np.float64) / 2.0**53 < fraction  # 53 bits are exact in float64


def words_of(keys: Sequence[bytes]) -> np.ndarray:
    """Return the first eight bytes of keys (8 or 16 bytes each), uint64 (S,)."""
    words = np.frombuffer(b"".join(keys), ">u8").reshape(len(keys), -1)[:, 0] if len(keys) else np.empty(0)
    return words.astype(np.uint64)


def text_keys(texts: Sequence[str]) -> list[bytes]:
    """Return uniform keys for names (clusters, genes)."""
    return [hashlib.sha256(text.encode()).digest()[:16] for text in texts]
