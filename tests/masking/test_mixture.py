"""A mixture gives each sample to one strategy."""

import numpy as np
import pytest

from pretrain.masking import SideInformation, build_strategy, strategy_names
from pretrain.masking.settings import BasePart, BaseSettings, KmerPart, KmerSettings, MixtureSettings, VariantFirstPart
from pretrain.tokenizers import build_tokenizer
from tests.masking.samples import encode, random_rows, streams

SETTINGS = MixtureSettings(parts=[BasePart(weight=1.0), KmerPart(k=3, weight=3.0), VariantFirstPart(weight=1.0)])


def test_parts_get_their_share_and_work_as_if_alone():
    tokenizer = build_tokenizer("mutbert")
    tokens = encode(tokenizer, random_rows([40] * 3000, letters=b"ACGT"))
    masked = build_strategy(SETTINGS, tokenizer)(tokens, SideInformation(), streams(range(3000)))
    assert strategy_names(SETTINGS) == ("base", "kmer", "variant_first")
    assert np.bincount(masked.strategy) / 3000 == pytest.approx(np.array([0.2, 0.6, 0.2]), abs=0.035)
    for number, alone in ((0, BaseSettings()), (1, KmerSettings(k=3))):
        whole = build_strategy(alone, tokenizer)(tokens, SideInformation(), streams(range(3000)))
        mine = (masked.strategy == number)[np.repeat(np.arange(3000), tokens.lengths)]
        assert masked.input_ids[mine].tolist() == whole.input_ids[mine].tolist()
        assert masked.positions[mine[masked.positions]].tolist() == whole.positions[mine[whole.positions]].tolist()
        assert masked.replaced[mine[masked.positions]].tolist() == whole.replaced[mine[whole.positions]].tolist()


def test_parts_see_the_variants_of_their_own_samples():
    tokenizer = build_tokenizer("mutbert")
    tokens = encode(tokenizer, random_rows([40] * 500, letters=b"ACGT"))
    variants = np.flatnonzero(tokens.nucleotide == 17)
    masked = build_strategy(SETTINGS, tokenizer)(tokens, SideInformation(variants), streams(range(500)))
    samples = np.flatnonzero(masked.strategy == 2)
    assert len(samples) > 50
    assert np.isin(variants[samples], masked.positions).all()
