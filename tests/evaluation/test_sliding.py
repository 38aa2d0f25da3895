"""Windows over long sequences: every nucleotide counts once, and a sequence that fits gives what it gives alone."""

import numpy as np
import pytest
import torch

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError
from pretrain.evaluation.causal import likelihoods
from pretrain.evaluation.embeddings import embed
from pretrain.evaluation.masked_queries import encode_rows, nucleotide_query
from pretrain.evaluation.passes import log_probabilities, pack
from pretrain.evaluation.pseudo_perplexity import pseudo_likelihoods
from pretrain.evaluation.sliding import sliding_windows
from tests.evaluation.support import tiny

SHORT = ["GATTACAGGCTTAC", "ACGTACGTACGTACGTACGTAA"]


def sequence(length: int, seed: int = 1) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGU"), length))


def ragged(*rows: str) -> Ragged:
    return Ragged.from_rows([row.encode() for row in rows])


@pytest.mark.parametrize("owner", ["middle", "first"])
@pytest.mark.parametrize(("name", "width", "step"), [
    ("ernie_rna", None, None), ("ernie_rna", 20, 7), ("ernie_rna", 20, 20), ("utrbert_3mer", 30, 13),
    ("dnabert_6mer", None, None),
])  # fmt: skip
def test_every_nucleotide_belongs_to_one_window_that_shows_it(name, width, step, owner):
    model, rows = tiny(name), [sequence(n) for n in (6, 20, 61, 62, 63, 100, 213)]
    windows = sliding_windows(model, ragged(*rows), width, step, owner)
    seen = {number: [] for number in range(len(rows))}
    start = np.zeros(len(rows), int)
    for letters, row, first, stop in zip(
        windows.sequences.rows(), windows.row.tolist(), windows.first.tolist(), windows.stop.tolist(), strict=True
    ):
        assert 0 <= first < stop <= len(letters)
        seen[row].append(letters.decode()[first:stop])
        start[row] += stop - first
    assert ["".join(parts) for parts in seen.values()] == rows


@pytest.mark.parametrize("pool", ["mean", "cls", "token"])
def test_what_fits_is_embedded_as_without_windows(pool):
    model, ids = tiny("utrbert_3mer"), ["a", "b"]
    plain = embed(model, ids, ragged(*SHORT), pool)
    slid = embed(model, ids, sliding_windows(model, ragged(*SHORT)), pool)
    np.testing.assert_allclose(slid.values, plain.values, atol=1e-6)


@pytest.mark.parametrize(("name", "width", "step", "k"), [("ernie_rna", 30, 15, 1), ("utrbert_3mer", 30, 11, 3)])
def test_a_long_sequence_is_embedded_letter_by_letter_from_the_windows_that_own_them(name, width, step, k):
    model, rows = tiny(name), [sequence(95), sequence(12, 2)]
    windows = sliding_windows(model, ragged(*rows), width, step)
    found = embed(model, ["long", "short"], windows, "token")
    assert np.diff(found.offsets).tolist() == [95 - k + 1, 12 - k + 1]
    expected = []
    for letters, first, stop in zip(
        windows.sequences.rows(), windows.first.tolist(), windows.stop.tolist(), strict=True
    ):
        ids = model.tokenizer.encode(Ragged.from_rows([letters])).ids
        with torch.no_grad():
            states = model.network.encoder(pack(model, ids, [len(ids)])).hidden.numpy()[1:-1]
        expected.append(states[first:stop])
    np.testing.assert_allclose(found.values, np.concatenate(expected), atol=1e-5)
    means = embed(model, ["long", "short"], windows, "mean")
    bounds = found.offsets
    for row in range(2):
        np.testing.assert_allclose(means.values[row], found.values[bounds[row] : bounds[row + 1]].mean(0), atol=1e-5)


def test_pseudo_likelihood_hides_each_letter_in_the_window_that_owns_it():
    model, row = tiny("ernie_rna"), sequence(80)
    windows = sliding_windows(model, ragged(row), 30, 12)
    (found,) = pseudo_likelihoods(model, windows)
    expected, starts = 0.0, [min(12 * n, 50) for n in range(6)]
    for n, start in enumerate(starts):
        first = 0 if n == 0 else (starts[n - 1] + 30 + start) // 2
        stop = 80 if n == 5 else (start + 30 + starts[n + 1]) // 2
        (ids,) = encode_rows(model.tokenizer, ragged(row[start : start + 30]))
        for place in range(first - start, stop - start):
            query = nucleotide_query(model.tokenizer, ids, place)
            expected += float(next(log_probabilities(model, [query]))[ids[query.read]])
    assert found.nucleotides == 80
    assert found.log_likelihood == pytest.approx(expected, abs=1e-3)


def test_a_causal_model_counts_each_token_once_given_what_stands_before_it_in_its_window():
    model = tiny("helm_clm")
    row = sequence(99)
    windows = sliding_windows(model, ragged(row), 30, 12, "first")
    (found,) = likelihoods(model, windows)
    expected = tokens = 0
    covered = 0
    for start in [*range(0, 69, 12), 69]:
        encoded = model.tokenizer.encode(ragged(row[start : start + 30]))
        ids = encoded.ids.astype(np.int64)
        with torch.no_grad():
            logits = model.network.logits(model.network.encoder(pack(model, ids, [len(ids)])).hidden)
        logs = logits.log_softmax(-1).numpy()
        for place in range(1, len(ids)):
            begins = int(encoded.nucleotide[place])
            if begins < 0:  # a special token: the one at the end of the sequence counts
                counts = place == len(ids) - 1 and start == 69
            else:
                counts = start + begins >= covered
            if counts:
                expected, tokens = expected + float(logs[place - 1, ids[place]]), tokens + 1
        covered = start + 30
    assert (found.nucleotides, found.tokens) == (99, tokens)
    assert found.log_likelihood == pytest.approx(expected, abs=1e-3)


def test_windows_that_would_lose_tokens_or_do_not_fit_are_refused():
    model = tiny("dnabert_6mer")
    with pytest.raises(PolymeraseError, match=r"steps of 25 nt skip tokens .* expected at most 20"):
        sliding_windows(model, ragged(sequence(90)), 30, 25)
    with pytest.raises(PolymeraseError, match="window of 500 nt: the model reads 6 to 67 nt"):
        sliding_windows(model, ragged(sequence(90)), 500)
