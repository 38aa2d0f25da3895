"""No masking: the model reads the sequence as it is."""

from __future__ import annotations

import numpy as np

from pretrain.masking.masked import Masked, SideInformation
from pretrain.masking.settings import NoneSettings
from pretrain.rng import SampleRng
from pretrain.tokenizers.batch import TokenBatch, Tokenizer


class NoMasking:
    """Selects nothing."""

    def __init__(self, settings: NoneSettings, tokenizer: Tokenizer):
        pass

    def __call__(self, tokens: TokenBatch, side: SideInformation, rng: SampleRng) -> Masked:
        """Return the tokens unchanged."""
        nothing = np.zeros(0, np.int64)
        return Masked(nothing, tokens.ids.copy(), nothing.astype(bool), np.zeros(len(tokens.offsets) - 1, np.uint8))
