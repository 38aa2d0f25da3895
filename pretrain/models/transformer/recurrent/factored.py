"""Recurrent attention for long sequences: no memory for all pairs (recipes/ernie_rna.md#exact-forms, 1 to 3).

Scores of layer l are the class bias plus the sum of q k^T over layers 1 to l, which is one product of features laid
side by side. So a layer hands on the queries and keys so far instead of scores, and scores exist for one block of
queries at a time. That costs l products of queries and keys in layer l instead of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pretrain.models.dropout import SeededDropout, apply_mask
from pretrain.models.layout import Layout

BLOCK_CELLS = 1 << 22  # scores that exist at a time, all heads together


@dataclass(frozen=True)
class FactoredScores:
    """Scores of a layer as the factors of a product.

    Attributes:
        table: (H, C, C), score of two classes.
        classes: uint8 (N,) in layout order.
        terms: queries and keys (N, H, h) of this layer and all below.
    """

    table: Tensor
    classes: Tensor
    terms: tuple[tuple[Tensor, Tensor], ...] = ()


def factored_attention(
    q: Tensor, k: Tensor, v: Tensor, below: FactoredScores, layout: Layout, drop: SeededDropout
) -> tuple[Tensor, FactoredScores]:
    """Compute softmax(S) v and S = that of the layer below + q k^T / sqrt(h), for (N, H, h) in layout order."""
    scores = replace(below, terms=(*below.terms, (q, k)))
    queries, keys = zip(*scores.terms, strict=True)
    with torch.autocast(q.device.type, enabled=False):
        output = _Factored.apply(layout, drop, below.classes, below.table, v, *queries, *keys)
    return output, scores


@dataclass(frozen=True)
class _Block:
    """Some queries (rows) of one sequence (tokens), both in layout order: probabilities (H, R, T)."""

    rows: slice
    tokens: slice
    p: Tensor
    mask: Tensor | None


class _Factored(torch.autograd.Function):
    """Arguments ``terms``: the queries of all layers, then their keys, saved one by one so that layers share them."""

    @staticmethod
    def forward(
        ctx: Any, layout: Layout, drop: SeededDropout, classes: Tensor, table: Tensor, v: Tensor, *terms: Tensor
    ) -> Tensor:
        ctx.save_for_backward(classes, table, v, *terms)
        ctx.layout, ctx.drop = layout, drop
        output = torch.empty_like(v)
        for block in _blocks(terms, table, classes, layout, drop):
            p = block.p.to(v.dtype)
            dropped = p if block.mask is None else apply_mask(p, block.mask)
            output[block.rows] = (dropped @ _heads(v[block.tokens])).mul_(drop.scale).transpose(0, 1)
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        classes, table, v, *terms = ctx.saved_tensors
        d_table, dv, *d_terms = (torch.zeros_like(x) for x in (table, v, *terms))
        layers, scale = len(terms) // 2, v.shape[-1] ** -0.5
        with torch.autocast(v.device.type, enabled=False):
            for block in _blocks(terms, table, classes, ctx.layout, ctx.drop):
                rows, tokens, p = block.rows, block.tokens, block.p
                do = _heads(grad[rows]) * ctx.drop.scale  # (H, R, h)
                dp, dropped = do @ _heads(v[tokens]).mT, p.to(v.dtype)
                if block.mask is not None:
                    dp, dropped = apply_mask(dp, block.mask), apply_mask(dropped, block.mask)
                ds = torch.ops.aten._softmax_backward_data(dp.to(p.dtype), p, -1, p.dtype)
                dv[tokens] += (dropped.mT @ do).transpose(0, 1)
                d_table += _one_hot(classes[rows], table).T @ (ds @ _one_hot(classes[tokens], table))
                ds = (ds * scale).to(v.dtype)
                for q, k, dq, dk in zip(terms, terms[layers:], d_terms, d_terms[layers:], strict=False):
                    dq[rows] = (ds @ _heads(k[tokens])).transpose(0, 1)
                    dk[tokens] += (ds.mT @ _heads(q[rows])).transpose(0, 1)
        return None, None, None, d_table, dv, *d_terms


def _blocks(
    terms: Sequence[Tensor], table: Tensor, classes: Tensor, layout: Layout, drop: SeededDropout
) -> Iterator[_Block]:
    """In an order that is always the same, as masks are drawn on the way."""
    masks, start, scale = drop.masks(table.device), 0, terms[0].shape[-1] ** -0.5
    queries, keys = terms[: len(terms) // 2], terms[len(terms) // 2 :]
    for length in (length for group in layout.groups for length in group.lengths):
        tokens = slice(start, start + length)
        to_keys, by_class = _side_by_side(keys, tokens).mT, _one_hot(classes[tokens], table).T
        size = max(1, BLOCK_CELLS // (len(table) * length))
        for first in range(start, start + length, size):
            rows = slice(first, min(first + size, start + length))
            scores = _one_hot(classes[rows], table) @ table @ by_class  # (H, R, T)
            p = scores.add_((_side_by_side(queries, rows) * scale) @ to_keys).softmax(dim=-1)
            yield _Block(rows, tokens, p, None if masks is None else masks(p))
        start += length


def _side_by_side(terms: Sequence[Tensor], part: slice) -> Tensor:
    """Some tokens of l tensors (N, H, h) -> (H, n, l h)."""
    return torch.cat([_heads(term[part]) for term in terms], dim=-1)


def _heads(x: Tensor) -> Tensor:
    """(n, H, h) -> (H, n, h)."""
    return x.transpose(0, 1)


def _one_hot(classes: Tensor, table: Tensor) -> Tensor:
    """uint8 (n,) -> (n, C)."""
    every = torch.arange(table.shape[-1], dtype=classes.dtype, device=classes.device)
    return (classes[:, None] == every).to(table.dtype)
