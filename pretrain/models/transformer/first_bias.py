"""The source of the first layer's attention bias: a formula of the positions, or a module with weights of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from pretrain.models.batch import PackedBatch
from pretrain.models.layout import Layout
from pretrain.models.transformer.bias import AttentionBias, position_bias
from pretrain.models.transformer.recurrent.pairing import PairingBias
from pretrain.models.transformer.settings import TransformerOptions, TransformerSettings


class PositionBias(nn.Module):
    """The bias that the type of positions and ``causal`` ask for: without weights, the same for every batch."""

    name = "position_bias"

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, batch: PackedBatch, *, again: bool, is_shown: bool) -> AttentionBias:
        """Return the bias of every layer; see ``PairingBias`` for the arguments, which have no effect here."""
        return position_bias(self.settings, batch.input_ids.device)

    def extras(self, biases: Sequence[object], layout: Layout) -> dict[str, Any]:
        """Return nothing: the bias is a formula."""
        return {}


FirstBias = PositionBias | PairingBias


def make_first_bias(settings: TransformerSettings, options: TransformerOptions) -> FirstBias:
    """Build the module that these settings ask for.

    Its ``name`` is that of its weights in a checkpoint. Called with a batch it returns the bias of the first layer;
    ``extras(biases of all layers, layout)`` returns their values for callers who want to see them.
    """
    if settings.pairing_bias:
        return PairingBias(settings.num_attention_heads, options.pairing_memory, options.pairing_scores_dtype)
    return PositionBias(settings)
