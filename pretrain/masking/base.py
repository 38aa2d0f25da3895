"""Base masking: single tokens chosen uniformly (BERT; ERNIE-RNA, UTR-LM, RNAErnie's base level, RNAErnie2)."""

from __future__ import annotations

import numpy as np

from pretrain.errors import PolymeraseError
from pretrain.masking.masked import Masked, SideInformation
from pretrain.masking.replacement import build_replacement
from pretrain.masking.selection import choose, position_counts
from pretrain.masking.settings import BaseSettings
from pretrain.rng import SampleRng
from pretrain.tokenizers.batch import TokenBatch, Tokenizer
from pretrain.tokenizers.lengths import PerNucleotide


class BaseMasking:
    """A set number of single tokens of each sequence, or each token on its own."""

    def __init__(self, settings: BaseSettings, tokenizer: Tokenizer):
        overlaps = _overlaps(tokenizer)
        if overlaps and not settings.neighbors_may_show_hidden:
            raise PolymeraseError(
                f"masking.strategy=base masks single tokens of {tokenizer.name}, whose letters their neighbors show: "
                "expected masking.strategy=kmer; or set masking.neighbors_may_show_hidden=true"
            )
        if settings.neighbors_may_show_hidden and not overlaps:
            raise PolymeraseError(
                f"masking.neighbors_may_show_hidden has no effect: {tokenizer.name} has no overlapping tokens; "
                "leave it out"
            )
        self._settings = settings
        self._replace = build_replacement(settings, tokenizer)

    def __call__(self, tokens: TokenBatch, side: SideInformation, rng: SampleRng) -> Masked:
        """Select single tokens and corrupt them, see ``MaskingStrategy``."""
        rate, rule = self._settings.rate, self._settings.count
        candidates = np.ones_like(tokens.maskable) if self._settings.specials_selectable else tokens.maskable
        if rule == "bernoulli":
            positions = np.flatnonzero(candidates & (rng.token_uniform("select", tokens.offsets) < rate))
        else:
            counts = position_counts(rule, rate, tokens.per_sequence(candidates), rng.uniform("count"))
            positions = choose(tokens, candidates, counts, rng.token_bits("select", tokens.offsets))
        return self._replace(tokens, positions, rng)


def _overlaps(tokenizer: Tokenizer) -> bool:
    """Whether a letter is part of several tokens."""
    rule = tokenizer.lengths
    return isinstance(rule, PerNucleotide) and rule.stride < rule.k
