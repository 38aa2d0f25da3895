"""The order of an epoch: a permutation that needs no memory and no beginning."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrain.data.permutation import Permutation

seeds = st.integers(0, 2**63 - 1)


@given(st.integers(1, 3000), seeds, st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_every_sample_comes_once_per_epoch(n, seed, epoch):
    order = Permutation(n, seed, epoch)(np.arange(n))
    assert np.array_equal(np.sort(order), np.arange(n))


@given(st.integers(2**40, 2**50), seeds, st.lists(st.integers(0, 2**40 - 1), min_size=1, max_size=50, unique=True))
@settings(max_examples=40, deadline=None)
def test_positions_of_huge_corpora_stay_inside_and_apart(n, seed, positions):
    index = Permutation(n, seed, 0)(np.array(positions))
    assert index.min() >= 0
    assert index.max() < n
    assert len(set(index.tolist())) == len(positions)


@given(st.integers(1, 10**12), seeds, st.data())
@settings(max_examples=40, deadline=None)
def test_a_position_gives_the_same_sample_alone_and_among_others(n, seed, data):
    positions = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=2, max_size=20)))
    together = Permutation(n, seed, 3)(positions)
    alone = [int(Permutation(n, seed, 3)(positions[i : i + 1])[0]) for i in range(len(positions))]
    assert together.tolist() == alone


def test_epochs_and_seeds_have_unlike_orders():
    n = 5000
    orders = [Permutation(n, seed, epoch)(np.arange(n)) for seed in (0, 1) for epoch in (0, 1)]
    for i, first in enumerate(orders):
        assert abs(np.corrcoef(first, np.arange(n))[0, 1]) < 0.06
        for second in orders[:i]:
            assert (first == second).mean() < 0.005
            assert abs(np.corrcoef(first, second)[0, 1]) < 0.06


def test_neighbors_are_spread_evenly():
    n, chosen = 4096, 64
    counts = np.zeros(16)
    for epoch in range(400):
        counts += np.bincount(Permutation(n, 7, epoch)(np.arange(chosen)) * 16 // n, minlength=16)
    expected = counts.sum() / 16
    assert ((counts - expected) ** 2 / expected).sum() < 45  # chi-squared with 15 degrees of freedom, p = 1e-4


def test_the_place_does_not_cost_time():
    order = Permutation(10**13, 0, 0)
    began = time.perf_counter()
    order(10**12 + np.arange(1000))
    assert time.perf_counter() - began < 0.5


@pytest.mark.parametrize("n", [0, -1])
def test_nothing_cannot_be_permuted(n):
    with pytest.raises(ValueError, match="cannot permute"):
        Permutation(n, 0, 0)
