"""Features of sequences without a model: counts of k-mers."""

from __future__ import annotations

import numpy as np

from data_prep.corpus import Ragged
from pretrain.data.ragged import row_of_value

_CODE = np.full(256, 4, np.uint8)
for _number, _pair in enumerate(("Aa", "Cc", "Gg", "UuTt")):
    for _letter in _pair:
        _CODE[ord(_letter)] = _number


def kmer_shares(sequences: Ragged, k: int) -> np.ndarray:
    """Return the share of each k-mer in a sequence, float32 (S, 4^k); k-mers with other letters do not count."""
    counts = _counted(sequences, k)
    return (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).astype(np.float32)


def kmer_counts(sequences: Ragged, k: int) -> np.ndarray:
    """Count each k-mer of the four letters, float32 (S, 4^k); unlike shares, counts depend on the length."""
    return _counted(sequences, k).astype(np.float32)


def _counted(sequences: Ragged, k: int) -> np.ndarray:
    codes = _CODE[sequences.values].astype(np.int64)
    count = max(len(codes) - k + 1, 0)
    number, whole = np.zeros(count, np.int64), np.ones(count, bool)
    for j in range(k):
        number = number * 4 + np.minimum(codes[j : j + count], 3)
        whole &= codes[j : j + count] < 4
    row = row_of_value(sequences.offsets)
    whole &= row[:count] == row[k - 1 : k - 1 + count]  # inside one sequence
    cells = row[:count][whole] * 4**k + number[whole]
    return np.bincount(cells, minlength=len(sequences) * 4**k).reshape(len(sequences), 4**k)


def letters_at_ends(sequences: Ragged, reach: int) -> np.ndarray:
    """One-hot encode the first and last ``reach`` letters, counted from each end: float32 (S, 8 reach)."""
    codes, lengths = _CODE[sequences.values], sequences.lengths
    place = np.arange(reach)
    ends = []
    for at in (
        sequences.offsets[:-1, None] + place,
        sequences.offsets[1:, None] - 1 - place,
    ):
        code = codes[np.clip(at, 0, max(len(codes) - 1, 0))]
        code[place >= lengths[:, None]] = 4
        ends.append(code[..., None] == np.arange(4))  # (S, reach, 4)
    return np.concatenate(ends, axis=1).reshape(len(sequences), -1).astype(np.float32)
