"""Number and choice of positions in each sequence: the count rules, and choosing n of T for a whole batch at once."""

from __future__ import annotations

import numpy as np

from pretrain.masking.settings import CountRule
from pretrain.tokenizers.batch import TokenBatch, ragged_arange

_PRIORITY_BITS = 24  # of a random word that decide; equal ones (1 pair in 16 million) go as they come


def position_counts(rule: CountRule, rate: float, candidates: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Return how many positions to select in each sequence, int64 (S,), at most all candidates.

    Args:
        rule: ``floor_plus_uniform`` floor(rate * T + u) (fairseq, ERNIE-RNA); ``round`` halves to even, at least 1
            (RNAErnie); ``ceil`` (UTR-LM); ``floor`` (MutBERT).
        rate: wanted share.
        candidates: positions that may be selected, (S,).
        uniform: one number in [0, 1) per sequence, (S,).
    """
    expected = rate * candidates
    if rule == "floor_plus_uniform":
        counts = np.floor(expected + uniform)
    elif rule == "round":
        counts = np.maximum(np.rint(expected), 1)
    elif rule == "ceil":
        counts = np.ceil(expected)
    else:
        counts = np.floor(expected)
    return np.minimum(counts.astype(np.int64), candidates)


def shuffled(sequence: np.ndarray, priority: np.ndarray) -> np.ndarray:
    """Order K items by sequence, then by priority, then as they come.

    Sorted digit by digit: numpy's stable sort of 16-bit numbers is a radix sort, twice as fast as one of whole words.

    Args:
        sequence: int64 (K,), sequence of the batch that an item belongs to.
        priority: uint64 (K,); its upper 24 bits decide.

    Returns:
        int64 (K,): indices in that order.
    """
    key = _priority(priority) | sequence.astype(np.uint64) << np.uint64(_PRIORITY_BITS)
    digits = key.astype("<u8", copy=False).view("<u2").reshape(-1, 4)
    order = np.argsort(digits[:, 0], kind="stable")
    for digit in range(1, -(-int(key.max(initial=0)).bit_length() // 16)):
        order = order[np.argsort(digits[order, digit], kind="stable")]
    return order


def choose(tokens: TokenBatch, candidates: np.ndarray, counts: np.ndarray, priority: np.ndarray) -> np.ndarray:
    """Choose exactly ``counts[s]`` candidates of each sequence, those of lowest priority.

    Args:
        tokens: the batch.
        candidates: bool (N,).
        counts: int64 (S,), at most the candidates of each sequence.
        priority: uint64 (N,); random for a uniform choice.

    Returns:
        int64 (M,), ascending flat positions.
    """
    available = tokens.per_sequence(candidates)
    # Sort only what lies below a bound that leaves enough, four standard deviations more than wanted if the priorities
    # are uniform; where that is too few, all.
    ample = np.where(counts, counts + 4 * np.sqrt(counts) + 4, 0)
    bound = np.ceil(ample / np.maximum(available, 1) * 2**_PRIORITY_BITS).astype(np.uint64)
    likely = candidates & (_priority(priority) < np.repeat(bound, tokens.lengths))
    found = tokens.per_sequence(likely)
    if (found < counts).any():
        likely |= candidates & np.repeat(found < counts, tokens.lengths)
        found = tokens.per_sequence(likely)
    where = np.flatnonzero(likely)
    order = where[shuffled(tokens.sequence[where], priority[where])]
    chosen = np.zeros(len(candidates), bool)
    chosen[order[ragged_arange(np.cumsum(found) - found, counts)]] = True
    return np.flatnonzero(chosen)


def _priority(words: np.ndarray) -> np.ndarray:
    return words >> np.uint64(64 - _PRIORITY_BITS)
