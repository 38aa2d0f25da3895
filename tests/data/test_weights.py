"""Soft-masked letters as weights of targets, and as letters again."""

import numpy as np
import pytest

from data_prep.corpus import Ragged
from pretrain.data import soft_mask
from pretrain.data.position_weights import token_weights
from pretrain.data.raw_batch import NO_VARIANTS, RawBatch, merge
from pretrain.tokenizers import build_tokenizer

TEXTS = [b"acgTACgtnA", b"ACGT", b"acgt", b""]


def batch(weights=True, texts=TEXTS):
    letters = Ragged.from_rows(texts)
    masked = np.array([chr(c).islower() for c in letters.values], bool)
    return RawBatch(
        Ragged.from_rows(text.upper() for text in texts),
        Ragged.from_rows([b""] * len(texts)),
        np.full(len(texts), np.nan, np.float32),
        [None] * len(texts),
        NO_VARIANTS,
        np.zeros(len(texts), bool),
        soft_mask.weights_of(masked, 0.25) if weights else None,
    )


@pytest.mark.parametrize("name", ["gpn", "mutbert", "dnabert_3mer", "codon", "kmer3_nonoverlapping", "bpe"])
def test_a_token_weighs_what_its_nucleotides_do_on_average(name, golden):
    file = {"file": str(golden / "tokenizers" / "bpe_tiny.json")} if name == "bpe" else {}
    tokenizer, raw = build_tokenizer(name, **file), batch()
    tokens = tokenizer.encode(raw.sequences)
    weights = token_weights(raw, tokens, tokenizer)
    for at in range(len(tokens.ids)):
        if not tokens.maskable[at]:
            assert weights[at] == 1
            continue
        token = tokenizer.vocab[tokens.ids[at]]
        span = 1 if "[" in token else len(token)
        if name in ("dnabert_3mer", "codon"):
            span = 3
        text = TEXTS[tokens.sequence[at]][tokens.nucleotide[at] :][:span]
        assert weights[at] == pytest.approx(np.mean([0.25 if chr(c).islower() else 1 for c in text]))


def test_without_soft_masking_there_are_no_weights():
    raw, tokenizer = batch(weights=False), build_tokenizer("gpn")
    assert token_weights(raw, tokenizer.encode(raw.sequences), tokenizer) is None


def test_corpora_without_weights_count_in_full_beside_others():
    both = merge([batch(weights=False, texts=[b"acg", b"T"]), batch()], np.array([2, 0, 3, 1, 4, 5]))
    assert both.weights.tolist() == [*batch().weights[:10], 1, 1, 1, *batch().weights[10:14], 1, *batch().weights[14:]]


def test_lower_case_comes_back_where_it_was():
    letters = Ragged.from_rows(TEXTS)
    masked = np.array([chr(c).islower() for c in letters.values], bool)
    upper = Ragged.from_rows(text.upper() for text in TEXTS)
    assert soft_mask.lower_case(upper.values, masked).tobytes() == b"".join(TEXTS)
    pairs = [np.array(p, "<u4").tobytes() for p in ([[0, 3], [6, 9]], [], [[0, 4]], [])]
    assert soft_mask.masked_letters(Ragged.from_rows(pairs), letters.lengths).tolist() == masked.tolist()
