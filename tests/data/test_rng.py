"""Random numbers belong to their sample: to nothing around it, and to nothing before it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrain.rng import SampleRng, derive_seed, sample_keys


def streams(index, epoch=0, seed=1) -> SampleRng:
    index = np.asarray(index, np.int64)
    return SampleRng(sample_keys(seed, np.full(len(index), epoch, np.int64), index))


def offsets_of(lengths) -> np.ndarray:
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 50)), min_size=1, max_size=20), st.data())
@settings(max_examples=50, deadline=None)
def test_a_sample_draws_the_same_alone_as_among_others(samples, data):
    index, lengths = zip(*samples, strict=True)
    rng, offsets = streams(index), offsets_of(lengths)
    words, values = rng.token_bits("mask", offsets), rng.uniform("crop")
    row = data.draw(st.integers(0, len(samples) - 1))
    alone = streams(index[row : row + 1])
    assert alone.uniform("crop")[0] == values[row]
    own = words[offsets[row] : offsets[row + 1]]
    assert np.array_equal(alone.token_bits("mask", offsets_of(lengths[row : row + 1])), own)
    longer = alone.token_bits("mask", offsets_of([lengths[row] + 7]))
    assert np.array_equal(longer[: lengths[row]], own)  # the length of the sample does not matter either


@pytest.mark.parametrize("change", [{"epoch": 1}, {"seed": 2}])
def test_epochs_and_seeds_draw_anew(change):
    assert not np.intersect1d(streams(range(500)).bits("x"), streams(range(500), **change).bits("x")).size


def test_purposes_draw_anew_and_repeat_themselves():
    rng = streams(range(300))
    assert np.array_equal(rng.bits("x"), rng.bits("x"))
    assert not np.intersect1d(rng.bits("x"), rng.bits("y")).size


def test_words_of_many_samples_and_tokens_are_all_different():
    words = streams(range(2000)).token_bits("mask", offsets_of([100] * 2000))
    assert len(np.unique(words)) == 200_000


def test_uniform_numbers_are_uniform_and_unrelated():
    count, length = 4000, 50
    values = streams(range(count)).token_uniform("mask", offsets_of([length] * count)).reshape(count, length)
    assert values.min() >= 0
    assert values.max() < 1
    counts = np.histogram(values, 64, (0, 1))[0]
    assert ((counts - values.size / 64) ** 2 / (values.size / 64)).sum() < 115  # chi-squared, 63 d.f., p = 1e-4
    tokens = np.corrcoef(values, rowvar=False) - np.eye(length)
    neighbors = np.corrcoef(values[:-1].ravel(), values[1:].ravel())[0, 1]
    assert np.abs(tokens).max() < 5.5 / count**0.5
    assert abs(neighbors) < 4.5 / values.size**0.5


def test_generators_are_those_of_their_sample():
    draws = streams([4, 9]).generator(1, "motif").integers(0, 10**9, 5)
    assert np.array_equal(draws, streams([9]).generator(0, "motif").integers(0, 10**9, 5))
    assert not np.array_equal(draws, streams([9]).generator(0, "span").integers(0, 10**9, 5))


def test_derived_seeds_depend_on_every_part_and_their_order():
    parts = [(), (0,), (1,), (0, 1), (1, 0), ("a", 1), (1, "a"), ("b", 1), (2**40,)]
    seeds = [derive_seed(*part) for part in parts]
    assert len(set(seeds)) == len(parts)
    assert all(0 <= seed < 2**63 for seed in seeds)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**40), st.integers(0, 2**62))
@settings(max_examples=50, deadline=None)
def test_one_key_is_computed_like_many(seed, epoch, index):
    many = sample_keys(seed, np.array([epoch]), np.array([index]))
    assert derive_seed(seed, epoch, index) == int(many[0]) >> 1


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.data())
@settings(max_examples=50, deadline=None)
def test_words_at_some_tokens_are_those_of_all_tokens(lengths, data):
    rng, offsets = streams(range(len(lengths))), offsets_of(lengths)
    tokens = np.array(sorted(data.draw(st.sets(st.integers(0, max(offsets[-1] - 1, 0))))), np.int64)
    tokens = tokens[tokens < offsets[-1]]
    sample = np.searchsorted(offsets, tokens, side="right") - 1
    assert np.array_equal(rng.bits_at("x", offsets, tokens, sample), rng.token_bits("x", offsets)[tokens])
