"""First weights, as each family's specification gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from pretrain.models.transformer.settings import TransformerSettings

if TYPE_CHECKING:
    from pretrain.models.transformer.encoder import Encoder


def initialize_encoder(encoder: Encoder, settings: TransformerSettings) -> None:
    """bert: every Linear and Embedding normal(0, initializer_range), biases 0. esm: see ``_initialize_esm``."""
    if settings.initialization == "bert":
        initialize_bert(encoder, settings)
    else:
        _initialize_esm(encoder)
    if settings.zero_pad_row:
        nn.init.zeros_(encoder.embeddings.word.weight[settings.pad_token_id])


def initialize_bert(module: nn.Module, settings: TransformerSettings) -> None:
    """normal(0, initializer_range) for the weights of Linear and Embedding, 0 for biases, 1 and 0 for LayerNorm."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=settings.initializer_range)
        if isinstance(part, nn.Linear):
            nn.init.zeros_(part.bias)


def _initialize_esm(encoder: Encoder) -> None:
    """ESM-2: xavier for attention, torch's defaults for the rest (recipes/utr_lm.md#model)."""
    from pretrain.models.transformer.encoder import SelfAttention

    for part in encoder.modules():
        if isinstance(part, SelfAttention):
            for linear in (part.query, part.key, part.value):
                nn.init.xavier_uniform_(linear.weight, gain=2**-0.5)
            nn.init.xavier_uniform_(part.output.weight)
            nn.init.zeros_(part.output.bias)
