"""Cutting the stream into micro-batches and steps."""

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrain.batches.plan import Bounds, Plan, Span, cut, share_of_rank

bounds = st.builds(
    Bounds,
    tokens=st.one_of(st.none(), st.integers(40, 400)),
    sequences=st.integers(1, 9),
    pair_cells=st.one_of(st.none(), st.integers(1600, 9000)),
)


def made_up_lengths(positions: np.ndarray) -> np.ndarray:
    """Tokens of each stream position: between 3 and 40, fixed."""
    return 3 + (positions * 2654435761 % 2**32 // 1000) % 38


def first_steps(limits: Bounds, micro_batches: int, count: int, position: int = 0) -> list[list[Span]]:
    return list(islice(Plan(made_up_lengths, limits, micro_batches).steps(position), count))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=200), bounds)
@settings(max_examples=100, deadline=None)
def test_micro_batches_are_full_and_never_over_their_bounds(lengths, limits):
    lengths = np.array(lengths)
    cuts = cut(lengths, limits)
    assert sum(cuts) == len(lengths)

    def fits(part: np.ndarray) -> bool:
        costs = ((part.sum(), limits.tokens), ((part**2).sum(), limits.pair_cells), (len(part), limits.sequences))
        return all(bound is None or cost <= bound for cost, bound in costs)

    edges = np.concatenate(([0], np.cumsum(cuts)))
    for start, stop in pairwise(edges):
        assert fits(lengths[start:stop])
        assert stop == len(lengths) or not fits(lengths[start : stop + 1])


def test_a_sample_beyond_a_bound_is_alone():
    assert cut(np.array([5, 500, 5, 5]), Bounds(tokens=100)) == [1, 1, 2]


@given(bounds, st.integers(1, 7), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_a_plan_goes_on_from_the_end_of_any_step_as_if_never_stopped(limits, micro_batches, stop):
    whole = first_steps(limits, micro_batches, 60)
    rest = first_steps(limits, micro_batches, 60 - stop, position=whole[stop - 1][-1].stop)
    assert rest == whole[stop:]


def test_steps_cover_the_stream_without_gap_or_overlap():
    spans = [span for step in first_steps(Bounds(tokens=300), 4, 200) for span in step]
    assert spans[0].start == 0
    assert all(first.stop == second.start for first, second in pairwise(spans))


def test_a_far_place_gives_the_same_spans_as_counting_from_there():
    far = 10**12
    spans = [span for step in first_steps(Bounds(tokens=300), 4, 5, position=far) for span in step]
    lengths = made_up_lengths(np.arange(far, far + 500))
    assert [span.stop - span.start for span in spans] == cut(lengths, Bounds(tokens=300))[: len(spans)]


def test_long_micro_batches_are_found_whole():
    """More samples than the plan looks ahead at once."""
    (step,) = islice(Plan(made_up_lengths, Bounds(sequences=5000), 2).steps(0), 1)
    assert step == [Span(0, 5000), Span(5000, 10000)]


@given(bounds, st.integers(1, 4), st.integers(1, 300))
@settings(max_examples=50, deadline=None)
def test_an_evaluation_ends_with_its_last_sample(limits, micro_batches, end):
    steps = list(Plan(made_up_lengths, limits, micro_batches, end=end).steps(0))
    spans = [span for step in steps for span in step]
    assert [spans[0].start, spans[-1].stop] == [0, end]
    assert all(first.stop == second.start for first, second in pairwise(spans))
    assert all(len(step) == micro_batches for step in steps[:-1])
    assert [span.stop - span.start for span in spans] == cut(made_up_lengths(np.arange(end)), limits)


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
@pytest.mark.parametrize("filled", [1, 4, 7])
def test_ranks_share_a_step_and_take_equally_many_turns(world_size, filled):
    spans = [Span(i, i + 1) for i in range(filled)]
    shares = [share_of_rank(spans, rank, world_size, 7) for rank in range(world_size)]
    assert {len(share) for share in shares} == {-(-7 // world_size)}
    dealt = [share[turn] for turn in range(len(shares[0])) for share in shares]
    assert [span for span in dealt if span is not None] == spans
