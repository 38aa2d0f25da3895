"""Hiding the RNA type that follows a sequence, on top of any other masking."""

from __future__ import annotations

import numpy as np

from pretrain.errors import PolymeraseError
from pretrain.masking.masked import Masked, MaskingStrategy, SideInformation
from pretrain.rng import SampleRng
from pretrain.tokenizers.batch import TokenBatch, Tokenizer


class LabelSlotMasking:
    """Replaces the label token of a share of the samples by the mask token and makes its position a target.

    Upstream RNAErnie always leaves it visible, so the slot that its type-guided inference reads is never trained
    (recipes/rnaernie.md#label).
    """

    def __init__(self, strategy: MaskingStrategy, rate: float, tokenizer: Tokenizer):
        if not tokenizer.has_label_slot:
            raise PolymeraseError(
                "masking.label_rate needs an RNA type behind each sequence; set corpus.label_slot=true (families with "
                "RNA types in their vocabulary), or leave it at 0"
            )
        self._strategy, self._rate, self._mask_id = strategy, rate, tokenizer.mask_id

    def __call__(self, tokens: TokenBatch, side: SideInformation, rng: SampleRng) -> Masked:
        """Apply the strategy below, then hide the label of some samples."""
        masked = self._strategy(tokens, side, rng)
        assert tokens.label_position is not None
        slots = tokens.label_position[rng.uniform("label") < self._rate]
        input_ids = masked.input_ids.copy()
        input_ids[slots] = self._mask_id
        positions = np.concatenate((masked.positions, slots))
        order = np.argsort(positions, kind="stable")
        replaced = np.concatenate((masked.replaced, np.ones(len(slots), bool)))
        return Masked(positions[order], input_ids, replaced[order], masked.strategy)
