"""Variant-first masking: sites where the population has several alleles before all others (MutBERT)."""

from __future__ import annotations

import numpy as np

from pretrain.masking.masked import Masked, SideInformation
from pretrain.masking.replacement import build_replacement
from pretrain.masking.selection import choose, position_counts
from pretrain.masking.settings import VariantFirstSettings
from pretrain.rng import SampleRng
from pretrain.tokenizers.batch import TokenBatch, Tokenizer

_LAST = np.uint64(1) << np.uint64(63)


class VariantFirstMasking:
    """All variants, or as many as the budget allows, then single-allele sites up to the budget; both uniformly."""

    def __init__(self, settings: VariantFirstSettings, tokenizer: Tokenizer):
        self._settings = settings
        self._replace = build_replacement(settings, tokenizer)

    def __call__(self, tokens: TokenBatch, side: SideInformation, rng: SampleRng) -> Masked:
        """Select sites with several alleles first and corrupt them, see ``MaskingStrategy``."""
        available = tokens.per_sequence(tokens.maskable)
        counts = position_counts(self._settings.count, self._settings.rate, available, rng.uniform("count"))
        priority = rank_first(rng.token_bits("select", tokens.offsets), side.variant_positions)
        return self._replace(tokens, choose(tokens, tokens.maskable, counts, priority), rng)


def rank_first(priority: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return priorities uint64 (N,) that put the given positions before all others and keep the order within both."""
    halved = (priority >> np.uint64(1)) | _LAST
    halved[positions] &= ~_LAST
    return halved
