"""Recurrent attention that stores neither probabilities nor dropout masks (recipes/ernie_rna.md#exact-forms, 4).

The scores of every layer are stored; or they share one buffer, to which each layer adds its product on the way up and
from which it subtracts it on the way down. With D the gradient of a layer's softmax, the gradient that its scores
receive is the sum of D over this layer and all above it. So one buffer of gradients travels down through the layers,
and each adds its part.
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
    """The one buffer for the scores of all layers, and the layer whose scores it holds now.

    Subtracting a product again is exact up to rounding, so the buffer is float32.
    """

    packed: Tensor
    layer: int = 0


@dataclass(frozen=True)
class Scores:
    """Scores of one layer, passed to the next.

    This is an object and not a tensor or a list, because engines hook what they find in arguments of modules (ZeRO
    stage 3 puts a collective on every tensor there).

    Attributes:
        packed: flat (H * pairs,), see ``Layout.split_pairs``; minus infinity at padded keys.
        buffer: the buffer that the layers share; None if each stores its own.
        shared: another caller reads ``packed``, so it must not be overwritten.
        saved: the backward pass of the layer below needs ``packed``.
    """

    packed: Tensor
    buffer: SharedScoreBuffer | None = None
    shared: bool = False
    saved: bool = False

    @classmethod
    def of_classes(cls, table: Tensor, classes: Tensor, layout: Layout, *, store: bool, shared: bool) -> Scores:
        """Return the bias of the first layer: values of a table (H, C, C) for pairs of tokens of classes uint8 (N,)."""
        packed = class_bias(table, classes, layout)
        return cls(packed, None if store else SharedScoreBuffer(packed.detach()), shared)


@dataclass(frozen=True)
class _Call:
    """Arguments of one call that are not tensors with gradients."""

    kernel: Kernel
    layout: Layout
    drop: SeededDropout
    buffer: SharedScoreBuffer | None
    overwrite: bool
    shared: bool


def recomputed_attention(
    q: Tensor, k: Tensor, v: Tensor, below: Scores, layout: Layout, drop: SeededDropout, kernel: Kernel
) -> tuple[Tensor, Scores]:
    """Compute softmax(S) v with S = below + q k^T / sqrt(h): (N, H, h) in layout order -> (N, H, h), and S."""
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
