"""What a probe can see of sequences without a model: counts of k-mers."""

from __future__ import annotations

import numpy as np

from data_prep.corpus import Ragged
from pretrain.data.ragged import row_of_value

_CODE = np.full(256, 4, np.uint8)
for _number, _pair in enumerate(("Aa", "Cc", "Gg", "UuTt")):
    for _letter in _pair:
        _CODE[ord(_letter)] = _number


def kmer_shares(sequences: Ragged, k: int) -> np.ndarray:
    """float32 (S, 4^k): share of each k-mer among the k-mers of a sequence; those with other letters do not count."""
    codes = _CODE[sequences.values].astype(np.int64)
    count = max(len(codes) - k + 1, 0)
    number, whole = np.zeros(count, np.int64), np.ones(count, bool)
    for j in range(k):
        number = number * 4 + np.minimum(codes[j : j + count], 3)
        whole &= codes[j : j + count] < 4
    row = row_of_value(sequences.offsets)
    whole &= row[:count] == row[k - 1 : k - 1 + count]  # inside one sequence
    cells = row[:count][whole] * 4**k + number[whole]
    counts = np.bincount(cells, minlength=len(sequences) * 4**k).reshape(len(sequences), 4**k)
    return (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).astype(np.float32)
