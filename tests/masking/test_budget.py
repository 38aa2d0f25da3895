"""Whole batches at once choose and walk as one sequence after another would, token by token."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrain.masking.budget import Candidates, take_within_budget
from pretrain.masking.selection import choose
from pretrain.tokenizers.batch import TokenBatch

quick = settings(max_examples=60, deadline=None)


def offsets_of(lengths):
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)


def walk_plainly(candidates, budgets, token_count):
    """The definition: candidate by candidate."""
    taken = np.zeros(token_count, bool)
    for s, left in enumerate(budgets.tolist()):
        for unit in range(candidates.offsets[s], candidates.offsets[s + 1]):
            start, length = candidates.start[unit], min(candidates.longest[unit], left)
            if length >= candidates.shortest[unit] and not taken[start : start + length].any():
                taken[start : start + length] = True
                left -= length
    return taken


@quick
@given(
    lengths=st.lists(st.integers(1, 60), max_size=12),
    per_sequence=st.integers(0, 40),
    most=st.integers(1, 12),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_candidates_are_walked_as_one_after_another(lengths, per_sequence, most, share, seed):
    random, offsets = np.random.default_rng(seed), offsets_of(lengths)
    count = random.integers(0, per_sequence + 1, len(lengths))
    place = np.concatenate([random.integers(0, t, n) for t, n in zip(lengths, count, strict=True)] or [[]]).astype(int)
    room = np.repeat(lengths, count).astype(int) - place
    longest = np.minimum(random.integers(1, most + 1, len(place)), room)
    shortest = np.maximum(longest - random.integers(0, 3, len(place)), 1)
    candidates = Candidates(np.repeat(offsets[:-1], count) + place, shortest, longest, offsets_of(count))
    budgets = np.floor(share * np.array(lengths)).astype(np.int64)
    expected = walk_plainly(candidates, budgets, offsets[-1])
    assert np.array_equal(take_within_budget(candidates, budgets, int(offsets[-1])), expected)


def choose_plainly(offsets, candidates, counts, priority):
    """The definition: sort every sequence, by the upper 24 bits and then by place."""
    chosen = []
    for s, count in enumerate(counts.tolist()):
        own = [n for n in range(offsets[s], offsets[s + 1]) if candidates[n]]
        chosen += sorted(own, key=lambda n: int(priority[n]) >> 40)[:count]
    return sorted(chosen)


@quick
@given(
    lengths=st.lists(st.integers(0, 200), max_size=8),
    share=st.floats(0, 1),
    of_candidates=st.sampled_from([0.1, 0.9, 1.0]),
    shift=st.sampled_from([0, 22, 24, 40]),  # priorities that are small, many or all equal, in the upper half only:
    upper=st.booleans(),  # far from uniform
    seed=st.integers(0, 2**32 - 1),
)
def test_the_lowest_priorities_are_chosen(lengths, share, of_candidates, shift, upper, seed):
    random, offsets = np.random.default_rng(seed), offsets_of(lengths)
    candidates = random.random(offsets[-1]) < of_candidates
    tokens = TokenBatch(np.zeros(offsets[-1], np.int32), offsets, candidates)
    counts = np.floor(share * tokens.per_sequence(candidates)).astype(np.int64)
    priority = random.integers(0, 2**64, offsets[-1], np.uint64) >> np.uint64(shift) | np.uint64(upper) << np.uint64(63)
    assert choose(tokens, candidates, counts, priority).tolist() == choose_plainly(
        offsets, candidates, counts, priority
    )
