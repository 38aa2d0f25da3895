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
    def first(cls, packed: Tensor, keep_every: int, shared: bool) -> Scores:
        """Scores below the first layer."""
        return cls(packed, Chain(packed.detach()), keep_every, shared)


@dataclass(frozen=True)
class _Call:
    """What one call needs besides tensors that have gradients."""

    kernel: Kernel
    layout: Layout
    drop: Drop
    chain: Chain | None  # None: the scores of this very layer, which the call stores
    hand_on: bool
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
        call = _Call(kernel, layout, drop, Chain(None, (term,)), False, False, False)
        return _RecomputedAttention.apply(q, k, v, None, call)[0], None
    chain = replace(scores.chain, terms=(*scores.chain.terms, term))
    hand_on = not last
    store = hand_on and len(chain.terms) >= scores.keep_every
    disposable = not scores.shared and (len(scores.chain.terms) > 0 or not torch.is_grad_enabled())
    call = _Call(kernel, layout, drop, None if store else chain, hand_on, hand_on and disposable, scores.shared)
    output, packed = _RecomputedAttention.apply(q, k, v, scores.packed, call)
    if not hand_on:
        return output, None
    return output, replace(scores, packed=packed, chain=Chain(packed.detach()) if store else chain)


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
        chain = call.chain or Chain(current)
        ctx.save_for_backward(q, k, v, *kept, *chain.tensors())
        ctx.call, ctx.kept = replace(call, chain=None), len(kept)
        ctx.set_materialize_grads(False)
        return output, current

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor | None, grad_current: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        call: _Call = ctx.call
        q, k, v, *rest = ctx.saved_tensors
        chain = Chain.of(rest[ctx.kept :])
        grad_scores = grad_current
        if ctx.needs_input_grad[3]:
            if grad_current is None:
                grad_scores = torch.zeros(len(q[0]) * call.layout.pairs, dtype=_dtype_of(chain), device=q.device)
            elif call.shared:
                grad_scores = grad_current.clone()
        if grad_output is None:
            return None, None, None, grad_scores, None
        with torch.autocast(q.device.type, enabled=False):
            grads = call.kernel.backward(
                q, k, v, chain, tuple(rest[: ctx.kept]), call.layout, call.drop, grad_output.contiguous(), grad_scores
            )
        return *grads, grad_scores, None


def _dtype_of(chain: Chain) -> torch.dtype:
    assert chain.base is not None
    return chain.base.dtype
