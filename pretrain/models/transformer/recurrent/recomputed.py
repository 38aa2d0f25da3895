"""Recurrent attention that stores neither probabilities nor dropout masks (recipes/ernie_rna.md#exact-forms, 4).

Scores that are handed on are stored in every layer; or they stay in one buffer, to which each layer adds its product on
the way up and from which it takes it off again on the way down. With D the gradient of a layer's softmax, the gradient
that its scores receive is the running sum of D over this layer and all above it. So one buffer travels down through the
layers, and each adds its part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pretrain.models.dropout import SeededDropout
from pretrain.models.layout import Layout
from pretrain.models.transformer.bias import NoBias
from pretrain.models.transformer.kernels import Kernel
from pretrain.models.transformer.recurrent.class_bias import class_bias

_NO_BIAS = NoBias()


@dataclass
class SharedScoreBuffer:
    """The one buffer of the scores of all layers, and the layer whose scores it holds now. Taking a product off again
    is exact up to rounding, which asks for float32."""

    packed: Tensor
    layer: int = 0


@dataclass(frozen=True)
class Scores:
    """Scores of one layer, handed to the next. An object and not a tensor or a list, because engines hook what they
    find in arguments of modules (ZeRO stage 3 puts a collective on every tensor there).

    Attributes:
        packed: flat, H * pairs, see ``Layout.split_pairs``; minus infinity at padded keys.
        buffer: where the layers share one buffer; None where each stores its own.
        shared: somebody else looks at ``packed``, so it must not be overwritten.
        saved: the backward pass of the layer below needs ``packed``.
    """

    packed: Tensor
    buffer: SharedScoreBuffer | None = None
    shared: bool = False
    saved: bool = False

    @classmethod
    def of_classes(cls, table: Tensor, classes: Tensor, layout: Layout, *, store: bool, shared: bool) -> Scores:
        """Scores below the first layer: pairs of tokens of classes uint8 (N,) get values of a table (H, C, C)."""
        packed = class_bias(table, classes, layout)
        return cls(packed, None if store else SharedScoreBuffer(packed.detach()), shared)


@dataclass(frozen=True)
class _Call:
    """What one call needs besides tensors that have gradients."""

    kernel: Kernel
    layout: Layout
    drop: SeededDropout
    buffer: SharedScoreBuffer | None
    overwrite: bool
    shared: bool


def recomputed_attention(
    q: Tensor, k: Tensor, v: Tensor, below: Scores, layout: Layout, drop: SeededDropout, kernel: Kernel
) -> tuple[Tensor, Scores]:
    """softmax(S) v with S = below + q k^T / sqrt(h): (N, H, h) in layout order -> (N, H, h), and S handed on."""
    overwrite = not (below.shared or below.saved)
    call = _Call(kernel, layout, drop, below.buffer, overwrite, below.shared)
    output, packed = _RecurrentAttention.apply(q, k, v, below.packed, call)
    return output, replace(below, packed=packed, saved=below.buffer is None and torch.is_grad_enabled())


class _RecurrentAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, previous: Tensor, call: _Call) -> tuple[Tensor, Tensor]:
        current = previous if call.overwrite else torch.empty_like(previous)
        with torch.autocast(q.device.type, enabled=False):
            output, kept = call.kernel.forward(
                q, k, v, _NO_BIAS, call.layout, call.drop, previous=previous, current=current
            )
        if call.overwrite:
            ctx.mark_dirty(current)
        if call.buffer is not None:
            call.buffer.layer += 1
            ctx.layer = call.buffer.layer
        ctx.save_for_backward(q, k, v, current if call.buffer is None else None, *kept)
        ctx.call = call
        ctx.set_materialize_grads(False)
        return output, current

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor | None, grad_current: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        call: _Call = ctx.call
        q, k, v, scores, *kept = ctx.saved_tensors
        if call.buffer is not None:
            if call.buffer.layer != ctx.layer:
                raise RuntimeError(
                    "a second backward pass through these scores; set model.pairing_memory=store for that"
                )
            scores = call.buffer.packed
            call.buffer.layer -= 1
        grad_scores = grad_current
        if ctx.needs_input_grad[3]:
            if grad_current is None:
                grad_scores = torch.zeros_like(scores)
            elif call.shared:
                grad_scores = grad_current.clone()
        grad_output = torch.zeros_like(v) if grad_output is None else grad_output.contiguous()
        with torch.autocast(q.device.type, enabled=False):
            grads = call.kernel.backward(
                q, k, v, _NO_BIAS, kept, call.layout, call.drop, grad_output,
                scores=scores, grad_scores=grad_scores, reverse=call.buffer is not None,
            )  # fmt: skip
        return *grads, grad_scores, None
