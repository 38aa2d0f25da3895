"""Variant-first masking follows MutBERT."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from pretrain.masking import SideInformation, build_strategy
from pretrain.masking.selection import choose, position_counts
from pretrain.masking.settings import VariantFirstSettings
from pretrain.masking.variant_first import rank_first
from pretrain.tokenizers import build_tokenizer
from tests.masking.samples import encode, random_rows, streams

WINDOWS, BASES = 64, 62


def variants_of(tokens, counts, seed=1):
    """That many variant positions in each window."""
    generator = np.random.default_rng(seed)
    return np.sort(
        np.concatenate([tokens.offsets[s] + 1 + generator.permutation(BASES)[:count] for s, count in enumerate(counts)])
    ).astype(np.int64)


def test_variants_come_first_and_the_budget_is_exact():
    tokenizer = build_tokenizer("mutbert")
    tokens = encode(tokenizer, random_rows([BASES] * WINDOWS, letters=b"ACGT"))
    counts = np.arange(WINDOWS) % 20
    variants = variants_of(tokens, counts)
    masked = build_strategy(VariantFirstSettings(), tokenizer)(
        tokens, SideInformation(variants), streams(range(WINDOWS))
    )
    selected = np.isin(np.arange(len(tokens.ids)), masked.positions)
    assert (tokens.per_sequence(selected) == int(BASES * 0.15)).all()
    of_variants = selected & np.isin(np.arange(len(tokens.ids)), variants)
    assert tokens.per_sequence(of_variants).tolist() == np.minimum(counts, 9).tolist()


def test_the_choice_among_too_many_variants_is_uniform():
    tokenizer = build_tokenizer("mutbert")
    tokens = encode(tokenizer, random_rows([BASES] * 4000, letters=b"ACGT"))
    variants = (tokens.offsets[:-1, None] + 1 + np.arange(18)).ravel()
    masked = build_strategy(VariantFirstSettings(), tokenizer)(tokens, SideInformation(variants), streams(range(4000)))
    share = np.bincount(masked.positions % (BASES + 2), minlength=BASES + 2) / 4000
    assert share[1:19] == pytest.approx(0.5, abs=4 * 0.5 / 4000**0.5)
    assert share[19:].sum() == 0


def test_upstreams_draws_give_upstreams_positions_and_masks(golden):
    """Upstream's choice, put in order by our rule, must be the first of the list: all variants, or only variants."""
    case = load_file(golden / "mutbert" / "model_cases.safetensors")
    rows, chosen = case["obj.labels"], case["obj.masked_indices"].astype(bool)
    sites = ((rows > 0).sum(axis=-1) != 1).reshape(-1)
    text = ["".join("?????ACGT"[i] for i in window[1:-1].argmax(axis=-1)) for window in rows]
    tokens = encode(build_tokenizer("mutbert"), [window.encode() for window in text])
    counts = position_counts("floor", 0.15, tokens.per_sequence(tokens.maskable), np.zeros(4))
    priority = np.where(chosen.reshape(-1), 0, 1).astype(np.uint64) << np.uint64(62)
    positions = choose(tokens, tokens.maskable, counts, rank_first(priority, np.flatnonzero(sites)))
    assert positions.tolist() == np.flatnonzero(chosen).tolist()
    # chosen rows are the mask token or their own row, as in 80/0/20
    masked_input = case["obj.masked_input"].reshape(-1, 9)
    is_mask = masked_input[positions].argmax(axis=-1) == build_tokenizer("mutbert").mask_id
    assert (masked_input[positions[~is_mask]] == rows.reshape(-1, 9)[positions[~is_mask]]).all()


def test_the_80_10_10_form_draws_bases_only():
    tokenizer = build_tokenizer("mutbert")
    tokens = encode(tokenizer, random_rows([510] * 60, letters=b"ACGT"))
    strategy = build_strategy(VariantFirstSettings(random_fraction=0.1, keep_fraction=0.1), tokenizer)
    masked = strategy(tokens, SideInformation(), streams(range(60)))
    assert len(masked.positions) == 60 * 76
    seen = masked.input_ids[masked.positions]
    assert set(seen.tolist()) == {4, 5, 6, 7, 8}
    assert (~masked.replaced).mean() == pytest.approx(0.1, abs=0.02)
