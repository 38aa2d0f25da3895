"""The kernel in plain PyTorch: length group by length group, each small enough to stay in the cache on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from pretrain.models.dropout import Drop, keep_mask
from pretrain.models.kernels.chain import Chain, scores_dtype
from pretrain.models.kernels.class_bias import class_bias_of_group
from pretrain.models.layout import Layout, LengthGroup


class TorchKernel:
    """See ``Kernel``. Nothing is kept for the backward pass: probabilities and masks are computed again."""

    def forward(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        previous: Tensor | None,
        current: Tensor | None,
        layout: Layout,
        drop: Drop,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        output, generator = torch.empty_like(v), drop.masks(q.device)
        for group, before, after, rows in _groups(layout, q.shape[1], previous, current):
            q_block, k_block, v_block = (_heads_first(group, x[rows]) for x in (q, k, v))
            scores = _add_product(before, q_block, k_block, out=after)
            if previous is None and group.key_mask is not None:
                scores = _hide_padding(scores, group)
            p = scores.softmax(dim=-1).to(v.dtype)
            if generator is not None:
                p = p * keep_mask(p.shape, drop.rate, p.device, generator)
            output[rows] = _tokens_first(group, torch.bmm(p, v_block).mul_(drop.scale))
        return output, ()

    def backward(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        chain: Chain,
        kept: tuple[Tensor, ...],
        layout: Layout,
        drop: Drop,
        grad_output: Tensor,
        grad_scores: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        grads = tuple(torch.empty_like(x) for x in (q, k, v))
        generator = drop.masks(q.device)
        base = chain.base if chain.classes is None else None
        for group, stored, above, rows in _groups(layout, q.shape[1], base, grad_scores):
            q_block, k_block, v_block = (_heads_first(group, x[rows]) for x in (q, k, v))
            do_block = _heads_first(group, grad_output[rows] * drop.scale, zero_padding=True)
            p = _scores_again(chain, stored, group, rows).softmax(dim=-1)
            dp, dropped = torch.bmm(do_block, v_block.transpose(1, 2)), p.to(v.dtype)
            if generator is not None:
                mask = keep_mask(p.shape, drop.rate, p.device, generator)
                dp, dropped = dp.mul_(mask), dropped * mask
            dv = torch.bmm(dropped.transpose(1, 2), do_block)
            ds = torch.ops.aten._softmax_backward_data(dp.to(p.dtype), p, -1, p.dtype)
            if above is not None:
                ds = above.add_(ds)
            ds = ds.to(q.dtype)
            scale = q.shape[-1] ** -0.5
            dq = torch.bmm(ds, k_block).mul_(scale)
            dk = torch.bmm(ds.transpose(1, 2), q_block).mul_(scale)
            for grad, block in zip(grads, (dq, dk, dv), strict=True):
                grad[rows] = _tokens_first(group, block)
        return grads  # type: ignore[return-value]


class _Group(NamedTuple):
    """A length group, its views (B*H, T, T) into two flat tensors, and its rows of token tensors."""

    group: LengthGroup
    first: Tensor | None
    second: Tensor | None
    rows: slice


def _groups(layout: Layout, heads: int, first: Tensor | None, second: Tensor | None) -> Iterator[_Group]:
    for group in layout.groups:
        views = []
        for packed in (first, second):
            cells = slice(heads * group.first_pair, heads * (group.first_pair + group.pairs))
            views.append(None if packed is None else packed[cells].view(-1, group.width, group.width))
        yield _Group(group, views[0], views[1], slice(group.start, group.stop))


def _heads_first(group: LengthGroup, rows: Tensor, zero_padding: bool = False) -> Tensor:
    """The group's tokens (n, H, h) -> (B*H, T, h), without a copy where there is one sequence without padding."""
    block = group.block(rows).transpose(1, 2)
    if zero_padding and group.key_mask is not None:
        block = block.masked_fill(~group.key_mask.transpose(-1, -2), 0.0)
    return block[0] if len(group.lengths) == 1 else block.reshape(-1, group.width, rows.shape[-1])


def _tokens_first(group: LengthGroup, block: Tensor) -> Tensor:
    """(B*H, T, h) -> the group's real tokens (n, H, h)."""
    size = block.shape[-1]
    return group.tokens(block.view(len(group.lengths), -1, group.width, size).transpose(1, 2))


def _add_product(scores: Tensor | None, q: Tensor, k: Tensor, out: Tensor | None) -> Tensor:
    """scores + q k^T / sqrt(h), written to ``out`` where one is given."""
    scale, dtype = q.shape[-1] ** -0.5, scores_dtype(scores, q)
    if scores is None:
        return torch.bmm(q * scale, k.transpose(1, 2)).to(dtype)
    if dtype == q.dtype:
        return torch.baddbmm(scores, q, k.transpose(1, 2), alpha=scale, out=out)
    return torch.add(scores, torch.bmm(q * scale, k.transpose(1, 2)), out=out)


def _scores_again(chain: Chain, stored: Tensor | None, group: LengthGroup, rows: slice) -> Tensor:
    scores = stored
    if chain.classes is not None:
        assert chain.base is not None
        scores = class_bias_of_group(chain.base, chain.classes[rows], group).view(-1, group.width, group.width)
        scores = scores.to(chain.dtype)
    hide = scores is None and group.key_mask is not None
    for q, k in chain.terms:
        q_block, k_block = _heads_first(group, q[rows]), _heads_first(group, k[rows])
        scores = _add_product(scores, q_block, k_block, out=None)
    assert scores is not None
    return _hide_padding(scores, group) if hide else scores


def _hide_padding(scores: Tensor, group: LengthGroup) -> Tensor:
    """Scores handed on carry minus infinity at padded keys from the start; others get it here."""
    by_sequence = scores.view(len(group.lengths), -1, group.width, group.width)
    return by_sequence.masked_fill(~group.key_mask, float("-inf")).view_as(scores)  # type: ignore[operator]
