"""Attention that stores neither probabilities nor dropout masks: the backward pass computes them again from scores,
and scores from queries and keys where they are not handed on (ernie_rna.md, e 6).

With D the gradient of a layer's softmax, the gradient that its scores receive is the running sum of D over this layer
and all above it. So one buffer travels down through the layers, and each adds its part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pretrain.models.dropout import Drop
from pretrain.models.kernels import Kernel
from pretrain.models.kernels.chain import Chain
from pretrain.models.kernels.class_bias import class_bias
from pretrain.models.layout import Layout


@dataclass(frozen=True)
class Scores:
    """Scores of one layer, handed to the next. An object and not a tensor or a list, because engines hook what they
    find in arguments of modules (ZeRO stage 3 puts a collective on every tensor there).

    Attributes:
        packed: flat, H * pairs, see ``Layout.split_pairs``; minus infinity at padded keys.
        chain: how the backward pass gets ``packed`` again.
        keep_every: layers after which scores are stored; 1 stores them in every layer.
        shared: somebody else looks at ``packed``, so it must not be overwritten.
    """

    packed: Tensor
    chain: Chain
    keep_every: int = 1
    shared: bool = False

    @classmethod
    def of_classes(
        cls, table: Tensor, classes: Tensor, layout: Layout, dtype: torch.dtype, *, keep_every: int, shared: bool
    ) -> Scores:
        """Scores below the first layer: pairs of tokens of classes uint8 (N,) get values of a table (H, C, C)."""
        packed = class_bias(table, classes, layout).to(dtype)
        return cls(packed, Chain(table.detach(), classes, (), dtype), keep_every, shared)


@dataclass(frozen=True)
class _Call:
    """What one call needs besides tensors that have gradients."""

    kernel: Kernel
    layout: Layout
    drop: Drop
    chain: Chain  # how S is had again; a call that stores S replaces it
    hand_on: bool
    store: bool
    overwrite: bool
    shared: bool


def recomputed_attention(
    q: Tensor, k: Tensor, v: Tensor, scores: Scores | None, layout: Layout, drop: Drop, kernel: Kernel, *, last: bool
) -> tuple[Tensor, Scores | None]:
    """softmax(S) v with S = scores + q k^T / sqrt(h): (N, H, h) in layout order -> (N, H, h), and S handed on.

    Args:
        last: nobody reads S after this layer, so it is not written.
    """
    term = (q.detach(), k.detach())
    if scores is None:
        call = _Call(kernel, layout, drop, Chain(terms=(term,)), False, False, False, False)
        return _RecomputedAttention.apply(q, k, v, None, call)[0], None
    chain = replace(scores.chain, terms=(*scores.chain.terms, term))
    hand_on = not last
    store = hand_on and len(chain.terms) >= scores.keep_every
    is_kept = scores.chain.classes is None and not scores.chain.terms and torch.is_grad_enabled()
    disposable = not scores.shared and not is_kept
    call = _Call(kernel, layout, drop, chain, hand_on, store, hand_on and disposable, scores.shared)
    output, packed = _RecomputedAttention.apply(q, k, v, scores.packed, call)
    if not hand_on:
        return output, None
    kept = Chain(packed.detach(), dtype=packed.dtype)
    return output, replace(scores, packed=packed, chain=kept if store else chain)


class _RecomputedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, previous: Tensor | None, call: _Call
    ) -> tuple[Tensor, Tensor | None]:
        current = None
        if call.hand_on:
            assert previous is not None
            current = previous if call.overwrite else torch.empty_like(previous)
        with torch.autocast(q.device.type, enabled=False):
            output, kept = call.kernel.forward(q, k, v, previous, current, call.layout, call.drop)
        if call.overwrite:
            ctx.mark_dirty(current)
        chain = Chain(current, dtype=call.chain.dtype) if call.store else call.chain
        ctx.save_for_backward(q, k, v, *kept, *chain.tensors())
        ctx.call, ctx.kept = replace(call, chain=chain.forget()), len(kept)
        ctx.set_materialize_grads(False)
        return output, current

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor | None, grad_current: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        call: _Call = ctx.call
        q, k, v, *rest = ctx.saved_tensors
        chain = call.chain.with_tensors(rest[ctx.kept :])
        grad_scores = grad_current
        if ctx.needs_input_grad[3]:
            if grad_current is None:
                grad_scores = torch.zeros(q.shape[1] * call.layout.pairs, dtype=chain.dtype, device=q.device)
            elif call.shared:
                grad_scores = grad_current.clone()
        if grad_output is None:
            return None, None, None, grad_scores, None
        with torch.autocast(q.device.type, enabled=False):
            grads = call.kernel.backward(
                q, k, v, chain, tuple(rest[: ctx.kept]), call.layout, call.drop, grad_output.contiguous(), grad_scores
            )
        return *grads, grad_scores, None
