"""Attention of one new token per sequence to itself and all tokens that were read before it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.models.transformer.bias import AttentionBias


def remembered_attention(q: Tensor, keys: Tensor, values: Tensor, bias: AttentionBias) -> Tensor:
    """Compute the last row of the causal attention of B sequences.

    Args:
        q: queries (B, H, h) of the newest tokens.
        keys: of all tokens so far, that one included, (B, T, H, h).
        values: likewise.
        bias: causal; its slopes are known, so that the row needs no matrix of all pairs.

    Returns:
        (B, H, h).
    """
    penalty = None
    if bias.slopes is not None:
        distance = torch.arange(keys.shape[1] - 1, -1, -1, device=q.device, dtype=torch.float32)
        penalty = (-bias.slopes.to(q.device)[:, None, None] * distance).to(q.dtype)  # (H, 1, T)
    keys, values = keys.transpose(1, 2), values.transpose(1, 2)
    return F.scaled_dot_product_attention(q[:, :, None], keys, values, attn_mask=penalty)[:, :, 0]
