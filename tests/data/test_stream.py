"""The endless order of samples of one or several corpora."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrain.data.stream import SampleStream

BLOCK = 1024


def test_each_epoch_holds_every_sample_once():
    stream = SampleStream([37], [1.0], seed=5)
    samples = stream.at(np.arange(37 * 4))
    for epoch in range(4):
        rows = samples.epoch == epoch
        assert np.array_equal(np.flatnonzero(rows), np.arange(37 * epoch, 37 * (epoch + 1)))
        assert sorted(samples.index[rows].tolist()) == list(range(37))


@given(st.lists(st.integers(1, 300), min_size=1, max_size=4), st.data())
@settings(max_examples=20, deadline=None)
def test_a_position_has_one_sample_however_it_is_asked_for(sizes, data):
    weights = data.draw(st.lists(st.floats(0.01, 10), min_size=len(sizes), max_size=len(sizes)))
    positions = np.array(data.draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=12)))
    together = SampleStream(sizes, weights, 1).at(positions)
    for row in range(len(positions)):
        alone = SampleStream(sizes, weights, 1).at(positions[row : row + 1])
        for name in ("corpus", "epoch", "index"):
            assert getattr(alone, name)[0] == getattr(together, name)[row]


@given(st.lists(st.floats(1e-6, 1e3), min_size=2, max_size=5))
@settings(max_examples=40, deadline=None)
def test_every_block_keeps_the_weights(weights):
    stream = SampleStream([50] * len(weights), weights, 3)
    share = np.array(weights) / np.sum(weights)
    for block in (0, 1, 977):
        corpus = stream.at(np.arange(block * BLOCK, (block + 1) * BLOCK)).corpus
        counts = np.bincount(corpus, minlength=len(weights))
        assert counts.min() >= 1
        assert np.abs(counts - share * BLOCK).max() <= len(weights)


def test_a_mixture_reads_each_of_its_corpora_in_order_and_whole():
    sizes, stream = (11, 400), SampleStream([11, 400], [1.0, 3.0], 9)
    samples = stream.at(np.arange(6 * BLOCK))
    for number, size in enumerate(sizes):
        rows = samples.corpus == number
        within = np.arange(rows.sum())
        assert np.array_equal(samples.epoch[rows], within // size)
        index = samples.index[rows]
        for epoch in range(rows.sum() // size):
            assert sorted(index[epoch * size : (epoch + 1) * size].tolist()) == list(range(size))


def test_a_corpus_is_read_in_another_order_when_it_stands_elsewhere():
    both = SampleStream([60, 60], [1.0, 1.0], 9).at(np.arange(BLOCK))
    first, second = (both.index[both.corpus == number][:60] for number in (0, 1))
    assert (first == second).mean() < 0.2


def test_the_mixture_of_a_block_is_shuffled():
    corpus = SampleStream([60, 60], [1.0, 1.0], 9).at(np.arange(BLOCK)).corpus
    assert 400 < (np.diff(corpus) != 0).sum() < 620  # 511.5 +- 16 expected


@pytest.mark.parametrize("sizes", [[10**9], [10**9, 12_345]])
def test_a_far_position_costs_neither_time_nor_memory(sizes):
    stream = SampleStream(sizes, [1.0] * len(sizes), 4)
    stream.at(np.arange(3))
    tracemalloc.start()
    began = time.perf_counter()
    samples = stream.at(10**12 + np.arange(8))
    seconds = time.perf_counter() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 0.5
    assert peak < 1_000_000
    assert samples.epoch[samples.corpus == 0].min() >= 10**12 // len(sizes) // 10**9 - 1
