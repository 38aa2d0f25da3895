"""The weights of one layer's attention, to look at: recomputed from what the layer was given, on every back-end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pretrain.models.batch import PackedBatch
from pretrain.models.transformer.bias import AttentionBias
from pretrain.models.transformer.layer import SelfAttention
from pretrain.models.transformer.positions import rotate_both

if TYPE_CHECKING:
    from pretrain.models.transformer.encoder import Encoder


def attention_weights(encoder: Encoder, batch: PackedBatch, layer: int) -> Tensor:
    """Return the weights of a layer for the one sequence of a batch: float32 (H, T, T), rows sum to 1."""
    seen: list[tuple[Any, ...]] = []
    block = encoder.layers[layer].attention
    assert isinstance(block, SelfAttention)
    handle = block.register_forward_pre_hook(lambda _, given: seen.append(given))
    try:
        with torch.no_grad():
            extras = encoder(batch, return_extras=True).extras
    finally:
        handle.remove()
    if "scores" in extras:  # of every layer before the softmax, the first layer's bias before them
        return extras["scores"][0][1:][layer].float().softmax(dim=-1)
    x, bias, context = seen[0]
    assert isinstance(bias, AttentionBias)
    heads, size = block.settings.num_attention_heads, block.settings.head_size
    with torch.no_grad():
        q, k = (projection(x).view(-1, heads, size) for projection in (block.query, block.key))
        if context.rotary is not None:
            q, k = rotate_both(q, k, *context.rotary)
        scores = torch.einsum("qhd,khd->hqk", q.float(), k.float()) / size**0.5
        dense = bias.dense(len(x), x.device)
        return (scores if dense is None else scores + dense).softmax(dim=-1)
