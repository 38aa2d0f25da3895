"""Base masking follows the published counts."""

import json

import numpy as np
import pytest

from pretrain.errors import PolymeraseError
from pretrain.masking import SideInformation, build_strategy
from pretrain.masking.selection import choose, position_counts
from pretrain.masking.settings import BasePart, BaseSettings, KmerPart, MixtureSettings
from pretrain.tokenizers import build_tokenizer
from tests.masking.samples import encode, random_rows, streams


def test_utr_lm_masks_the_ceiling_of_15_percent(golden):
    counts = json.loads((golden / "utr_lm" / "data_path.json").read_text())["n_masked_by_length"]
    tokenizer = build_tokenizer("utr_lm")
    strategy = build_strategy(
        BaseSettings(count="ceil", mask_fraction=1.0, random_fraction=0.0, keep_fraction=0.0), tokenizer
    )
    tokens = encode(tokenizer, random_rows([int(length) for length in counts]))
    masked = strategy(tokens, SideInformation(), streams(range(len(counts))))
    per_row = np.add.reduceat(np.isin(np.arange(len(tokens.ids)), masked.positions), tokens.offsets[:-1])
    assert per_row.tolist() == list(counts.values())
    assert (masked.input_ids[masked.positions] == tokenizer.mask_id).all()


def test_rnaernie_rounds_halves_to_even_and_masks_at_least_one():
    lengths = np.array([0, 1, 10, 30, 50, 70, 508])
    assert position_counts("round", 0.15, lengths, np.zeros(7)).tolist() == [0, 1, 2, 4, 8, 10, 76]


def test_mutbert_cuts_off():
    assert position_counts("floor", 0.15, np.array([510, 62, 6]), np.zeros(3)).tolist() == [76, 9, 0]


def test_ernie_rna_rounds_up_as_often_as_the_fraction_says():
    uniform = np.random.default_rng(0).random(20_000)
    counts = position_counts("floor_plus_uniform", 0.15, np.full(20_000, 25), uniform)
    assert set(counts.tolist()) == {3, 4}
    assert counts.mean() == pytest.approx(3.75, abs=0.02)


def test_upstream_ernie_rna_selects_specials_like_letters():
    tokenizer = build_tokenizer("ernie_rna")
    strategy = build_strategy(BaseSettings(specials_selectable=True, random_ids="vocabulary_from:4"), tokenizer)
    tokens = encode(tokenizer, random_rows([98] * 4000))
    masked = strategy(tokens, SideInformation(), streams(range(4000)))
    selected = np.zeros(len(tokens.ids))
    selected[masked.positions] = 1
    by_place = selected.reshape(4000, 100).mean(axis=0)
    assert selected.sum() == 4000 * 15
    assert by_place[[0, -1]] == pytest.approx(0.15, abs=4 * (0.15 * 0.85 / 4000) ** 0.5)
    seen = masked.input_ids[masked.positions]
    # of the selected: 80 % + 1/21 of 10 % become <mask> (published training: 80.6 / 10.3 / 9.2)
    assert (seen == tokenizer.mask_id).mean() == pytest.approx(0.8 + 0.1 / 21, abs=0.006)


def test_every_position_is_chosen_equally_often():
    tokens = encode(build_tokenizer("ernie_rna"), random_rows([20] * 20_000))
    strategy = build_strategy(BaseSettings(count="round"), build_tokenizer("ernie_rna"))
    masked = strategy(tokens, SideInformation(), streams(range(20_000)))
    share = np.bincount(masked.positions % 22, minlength=22)[1:-1] / 20_000
    assert share == pytest.approx(0.15, abs=4.5 * (0.15 * 0.85 / 20_000) ** 0.5)


def test_exactly_the_lowest_priorities_are_chosen():
    tokens = encode(build_tokenizer("ernie_rna"), [b"ACGU", b"", b"GG"])
    priority = np.arange(len(tokens.ids), dtype=np.uint64)[::-1] << np.uint64(50)
    assert choose(tokens, tokens.maskable, np.array([2, 0, 1]), priority).tolist() == [3, 4, 10]


@pytest.mark.parametrize("name", ["utrbert_3mer", "dnabert_6mer"])
def test_single_kmers_are_not_hidden_beside_neighbors_that_show_their_letters_unless_told(name):
    tokenizer = build_tokenizer(name)
    with pytest.raises(
        PolymeraseError, match=r"letters their neighbors show.* expected masking.strategy=kmer"
    ) as caught:
        build_strategy(BaseSettings(), tokenizer)
    assert "\n" not in str(caught.value)
    mixture = MixtureSettings(parts=[BasePart(), KmerPart()])
    with pytest.raises(PolymeraseError, match="neighbors_may_show_hidden=true"):
        build_strategy(mixture, tokenizer)
    build_strategy(BaseSettings(neighbors_may_show_hidden=True), tokenizer)


def test_a_permission_that_changes_nothing_is_refused():
    with pytest.raises(PolymeraseError, match="neighbors_may_show_hidden has no effect"):
        build_strategy(BaseSettings(neighbors_may_show_hidden=True), build_tokenizer("ernie_rna"))
