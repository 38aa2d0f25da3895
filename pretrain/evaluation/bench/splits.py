"""Splits that are drawn where a source has none: rows that belong together stay together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from data_prep.corpus import Ragged
from pretrain.data.ragged import row_of_value

WORD = 25  # letters: sequences that share a stretch of this length are relatives, or overlap


def relatives(sequences: Ragged, word: int = WORD) -> np.ndarray:
    """Group number of each sequence, int64 (S,): those that share a word of letters, directly or through others.

    Sequences shorter than a word stand with equal ones only.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    codes = sequences.values.astype(np.uint64)
    count = max(len(codes) - word + 1, 0)
    number = np.zeros(count, np.uint64)
    for j in range(word):
        number = number * np.uint64(0x100000001B3) + codes[j : j + count]  # wraps: a hash of the word
    row = row_of_value(sequences.offsets)
    whole = row[:count] == row[word - 1 : word - 1 + count]
    words = np.unique(number[whole], return_inverse=True)[1]
    total = len(sequences)
    size = int(words.max(initial=-1)) + 1
    ones = np.ones(len(words), np.int8)
    graph = coo_matrix((ones, (row[:count][whole], total + words)), shape=(total + size, total + size))
    by_word = connected_components(graph, directed=False)[1][:total]
    equal = same(list(sequences.rows()))
    first = np.full(int(equal.max(initial=-1)) + 1, total, np.int64)
    np.minimum.at(first, equal, np.arange(total))
    return by_word[first[equal]]


def same(keys: Sequence[Hashable]) -> np.ndarray:
    """Group number of each row, int64 (S,): rows with equal keys."""
    place: dict[Hashable, int] = {}
    return np.array([place.setdefault(key, len(place)) for key in keys], np.int64)


def draw(groups: np.ndarray, shares: dict[str, float], seed: int) -> dict[str, np.ndarray]:
    """Draw the rows (sorted) of ``train`` and of each named split, whole groups only.

    Args:
        groups: int64 (S,) group of each row.
        shares: split -> share of the rows, reached as nearly as whole groups allow.
        seed: equal seeds give equal splits.
    """
    number = np.unique(groups, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(number.max() + 1)
    size = np.bincount(number)[order]
    middle = (np.cumsum(size) - size / 2) / len(groups)
    bounds = np.cumsum(list(shares.values()))
    split_of_group = np.empty(len(order), np.int64)
    split_of_group[order] = np.searchsorted(bounds, middle, side="right")
    names = [*shares, "train"]
    return {name: np.flatnonzero(split_of_group[number] == place) for place, name in enumerate(names)}
