"""Sequences too long for a model: cut into windows, whose states are averaged."""

from __future__ import annotations

import numpy as np

from data_prep.corpus import Ragged
from pretrain.data.ragged import slices, take


def windows_of(sequences: Ragged, longest: int) -> tuple[Ragged, np.ndarray]:
    """Cut sequences into windows side by side, as few as cover each, of nearly equal length.

    Args:
        sequences: S rows.
        longest: nucleotides of the longest window.

    Returns:
        W windows in the order of the sequences, and the row of each, int64 (W,).
    """
    lengths = sequences.lengths
    count = np.maximum(-(-lengths // longest), 1)
    row = np.repeat(np.arange(len(lengths)), count)
    number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    start = lengths[row] * number // count[row]
    stop = lengths[row] * (number + 1) // count[row]
    return slices(take(sequences, row), start, stop - start), row


def mean_of_windows(values: np.ndarray, windows: Ragged, row: np.ndarray) -> np.ndarray:
    """Average values of windows (W, D) by sequence (S, D), each window by its share of the nucleotides."""
    if row[-1] + 1 == len(row):
        return values
    lengths = windows.lengths.astype(np.float64)
    weight = (lengths / np.bincount(row, lengths)[row])[:, None].astype(values.dtype)
    first = np.flatnonzero(np.diff(row, prepend=-1))
    return np.add.reduceat(values * weight, first, axis=0)
