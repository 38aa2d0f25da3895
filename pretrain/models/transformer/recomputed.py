"""Attention that stores neither probabilities nor dropout masks.

The backward pass recomputes them from queries and keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pretrain.models.dropout import SeededDropout
from pretrain.models.layout import Layout
from pretrain.models.transformer.bias import AttentionBias
from pretrain.models.transformer.kernels import Kernel


@dataclass(frozen=True)
class _Call:
    """Arguments of one call that are not tensors with gradients."""

    kernel: Kernel
    bias: AttentionBias
    layout: Layout
    drop: SeededDropout


def recomputed_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: AttentionBias, layout: Layout, drop: SeededDropout, kernel: Kernel
) -> Tensor:
    """Compute softmax(q k^T / sqrt(h) + bias) v: (N, H, h) in layout order -> (N, H, h)."""
    return _RecomputedAttention.apply(q, k, v, _Call(kernel, bias, layout, drop))


class _RecomputedAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, call: _Call) -> Tensor:
        with torch.autocast(q.device.type, enabled=False):
            output, kept = call.kernel.forward(q, k, v, call.bias, call.layout, call.drop)
        ctx.save_for_backward(q, k, v, *kept)
        ctx.call = call
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # type: ignore[override]
        call: _Call = ctx.call
        q, k, v, *kept = ctx.saved_tensors
        with torch.autocast(q.device.type, enabled=False):
            grads = call.kernel.backward(q, k, v, call.bias, kept, call.layout, call.drop, grad.contiguous())
        return *grads, None
