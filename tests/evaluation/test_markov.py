"""Markov baselines are what they say: checked against chains with known entropy and against brute force."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from data_prep.corpus import Ragged
from pretrain.batches.collate import MicroBatch
from pretrain.evaluation.loss_breakdown import LetterDetails
from pretrain.evaluation.markov import ORDERS, OTHER, MarkovChains, letters_of, targets_of
from pretrain.models import PackedBatch
from pretrain.tokenizers import build_tokenizer

MARGIN = np.full(ORDERS[-1], OTHER, np.uint8)


def chain_of_order_one(length: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Letters drawn from a transition table, and the table."""
    draw = np.random.default_rng(seed)
    table = draw.dirichlet(np.full(4, 0.4), size=4)
    codes = np.zeros(length, np.uint8)
    for i in range(1, length):
        codes[i] = draw.choice(4, p=table[codes[i - 1]])
    return codes, table


def micro_batch(tokenizer_name: str, sequences: list[str], selected: list[int]) -> tuple[MicroBatch, object]:
    """Sequences with the given flat positions masked."""
    tokenizer = build_tokenizer(tokenizer_name)
    tokens = tokenizer.encode(Ragged.from_rows([row.encode() for row in sequences]))
    index = np.array(selected)
    shown = tokens.ids.copy()
    shown[index] = tokenizer.mask_id
    batch = MicroBatch(
        PackedBatch.pack(torch.from_numpy(shown), tokens.lengths.tolist()),
        {"mlm": {"index": torch.from_numpy(index), "target": torch.from_numpy(tokens.ids[index].astype(np.int64))}},
        {"mlm": len(index)}, np.zeros(1, np.int64), 0, 0,
    )  # fmt: skip
    return batch, tokenizer


@pytest.mark.parametrize("name", ["ernie_rna", "mutbert", "rnaernie", "utr_lm", "utrbert_3mer", "dnabert_6mer"])
def test_letters_come_back_from_tokens(name):
    tokenizer = build_tokenizer(name)
    rows = ["ACGTACGTAA", "GATTACAGGC", "TTTTGC"]
    tokens = tokenizer.encode(Ragged.from_rows([row.encode() for row in rows]))
    letters = letters_of(Ragged(tokens.ids, tokens.offsets), tokenizer)
    assert ["".join("ACGT"[code] for code in row) for row in letters.rows()] == rows


def test_a_fitted_chain_costs_the_entropy_of_the_chain_that_made_the_letters():
    codes, table = chain_of_order_one(60_000, seed=3)
    chains = MarkovChains([np.concatenate([MARGIN, codes[:40_000], MARGIN])])
    held_out = "".join("ACGU"[code] for code in codes[40_000:])
    rows = [held_out[start : start + 100] for start in range(0, 20_000, 100)]
    positions = [102 * row + 1 + place for row in range(200) for place in range(5, 100, 9)]
    batch, tokenizer = micro_batch("ernie_rna", rows, positions)
    targets = targets_of(batch, tokenizer)
    at = np.array([100 * row + place for row in range(200) for place in range(5, 100, 9)]) + 40_000
    true_loss = -np.log(table[codes[at - 1], codes[at]]).mean()
    assert chains.from_left(targets, 1).mean() == pytest.approx(true_loss, abs=0.02)
    assert chains.from_left(targets, 3).mean() == pytest.approx(true_loss, abs=0.05)
    assert chains.from_both_sides(targets, 1).mean() < true_loss


@pytest.mark.parametrize("order", [1, 2, 5])
def test_both_sides_is_the_exact_conditional_of_the_chain(order):
    draw = np.random.default_rng(order)
    training = draw.integers(0, 4, 3000).astype(np.uint8)
    chains = MarkovChains([np.concatenate([MARGIN, training, MARGIN])])
    sequence = "GACGUUACGA"
    for place in (0, 1, 4, 9):
        batch, tokenizer = micro_batch("ernie_rna", [sequence], [place + 1])
        found = chains.from_both_sides(targets_of(batch, tokenizer), order)[0]
        joint = []
        for letter in "ACGU":  # log P of the whole sequence with each letter, from the left-to-right factors
            whole = sequence[:place] + letter + sequence[place + 1 :]
            every, _ = micro_batch("ernie_rna", [whole], list(range(1, 11)))
            joint.append(-chains.from_left(targets_of(every, tokenizer), order).sum())
        expected = np.logaddexp.reduce(joint) - joint["ACGU".index(sequence[place])]
        assert found == pytest.approx(expected, abs=1e-9)


def test_kmer_targets_cost_only_the_letters_that_no_visible_token_shows():
    chains = MarkovChains([MARGIN])  # nothing seen: every letter costs ln 4
    sequence = "ACGUACGUACGU"
    batch, tokenizer = micro_batch("utrbert_3mer", [sequence], [4])  # one hidden 3-mer: its neighbours show it all
    assert chains.from_left(targets_of(batch, tokenizer), 1).tolist() == [0.0]
    batch, _ = micro_batch("utrbert_3mer", [sequence], [4, 5, 6])  # letter 5 is in hidden tokens only
    assert chains.from_left(targets_of(batch, tokenizer), 1) == pytest.approx([np.log(4)] * 3)
    batch, _ = micro_batch("utrbert_3mer", [sequence], [1, 2])  # the start: letters 0 and 1 are nowhere else
    assert chains.from_left(targets_of(batch, tokenizer), 1) == pytest.approx([2 * np.log(4), np.log(4)])


def test_hidden_letters_agree_with_a_search_through_all_visible_tokens():
    draw, k = np.random.default_rng(8), 4
    sequence = "".join(draw.choice(list("ACGU"), 20))
    for count in (1, 3, 6, 12):
        selected = sorted(draw.choice(np.arange(1, 18), count, replace=False).tolist())
        batch, tokenizer = micro_batch("utrbert_4mer", [sequence], selected)
        hidden = targets_of(batch, tokenizer).hidden
        visible = {token + j for token in range(17) if token + 1 not in selected for j in range(k)}
        expected = [[token - 1 + j not in visible for j in range(k)] for token in selected]
        assert hidden.tolist() == expected


def test_letters_outside_the_alphabet_and_special_tokens_are_no_targets_of_a_chain():
    batch, tokenizer = micro_batch("ernie_rna", ["ACNGU"], [0, 1, 3, 6])  # <cls>, A, N, <eos>
    targets = targets_of(batch, tokenizer)
    assert targets.usable.tolist() == [False, True, False, False]
    loss = MarkovChains([MARGIN]).from_left(targets, 2)
    assert np.isnan(loss).tolist() == [True, False, True, True]


def test_parts_of_the_details_add_up_to_the_whole():
    draw = np.random.default_rng(4)
    rows = ["".join(draw.choice(list("ACGU"), n)) for n in (20, 70, 150, 150)]
    starts = np.cumsum([0, *(len(row) + 2 for row in rows[:-1])])
    selected = [
        int(start + 1 + place) for start, row in zip(starts, rows, strict=True) for place in range(0, len(row), 3)
    ]
    batch, tokenizer = micro_batch("ernie_rna", rows, selected)
    logits = torch.from_numpy(draw.normal(size=(len(selected), 25)))
    details = LetterDetails("mlm", MarkovChains([MARGIN]), tokenizer, (0, 0, 0, 0))
    details.add(batch, logits.log_softmax(-1).numpy())
    report = details.report()
    expected = torch.nn.functional.cross_entropy(logits, batch.targets["mlm"]["target"])
    assert report["letters"]["loss"] == pytest.approx(float(expected))
    assert report["letters"]["targets"] == len(selected)
    assert list(report["by_length"]) == ["1-64", "65-128", "129-256"]
    for key, part in itertools.product(("loss", "accuracy"), ("by_base", "by_length")):
        total = sum(one["targets"] * one[key] for one in report[part].values())
        assert total / len(selected) == pytest.approx(report["letters"][key])
    assert report["letters"]["baselines"]["uniform"] == pytest.approx(np.log(4))


def test_soft_labels_are_taken_apart_by_the_share_of_each_allele():
    draw = np.random.default_rng(6)
    training = draw.integers(0, 4, 4000).astype(np.uint8)
    chains = MarkovChains([np.concatenate([MARGIN, training, MARGIN])])
    batch, tokenizer = micro_batch("mutbert", ["GACGTTACGA", "ACGTNACCCA"], [3, 5, 14, 17])  # C, T; C, N
    base_ids = tuple(tokenizer.vocab.index(letter) for letter in "ACGT")
    share = np.array([[0, 0.75, 0.25, 0]], np.float32)
    arrays = batch.targets["mlm"] | {"soft_row": torch.tensor([0]), "soft_freq": torch.from_numpy(share)}
    soft = replace(batch, targets={"soft_label": arrays}, counts={"soft_label": 4})
    log_p = torch.from_numpy(draw.normal(size=(4, len(tokenizer.vocab)))).log_softmax(-1).numpy()
    details = LetterDetails("soft_label", chains, tokenizer, base_ids)
    details.add(soft, log_p)
    report = details.report()
    hard = [chains.from_both_sides(targets_of(batch, tokenizer), 3)[row] for row in range(4)]
    swapped, _ = micro_batch("mutbert", ["GAGGTTACGA", "ACGTNACCCA"], [3, 5, 14, 17])  # the other allele
    expected = 0.75 * hard[0] + 0.25 * chains.from_both_sides(targets_of(swapped, tokenizer), 3)[0]
    letters = report["letters"]
    assert letters["targets"] == 3  # N is no letter
    assert letters["baselines"]["markov_both_3"] == pytest.approx((expected + hard[1] + hard[2]) / 3)
    assert letters["baselines"]["uniform"] == pytest.approx(np.log(4))
    assert letters["floor"] == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)) / 3)
    at = [base_ids["ACGT".index(letter)] for letter in "CTC"]
    losses = [-(0.75 * log_p[0, at[0]] + 0.25 * log_p[0, base_ids[2]]), -log_p[1, at[1]], -log_p[2, at[2]]]
    assert letters["loss"] == pytest.approx(np.mean(losses))
    assert report["by_base"]["C"]["loss"] == pytest.approx(np.mean([losses[0], losses[2]]))
