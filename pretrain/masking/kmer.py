"""Contiguous k-mer masking: every k-mer that shows a hidden nucleotide (DNABERT, 3UTRBERT)."""

from __future__ import annotations

import numpy as np

from pretrain.masking.masked import Masked, SideInformation
from pretrain.masking.replacement import build_replacement
from pretrain.masking.settings import KmerSettings
from pretrain.rng import SampleRng
from pretrain.tokenizers.batch import TokenBatch, Tokenizer


class KmerMasking:
    """Centers drawn independently with probability rate / k; each hides the k tokens around it."""

    def __init__(self, settings: KmerSettings, tokenizer: Tokenizer):
        self._k = settings.k or tokenizer.nucleotides_per_token
        self._center_probability = settings.rate / self._k
        self._replace = build_replacement(settings, tokenizer)

    def __call__(self, tokens: TokenBatch, side: SideInformation, rng: SampleRng) -> Masked:
        """Select the k-mers around random centers and corrupt them, see ``MaskingStrategy``."""
        drawn = rng.token_uniform("select", tokens.offsets) < self._center_probability
        return self._replace(
            tokens, expand_to_overlapping_kmers(tokens, np.flatnonzero(drawn & tokens.maskable), self._k), rng
        )


def expand_to_overlapping_kmers(tokens: TokenBatch, centers: np.ndarray, k: int) -> np.ndarray:
    """Return all tokens around the centers, int64 (C,) flat: from (k - 1) // 2 before to k // 2 after each.

    Returns:
        int64 (M,), ascending flat positions; never specials or tokens of other sequences.
    """
    selected = np.zeros(len(tokens.ids), bool)
    for offset in range(-((k - 1) // 2), k // 2 + 1):
        reached = np.clip(centers + offset, 0, len(tokens.ids) - 1)
        # consecutive tokens of one sequence show consecutive nucleotides; across a border they do not
        same = tokens.nucleotide[reached] == tokens.nucleotide[centers] + offset
        selected[reached[same & tokens.maskable[reached]]] = True
    return np.flatnonzero(selected)
