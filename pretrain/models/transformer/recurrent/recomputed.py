"""Recurrent attention that stores neither probabilities nor dropout masks (recipes/ernie_rna.md#exact-forms, 4).

The scores of every layer are stored; or they share one buffer, to which each layer adds its product on the way up and
from which it subtracts it on the way down. With D the gradient of a layer's softmax, the gradient that its scores
receive is the sum of D over this layer and all above it. So one buffer of gradients travels down through the layers,
and each adds its part. Its dtype need not be that of the scores: then a carrier stands for them in autograd's graph.
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
from pretrain.models.transformer.recurrent.class_bias import carrier_of, class_bias

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
        packed: flat (n,), as ``kernel`` packs scores.
        kernel: computes with them.
        carrier: what has their gradient, in a dtype of its own, see ``carrier_of``; None: ``packed`` has it.
        buffer: the buffer that the layers share; None if each stores its own.
        shared: another caller reads ``packed``, so it must not be overwritten.
        saved: the backward pass of the layer below needs ``packed``.
    """

    packed: Tensor
    kernel: Kernel
    carrier: Tensor | None = None
    buffer: SharedScoreBuffer | None = None
    shared: bool = False
    saved: bool = False

    @classmethod
    def of_classes(
        cls,
        table: Tensor,
        classes: Tensor,
        layout: Layout,
        kernel: Kernel,
        *,
        store: bool,
        shared: bool,
        dtype: torch.dtype | None = None,
        grad_dtype: torch.dtype | None = None,
    ) -> Scores:
        """Return the bias of the first layer: values of a table (H, C, C) for pairs of tokens of classes uint8 (N,).

        ``store`` and ``shared`` are as in the attributes, the rest as in ``class_bias``.
        """
        packed, carrier = class_bias(table, classes, layout, kernel, dtype=dtype, grad_dtype=grad_dtype)
        return cls(packed, kernel, carrier, None if store else SharedScoreBuffer(packed.detach()), shared)


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
    q: Tensor, k: Tensor, v: Tensor, below: Scores, layout: Layout, drop: SeededDropout
) -> tuple[Tensor, Scores]:
    """Compute softmax(S) v with S = below + q k^T / sqrt(h): (N, H, h) in layout order -> (N, H, h), and S."""
    overwrite = not (below.shared or below.saved)
    call = _Call(below.kernel, layout, drop, below.buffer, overwrite, below.shared)
    output, packed, carrier = _RecurrentAttention.apply(q, k, v, below.packed, below.carrier, call)
    saved = below.buffer is None and torch.is_grad_enabled()
    return output, replace(below, packed=packed, carrier=carrier, saved=saved)


class _RecurrentAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, previous: Tensor, carrier: Tensor | None, call: _Call
    ) -> tuple[Tensor, Tensor, Tensor | None]:
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
        if carrier is None:
            ctx.grad_dtype = current.dtype
            return output, current, None
        ctx.grad_dtype = carrier.dtype
        ctx.mark_non_differentiable(current)
        return output, current, carrier_of(current, carrier.dtype)

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, grad_output: Tensor | None, of_current: Tensor | None, of_carrier: Tensor | None
    ) -> tuple[Any, ...]:
        call: _Call = ctx.call
        q, k, v, scores, *kept = ctx.saved_tensors
        if call.buffer is not None:
            if call.buffer.layer != ctx.layer:
                raise RuntimeError(
                    "a second backward pass through these scores; set model.pairing_memory=store for that"
                )
            scores = call.buffer.packed
            call.buffer.layer -= 1
        grad_scores, is_carried = of_current, ctx.needs_input_grad[4]
        if of_carrier is not None:
            grad_scores = of_carrier  # this buffer is nobody else's
        elif of_current is not None and call.shared:
            grad_scores = of_current.clone()
        fresh = grad_scores is None
        if fresh and (is_carried or ctx.needs_input_grad[3]):
            grad_scores = torch.empty_like(scores, dtype=ctx.grad_dtype)
        grad_output = torch.zeros_like(v) if grad_output is None else grad_output.contiguous()
        with torch.autocast(q.device.type, enabled=False):
            grads = call.kernel.backward(
                q, k, v, _NO_BIAS, kept, call.layout, call.drop, grad_output,
                scores=scores, grad_scores=grad_scores, fresh=fresh,
                reverse=call.buffer is not None and ctx.layer > 1,  # nobody looks at the bias of the first layer again
            )  # fmt: skip
        return *grads, None if is_carried else grad_scores, grad_scores if is_carried else None, None
