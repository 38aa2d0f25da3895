"""Rearranging ragged arrays (values + offsets) without a loop over their rows."""

from __future__ import annotations

import numpy as np

from data_prep.corpus import Ragged
from data_prep.corpus.ragged import offsets_of


def slices(ragged: Ragged, start: np.ndarray, length: np.ndarray) -> Ragged:
    """Cut row i to ``length[i]`` values from ``start[i]`` on; start, length int64 (S,)."""
    return _gather(ragged.values, ragged.offsets[:-1] + start, length)


def take(ragged: Ragged, rows: np.ndarray) -> Ragged:
    """Return the given rows, int64 (S',), in that order."""
    return _gather(ragged.values, ragged.offsets[rows], np.diff(ragged.offsets)[rows])


def evenly(ragged: Ragged, most: int) -> Ragged:
    """At most so many rows, evenly taken."""
    if len(ragged) <= most:
        return ragged
    return take(ragged, np.linspace(0, len(ragged) - 1, most).astype(np.int64))


def concatenate(parts: list[Ragged]) -> Ragged:
    """Join the rows of several ragged arrays, one after another."""
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    return Ragged(np.concatenate([part.values for part in parts]), offsets_of(lengths))


def row_of_value(offsets: np.ndarray) -> np.ndarray:
    """Return the row of each value, int64 (N,), from offsets (S+1,)."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def _gather(values: np.ndarray, start: np.ndarray, length: np.ndarray) -> Ragged:
    offsets = offsets_of(length)
    index = np.repeat(start - offsets[:-1], length) + np.arange(offsets[-1])
    return Ragged(values[index], offsets)
