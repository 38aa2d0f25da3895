"""Contiguous k-mer masking: every k-mer that shows a hidden nucleotide (DNABERT, 3UTRBERT)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pretrain.errors import PolymeraseError
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
        self._eos_id = _end_token(tokenizer) if settings.eos_over_last else None
        self._known = np.zeros(len(tokenizer.vocab), bool)
        self._known[tokenizer.nucleotide_ids] = True

    def __call__(self, tokens: TokenBatch, side: SideInformation, rng: SampleRng) -> Masked:
        """Select the k-mers around random centers and corrupt them, see ``MaskingStrategy``."""
        drawn = rng.token_uniform("select", tokens.offsets) < self._center_probability
        masked = self._replace(
            tokens, expand_to_overlapping_kmers(tokens, np.flatnonzero(drawn & tokens.maskable), self._k), rng
        )
        if self._eos_id is None:
            return masked
        ends = last_of_each(tokens, self._known[tokens.ids])
        masked.input_ids[ends] = self._eos_id
        return replace(masked, replaced=masked.replaced | np.isin(masked.positions, ends))


def _end_token(tokenizer: Tokenizer) -> int:
    eos = getattr(tokenizer, "eos_id", None)
    if eos is None or tokenizer.lengths.specials > tokenizer.leading:
        raise PolymeraseError(
            "masking.eos_over_last: expected a tokenizer with an end token that it does not append, got "
            f"{tokenizer.name}; leave it out"
        )
    return int(eos)


def last_of_each(tokens: TokenBatch, wanted: np.ndarray) -> np.ndarray:
    """Return the last token of each sequence for which bool (N,) holds, flat int64; of sequences without one none."""
    places = np.where(wanted, np.arange(len(wanted)), -1)
    last = np.maximum.reduceat(places, tokens.offsets[:-1])
    return last[last >= tokens.offsets[:-1]]


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
