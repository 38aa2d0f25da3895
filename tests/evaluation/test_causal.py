"""Causal models: likelihoods against a loop over prefixes, ratios against whole windows."""

import math

import numpy as np
import pytest

from data_prep.corpus import Ragged
from pretrain.evaluation.causal import likelihood_ratios, likelihoods
from pretrain.evaluation.masked_queries import encode_rows
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.variant_effects import Substitution
from tests.evaluation.support import logits_after, tiny_causal


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return tiny_causal("transformer")


def by_prefixes(model: TrainedModel, text: str) -> float:
    (ids,) = encode_rows(model.tokenizer, Ragged.from_rows([text.encode()]))
    steps = range(1, len(ids))
    return sum(logits_after(model, ids[:end].tolist()).log_softmax(-1)[ids[end]].item() for end in steps)


def test_a_likelihood_is_the_product_over_prefixes(model):
    texts = ["ACGUACGGUA", "A", "GGGUUUACGACGUAGCUAGC", "CCNA"]
    found = likelihoods(model, Ragged.from_rows(text.encode() for text in texts))
    assert [one.log_likelihood for one in found] == pytest.approx([by_prefixes(model, t) for t in texts], abs=1e-4)
    assert found[0].bits_per_nucleotide == pytest.approx(-found[0].log_likelihood / math.log(2) / 10)


@pytest.mark.parametrize(("ref", "alt"), [("A", "C"), ("AC", "A"), ("A", "AGGT"), ("ACG", "TTT")])
@pytest.mark.parametrize("strand", ["plus", "minus", "both"])
def test_a_ratio_compares_whole_windows_of_both_strands(model, ref, alt, strand):
    before, behind = "GATTACAGAT", "TTGACCAGAT"
    contig = (before + ref + behind).encode()
    (score,) = likelihood_ratios(model, contig, [Substitution(10, ref, alt)], 40, strand)

    def turned(text: str) -> str:
        return text.translate(str.maketrans("ACGT", "TGCA"))[::-1]

    ways = {"plus": [str], "minus": [turned], "both": [str, turned]}[strand]
    expected = np.mean(
        [
            by_prefixes(model, way(before + alt + behind)) - by_prefixes(model, way(before + ref + behind))
            for way in ways
        ]
    )
    assert score == pytest.approx(expected, abs=2e-4)


def test_a_window_with_other_letters_has_no_score(model):
    assert list(likelihood_ratios(model, b"ACGNACGTACGT", [Substitution(6, "G", "C")], 12)) == [None]


@pytest.mark.parametrize("architecture", ["transformer", "hyena"])
def test_the_window_of_an_insertion_is_no_longer_than_what_the_model_reads(architecture):
    """Hyena's filter ends there."""
    model, contig = tiny_causal(architecture), ("GATTACAGAT" * 12).encode()
    width = model.tokenizer.max_nucleotides(model.max_tokens)
    inserted, flank = "GAAACCCTTT", (width - 9) // 2
    long, short = likelihood_ratios(
        model, contig, [Substitution(60, "G", "G" + "A" * width), Substitution(60, "G", inserted)], width
    )
    assert long is None
    before, behind = contig[60 - flank : 60].decode(), contig[61 : 60 - flank + width - 9].decode()
    assert len(before + inserted + behind) == width
    expected = by_prefixes(model, before + inserted + behind) - by_prefixes(model, f"{before}G{behind}")
    assert short == pytest.approx(expected, abs=2e-4)
