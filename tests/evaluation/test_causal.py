"""Causal models: likelihoods against a loop over prefixes, ratios against whole windows, samples against argmax."""

import math
import random

import numpy as np
import pytest
import torch

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError
from pretrain.evaluation.causal import Sampling, generate, is_causal, likelihood_ratios, likelihoods
from pretrain.evaluation.masked_queries import encode_rows
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.passes import pack
from pretrain.evaluation.variant_effects import Substitution
from pretrain.families.custom import custom_family
from pretrain.models import LanguageModel
from pretrain.models.hyena.settings import HyenaSettings
from pretrain.models.transformer.settings import TransformerSettings
from pretrain.tokenizers import build_tokenizer
from tests.evaluation.support import tiny


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    tokenizer = build_tokenizer("rnaernie2")
    settings = TransformerSettings(
        vocab_size=len(tokenizer.vocab), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, max_position_embeddings=64, pad_token_id=tokenizer.pad_id,
        mask_token_id=tokenizer.mask_id, causal=True, norm_placement="pre", final_norm=True,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = LanguageModel.build(settings)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    family = custom_family(settings, "rnaernie2", {})
    return TrainedModel("tiny causal", family, settings, tokenizer, network.eval(), True, torch.device("cpu"))


def logits_after(model: TrainedModel, ids: list[int]) -> torch.Tensor:
    """Of the token that follows a prefix, computed from the prefix alone."""
    with torch.no_grad():
        return model.network.logits(model.network.encoder(pack(model, np.array(ids), [len(ids)])).hidden[-1:])[0]


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


def test_the_likeliest_sequence_is_what_argmax_over_prefixes_gives(model):
    (text,) = generate(model, b"GAU", 1, Sampling(12, temperature=0.0))
    (ids,) = encode_rows(model.tokenizer, Ragged.from_rows([b"GAU"]))
    ids, letters = ids[:-1].tolist(), "GAU"
    forbidden = [i for i in (*model.tokenizer.special_ids, model.tokenizer.unk_id) if i != model.tokenizer.eos_id]
    for _ in range(12):
        logits = logits_after(model, ids)
        logits[forbidden] = -math.inf
        ids.append(int(logits.argmax()))
        if ids[-1] == model.tokenizer.eos_id:
            break
        letters += model.tokenizer.vocab[ids[-1]]
    assert text == letters
    assert list(generate(model, b"GAU", 1, Sampling(12, temperature=1.0, top_k=1))) == [text]


def test_samples_follow_their_seed_and_the_model(model):
    first, again, other = (list(generate(model, b"", 400, Sampling(1, seed=seed))) for seed in (1, 1, 2))
    assert first == again != other
    (ids,) = encode_rows(model.tokenizer, Ragged.from_rows([b""]))
    probabilities = logits_after(model, ids[:-1].tolist())
    letters = {token: i for i, token in enumerate(model.tokenizer.vocab) if token in "ACGUN"}
    eos = model.tokenizer.eos_id
    kept = torch.stack([probabilities[i] for i in (*letters.values(), eos)]).softmax(-1)
    for letter, share in zip((*letters, ""), kept.tolist(), strict=True):
        assert abs(first.count(letter) / 400 - share) < 5 * math.sqrt(share * (1 - share) / 400) + 1e-9


def test_a_masked_model_draws_nothing():
    masked = tiny("rnaernie2")
    assert not is_causal(masked)
    with pytest.raises(PolymeraseError, match="use a causal model"):
        next(generate(masked, b"A", 1, Sampling(4)))


def test_more_than_the_model_holds_is_refused(model):
    with pytest.raises(PolymeraseError, match="the model holds 64"):
        next(generate(model, b"ACGU" * random.Random(0).randint(10, 12), 1, Sampling(40)))


def test_rows_of_the_table_that_are_no_token_are_never_drawn():
    tokenizer = build_tokenizer("hyenadna")
    settings = HyenaSettings(16, 16, 1, 32, 66, pad_token_id=tokenizer.pad_id, mask_token_id=tokenizer.mask_id)
    network = LanguageModel.build(settings).eval()  # 16 rows for 12 tokens
    model = TrainedModel(
        "tiny", custom_family(settings, "hyenadna", {}), settings, tokenizer, network, True, torch.device("cpu")
    )
    for text in generate(model, b"ACGT", 20, Sampling(30)):
        assert set(text) <= set("ACGTN")
