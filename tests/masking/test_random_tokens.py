"""``masking.random_differs``: a random token is another one than stands there, all others equally often."""

import numpy as np
import pytest

from pretrain.errors import PolymeraseError
from pretrain.masking import SideInformation, build_strategy
from pretrain.masking.settings import BaseSettings
from pretrain.tokenizers import build_tokenizer
from tests.masking.samples import encode, random_rows, streams

ALL_RANDOM = {"rate": 1.0, "mask_fraction": 0.0, "random_fraction": 1.0, "keep_fraction": 0.0}


def corrupted(name: str, rows: list[bytes], **settings):
    tokenizer = build_tokenizer(name)
    tokens = encode(tokenizer, rows)
    masked = build_strategy(BaseSettings(**ALL_RANDOM, **settings), tokenizer)(
        tokens, SideInformation(), streams(range(len(rows)))
    )
    return tokenizer, tokens.ids[masked.positions], masked.input_ids[masked.positions]


def test_no_token_is_replaced_by_itself_and_all_others_come_equally_often():
    tokenizer, before, after = corrupted("ernie_rna", random_rows([60] * 2000), random_differs=True)
    letters = tokenizer.nucleotide_ids
    for letter in letters:
        found = after[before == letter]
        counts = [int((found == other).sum()) for other in letters]
        assert counts[letters.tolist().index(letter)] == 0
        others = sorted(counts)[1:]
        expected = sum(others) / 3
        assert others == pytest.approx([expected] * 3, abs=4.5 * (expected * 2 / 3) ** 0.5)


def test_a_token_that_random_ones_are_not_drawn_from_becomes_any_of_them():
    tokenizer, before, after = corrupted("ernie_rna", [b"N" * 40] * 200, random_differs=True)
    assert not np.isin(before, tokenizer.nucleotide_ids).any()
    assert set(after.tolist()) == set(tokenizer.nucleotide_ids.tolist())


def test_without_the_key_a_token_may_stay_and_draws_are_those_of_before():
    _, before, after = corrupted("ernie_rna", random_rows([60] * 500))
    assert 0.22 < (before == after).mean() < 0.28


def test_six_letters_at_once_differ_too():
    _, before, after = corrupted("kmer6_nonoverlapping", random_rows([600] * 20, letters=b"ACGT"), random_differs=True)
    assert (before != after).all()


def test_without_random_tokens_the_key_has_no_effect():
    settings = BaseSettings(mask_fraction=0.9, random_fraction=0.0, keep_fraction=0.1, random_differs=True)
    with pytest.raises(PolymeraseError, match=r"masking\.random_differs has no effect with masking\.random_fraction=0"):
        build_strategy(settings, build_tokenizer("ernie_rna"))
