"""How many positions of each sequence, and which: the count rules, and choosing n of T for a whole batch at once."""

from __future__ import annotations

import numpy as np

from pretrain.masking.settings import CountRule
from pretrain.tokenizers.batch import TokenBatch, spans

# A sort key holds sequence | priority | place in the sequence. Equal priorities (1 pair in 16 million) go by place, so
# the order never depends on the neighbours in the batch.
_PRIORITY_BITS, _PLACE_BITS = np.uint64(24), np.uint64(21)
_MOST_SEQUENCES, _MOST_PLACES = 1 << 19, 1 << 21


def position_counts(rule: CountRule, rate: float, candidates: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """How many positions to select in each sequence, int64 (S,), at most all candidates.

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


def shuffled(sequence: np.ndarray, places: np.ndarray, priority: np.ndarray) -> np.ndarray:
    """Places sorted by sequence, then by priority.

    Args:
        sequence: int64 (K,), which sequence of the batch a place belongs to.
        places: int64 (K,), numbers that differ within a sequence.
        priority: uint64 (K,); its upper 24 bits decide.

    Returns:
        int64 (K,): the places in walking order.
    """
    if len(places) and (int(sequence.max()) >= _MOST_SEQUENCES or int(places.max()) >= _MOST_PLACES):
        raise ValueError(f"a micro-batch is limited to {_MOST_SEQUENCES} sequences with {_MOST_PLACES} places to mask")
    key = sequence.astype(np.uint64) << (_PRIORITY_BITS + _PLACE_BITS)
    key |= (priority >> (np.uint64(64) - _PRIORITY_BITS)) << _PLACE_BITS
    key |= places.astype(np.uint64)
    key.sort(kind="stable")
    return (key & np.uint64(_MOST_PLACES - 1)).astype(np.int64)


def choose(tokens: TokenBatch, candidates: np.ndarray, counts: np.ndarray, priority: np.ndarray) -> np.ndarray:
    """Exactly ``counts[s]`` candidates of each sequence, those of lowest priority.

    Args:
        candidates: bool (N,).
        counts: int64 (S,), at most the candidates of each sequence.
        priority: uint64 (N,); random for a uniform choice.

    Returns:
        int64 (M,), ascending flat positions.
    """
    where = np.flatnonzero(candidates)
    available = tokens.per_sequence(candidates)
    sequence = np.repeat(np.arange(len(available)), available)
    order = shuffled(sequence, where - tokens.offsets[sequence], priority[where])
    first = np.cumsum(available) - available
    chosen = order[spans(first, counts)] + np.repeat(tokens.offsets[:-1], counts)
    chosen.sort()
    return chosen
