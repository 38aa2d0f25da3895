"""Intervals in four bytes each, and bases four to a byte, against plain arrays."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.corpus.bases import OTHER, ByteBases, PackedBases, pack
from data_prep.corpus.spans import BLOCK, Spans, runs

SIZE = 3 * BLOCK + 1000
RNG = np.random.default_rng(2)


def mask_of(kind):
    mask = np.zeros(SIZE, bool)
    if kind == "short":
        mask[RNG.integers(0, SIZE, 4000)] = True
    elif kind == "long":  # across blocks, and whole blocks
        for start, end in ((0, 10), (BLOCK - 5, BLOCK + 5), (BLOCK + 100, 3 * BLOCK + 7), (SIZE - 3, SIZE)):
            mask[start:end] = True
    elif kind == "all":
        mask[:] = True
    return mask


MASKS = {kind: mask_of(kind) for kind in ("none", "short", "long", "all")}
windows = st.lists(
    st.integers(0, SIZE).flatmap(lambda start: st.tuples(st.just(start), st.integers(0, min(SIZE - start, 150_000)))),
    max_size=4,
)


def plain(values, starts, lengths):
    return np.concatenate(
        [np.empty(0, values.dtype), *(values[a : a + n] for a, n in zip(starts, lengths, strict=True))]
    )


@given(kind=st.sampled_from(sorted(MASKS)), drawn=windows)
@settings(max_examples=60, deadline=None)
def test_windows_of_intervals_are_those_of_the_mask(kind, drawn):
    starts, lengths = (np.array([pair[i] for pair in drawn], np.int64) for i in (0, 1))
    found = np.zeros(lengths.sum(), bool)
    Spans.of(runs(MASKS[kind]), SIZE).paint(found, True, starts, lengths)
    assert found.tolist() == plain(MASKS[kind], starts, lengths).tolist()


def test_an_interval_takes_four_bytes():
    short = Spans.of(runs(MASKS["short"]), SIZE)
    assert short.within.nbytes == 4 * len(short.within)
    assert len(short.within) <= len(runs(MASKS["short"])) + SIZE // BLOCK
    assert short.first.nbytes == 4 * (SIZE // BLOCK + 2)


@given(drawn=windows, kind=st.sampled_from(sorted(MASKS)))
@settings(max_examples=60, deadline=None)
def test_four_bases_to_a_byte_read_like_one(drawn, kind):
    starts, lengths = (np.array([pair[i] for pair in drawn], np.int64) for i in (0, 1))
    codes = np.random.default_rng(1).integers(0, 4, SIZE).astype(np.uint8)
    codes[MASKS[kind]] = OTHER
    packed = pack(codes)
    assert packed.nbytes == -(-SIZE // 4)
    two_bit = PackedBases(packed, Spans.of(runs(codes == OTHER), SIZE))
    assert two_bit.read(starts, lengths).tolist() == plain(codes, starts, lengths).tolist()
    assert ByteBases(codes).read(starts, lengths).tolist() == plain(codes, starts, lengths).tolist()


@given(
    starts=st.lists(st.integers(0, SIZE - 77), min_size=1, max_size=5), width=st.sampled_from([1, 2, 3, 4, 5, 76, 77])
)
@settings(max_examples=60, deadline=None)
def test_windows_of_one_width_are_read_the_same_way_at_once(starts, width):
    starts, lengths = np.array([*starts, 0, SIZE - width]), np.full(len(starts) + 2, width)
    codes = np.random.default_rng(1).integers(0, 4, SIZE).astype(np.uint8)
    codes[MASKS["short"]] = OTHER
    two_bit = PackedBases(pack(codes), Spans.of(runs(codes == OTHER), SIZE))
    for bases in (two_bit, ByteBases(codes)):
        assert bases.read(starts, lengths).tolist() == plain(codes, starts, lengths).tolist()
