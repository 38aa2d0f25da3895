"""Spending a budget of tokens on units (spans, motifs): try candidates in order, take what is free and fits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pretrain.masking.selection import choose
from pretrain.rng import SampleRng
from pretrain.tokenizers.batch import TokenBatch

_STEPS = 8  # between two times of dropping what can no longer be taken


@dataclass(frozen=True)
class Candidates:
    """Units in the order in which they are tried: those of sequence s are ``offsets[s]:offsets[s + 1]``."""

    start: np.ndarray  # int64 (K,), flat token position
    shortest: np.ndarray  # int64 (K,): tokens it has at least
    longest: np.ndarray  # int64 (K,): tokens it has unless that exceeds the budget
    offsets: np.ndarray  # int64 (S+1,)


def take_within_budget(candidates: Candidates, budgets: np.ndarray, token_count: int) -> np.ndarray:
    """Take candidates of each sequence in order until its budget, int64 (S,), is spent.

    A candidate longer than the remaining budget is shortened, but not below its shortest length; it is skipped if it
    still does not fit or touches a token already taken (RNAErnie, recipes/rnaernie.md#masking). All sequences are
    processed in step; every few steps, candidates that were tried or can no longer be taken are dropped.

    Returns:
        bool (N,): taken tokens.
    """
    start, shortest, longest = candidates.start, candidates.shortest, candidates.longest
    offsets, left = candidates.offsets, budgets.copy()
    owner = np.repeat(np.arange(len(left)), np.diff(offsets))
    within = np.arange(longest.max(initial=0))[:, None]
    taken = np.zeros(token_count + len(within), bool)  # room for windows at the end
    running = np.zeros(token_count + 1, np.int32)
    while len(start):
        walking = np.flatnonzero(np.diff(offsets))
        first, last = offsets[walking], offsets[walking + 1] - 1
        unit = first + np.arange(min(_STEPS, (last - first).max() + 1))[:, None]  # (steps, sequences)
        beyond, unit = unit > last, np.minimum(unit, last)
        room = left[walking]
        least, most = np.where(beyond, token_count + 1, shortest[unit]), np.minimum(longest[unit], room)
        window = within[: most.max(initial=0)]
        for begin, low, high in zip(start[unit], least, most, strict=True):
            length = np.minimum(high, room)
            tokens, own = begin + window, window < length  # (window, sequences)
            fits = (length >= low) & ~(own & taken.take(tokens)).any(axis=0)
            taken[tokens[own & fits]] = True
            room -= length * fits
        left[walking] = room
        np.cumsum(taken[:token_count], out=running[1:])
        possible = (shortest <= left[owner]) & (running[start + shortest] == running[start])
        possible[unit] = False
        kept = np.flatnonzero(possible)
        start, shortest, longest, owner = start[kept], shortest[kept], longest[kept], owner[kept]
        offsets = np.searchsorted(owner, np.arange(len(left) + 1))
    return taken[:token_count]


def top_up_with_single_tokens(tokens: TokenBatch, taken: np.ndarray, budgets: np.ndarray, rng: SampleRng) -> np.ndarray:
    """Return the positions taken, plus single tokens chosen uniformly up to the budget; int64 (M,), ascending."""
    candidates = tokens.maskable & ~taken
    missing = np.minimum(budgets - tokens.per_sequence(taken), tokens.per_sequence(candidates))
    more = choose(tokens, candidates, missing, rng.token_bits("fill", tokens.offsets))
    filled = taken.copy()
    filled[more] = True
    return np.flatnonzero(filled)
