"""Attention that stores neither probabilities nor dropout masks: the backward pass computes them again from scores,
and scores from queries and keys where they are not handed on (recipes/ernie_rna.md#exact-forms, 4).

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
from pretrain.models.transformer.kernels import Kernel
from pretrain.models.transformer.kernels.class_bias import class_bias


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
        trail: where the layers share one buffer; None where each stores its own.
        shared: somebody else looks at ``packed``, so it must not be overwritten.
        saved: the backward pass of the layer below needs ``packed``.
    """

    packed: Tensor
    trail: SharedScoreBuffer | None = None
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
    trail: SharedScoreBuffer | None = None
    overwrite: bool = False
    shared: bool = False


def recomputed_attention(
    q: Tensor, k: Tensor, v: Tensor, scores: Scores | None, layout: Layout, drop: SeededDropout, kernel: Kernel
) -> tuple[Tensor, Scores | None]:
    """softmax(S) v with S = scores + q k^T / sqrt(h): (N, H, h) in layout order -> (N, H, h), and S handed on."""
    if scores is None:
        return _RecomputedAttention.apply(q, k, v, None, _Call(kernel, layout, drop))[0], None
    overwrite = not (scores.shared or scores.saved)
    call = _Call(kernel, layout, drop, scores.trail, overwrite, scores.shared)
    output, packed = _RecomputedAttention.apply(q, k, v, scores.packed, call)
    return output, replace(scores, packed=packed, saved=scores.trail is None and torch.is_grad_enabled())


class _RecomputedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, previous: Tensor | None, call: _Call
    ) -> tuple[Tensor, Tensor | None]:
        current = previous
        if previous is not None and not call.overwrite:
            current = torch.empty_like(previous)
        with torch.autocast(q.device.type, enabled=False):
            output, kept = call.kernel.forward(q, k, v, previous, current, call.layout, call.drop)
        if call.overwrite:
            ctx.mark_dirty(current)
        if call.trail is not None:
            call.trail.layer += 1
            ctx.layer = call.trail.layer
        ctx.save_for_backward(q, k, v, current if call.trail is None else None, *kept)
        ctx.call = call
        ctx.set_materialize_grads(False)
        return output, current

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor | None, grad_current: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        call: _Call = ctx.call
        q, k, v, scores, *kept = ctx.saved_tensors
        if call.trail is not None:
            if call.trail.layer != ctx.layer:
                raise RuntimeError(
                    "a second backward pass through these scores; set model.pairing_memory=store for that"
                )
            scores = call.trail.packed
            call.trail.layer -= 1
        grad_scores = grad_current
        if ctx.needs_input_grad[3]:
            if grad_current is None:
                grad_scores = torch.zeros_like(scores)
            elif call.shared:
                grad_scores = grad_current.clone()
        grad_output = torch.zeros_like(v) if grad_output is None else grad_output.contiguous()
        with torch.autocast(q.device.type, enabled=False):
            grads = call.kernel.backward(
                q, k, v, scores, kept, call.layout, call.drop, grad_output, grad_scores, reverse=call.trail is not None
            )
        return *grads, grad_scores, None
