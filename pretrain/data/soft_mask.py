"""Soft-masked nucleotides, lower case in the source: stored as intervals, read as weights or as letters again."""

from __future__ import annotations

import numpy as np

from data_prep.corpus import Ragged
from pretrain.data.ragged import slices
from pretrain.tokenizers.batch import ragged_arange

_BOUNDS = np.dtype("<u4")


def masked_letters(bounds: Ragged, lengths: np.ndarray) -> np.ndarray:
    """Tell which nucleotides are soft-masked, bool (L,).

    Args:
        bounds: S rows of bytes, each uint32 pairs start, end in a sequence.
        lengths: int64 (S,), nucleotides of the sequences.
    """
    pairs = np.frombuffer(bounds.values.tobytes(), _BOUNDS).reshape(-1, 2).astype(np.int64)
    first = np.cumsum(lengths) - lengths
    start = pairs[:, 0] + np.repeat(first, np.diff(bounds.offsets) // (2 * _BOUNDS.itemsize))
    masked = np.zeros(int(lengths.sum()), bool)
    masked[ragged_arange(start, pairs[:, 1] - pairs[:, 0])] = True
    return masked


def cut(masked: np.ndarray, lengths: np.ndarray, start: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Cut the mask along with sequences reduced to ``kept`` nucleotides from ``start`` on, int64 (S,) each."""
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return slices(Ragged(masked, offsets), start, kept).values


def weights_of(masked: np.ndarray, weight: float) -> np.ndarray:
    """Return ``weight`` for soft-masked nucleotides and 1 for others, float32 (L,)."""
    return np.where(masked, np.float32(weight), np.float32(1))


def lower_case(letters: np.ndarray, masked: np.ndarray) -> np.ndarray:
    """Return upper-case letters uint8 (L,) with the masked ones in lower case, as they were in the source."""
    return letters | masked.astype(np.uint8) << 5
