"""Spending a budget of tokens on units (spans, motifs): walk a list of candidates, take what is free and fits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pretrain.masking.selection import choose
from pretrain.rng import SampleRng
from pretrain.tokenizers.batch import TokenBatch, spans

_STEPS_BETWEEN_PRUNING = 16


@dataclass(frozen=True)
class Candidates:
    """Units in walking order: those of sequence s are ``offsets[s]:offsets[s + 1]``."""

    start: np.ndarray  # int64 (K,), flat token position
    shortest: np.ndarray  # int64 (K,): tokens it has at least
    longest: np.ndarray  # int64 (K,): tokens it has unless that exceeds the budget
    offsets: np.ndarray  # int64 (S+1,)


def walk(candidates: Candidates, budgets: np.ndarray, token_count: int) -> np.ndarray:
    """Take candidates of each sequence in order until its budget, int64 (S,), is spent.

    A candidate longer than the budget left is shortened, but not below its shortest length; it is skipped if it still
    does not fit or touches a token already taken (RNAErnie, spec rnaernie.md, sections c.2 and c.3). All sequences walk
    in step; every few steps, candidates that can never be taken any more are dropped from the lists.

    Returns:
        bool (N,): taken tokens.
    """
    start, shortest, longest = candidates.start, candidates.shortest, candidates.longest
    taken = np.zeros(token_count, bool)
    left = budgets.copy()
    pointer, end = candidates.offsets[:-1].copy(), candidates.offsets[1:].copy()
    walking = np.flatnonzero((pointer < end) & (left > 0))
    while len(walking):
        for _ in range(_STEPS_BETWEEN_PRUNING):
            unit = pointer[walking]
            length = np.minimum(longest[unit], left[walking])
            fits = length >= shortest[unit]
            owner, first, length = walking[fits], start[unit[fits]], length[fits]
            free = ~_any_taken(taken, first, length)
            owner, first, length = owner[free], first[free], length[free]
            taken[spans(first, length)] = True
            left[owner] -= length
            pointer[walking] += 1
            walking = walking[(pointer[walking] < end[walking]) & (left[walking] > 0)]
            if not len(walking):
                return taken
        count = end[walking] - pointer[walking]
        ahead = spans(pointer[walking], count)
        owner = np.repeat(walking, count)
        kept = (shortest[ahead] <= left[owner]) & ~_starts_taken(taken, start[ahead], shortest[ahead])
        start, shortest, longest = start[ahead[kept]], shortest[ahead[kept]], longest[ahead[kept]]
        end = np.cumsum(np.bincount(owner[kept], minlength=len(budgets)))
        pointer = np.concatenate(([0], end[:-1]))
        walking = walking[pointer[walking] < end[walking]]
    return taken


def fill(tokens: TokenBatch, taken: np.ndarray, budgets: np.ndarray, rng: SampleRng) -> np.ndarray:
    """Positions taken, plus single tokens chosen uniformly up to the budget; int64 (M,), ascending."""
    candidates = tokens.maskable & ~taken
    missing = np.minimum(budgets - tokens.per_sequence(taken), tokens.per_sequence(candidates))
    more = choose(tokens, candidates, missing, rng.token_bits("fill", tokens.offsets))
    filled = taken.copy()
    filled[more] = True
    return np.flatnonzero(filled)


def _any_taken(taken: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Which units, bool (K,), have a taken token; every length is at least 1."""
    if len(start) == 0:
        return np.zeros(0, bool)
    return np.logical_or.reduceat(taken[spans(start, length)], np.cumsum(length) - length)


def _starts_taken(taken: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The same for many units at once, by one running count over the batch."""
    running = np.zeros(len(taken) + 1, np.int32)
    np.cumsum(taken, out=running[1:])
    return running[start + length] > running[start]
