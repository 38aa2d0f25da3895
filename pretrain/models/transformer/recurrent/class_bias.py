"""Scores that depend only on the classes of two tokens, as one-hot products.

That is exact, as every sum has one term that is not zero, and the gradient of the table is a product, not a scatter.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pretrain.models.layout import Layout, LengthGroup


def class_bias(table: Tensor, classes: Tensor, layout: Layout) -> Tensor:
    """Compute bias[i, j] = table[class of i, class of j]; minus infinity at padded keys.

    Args:
        table: (H, C, C).
        classes: uint8 (N,) in layout order.
        layout: the sequences that the tokens belong to.

    Returns:
        Flat (H * pairs,), see ``Layout.split_pairs``.
    """
    return _ClassBias.apply(table, classes, layout)


def _one_hot(classes: Tensor, group: LengthGroup, table: Tensor) -> Tensor:
    """(n,) -> (B, 1, T, C). Compared and not F.one_hot, which reads the largest class on the host."""
    every = torch.arange(table.shape[-1], dtype=classes.dtype, device=classes.device)
    return group.to_blocks((classes[:, None] == every).to(table.dtype))[:, None]


class _ClassBias(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, classes: Tensor, layout: Layout) -> Tensor:
        ctx.save_for_backward(table, classes)
        ctx.layout = layout
        packed = torch.empty(len(table) * layout.pairs, dtype=table.dtype, device=table.device)
        with torch.autocast(table.device.type, enabled=False):
            for group, block in zip(layout.groups, layout.split_pairs(packed, len(table)), strict=True):
                e = _one_hot(classes[group.start : group.stop], group, table)
                torch.matmul(e @ table, e.transpose(-1, -2), out=block)  # (B, 1, T, C), (H, C, C), (B, 1, C, T)
                if group.key_mask is not None:
                    block.masked_fill_(~group.key_mask, float("-inf"))
        return packed

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        table, classes = ctx.saved_tensors
        total = torch.zeros_like(table)
        for group, block in zip(ctx.layout.groups, ctx.layout.split_pairs(grad, len(table)), strict=True):
            e = _one_hot(classes[group.start : group.stop], group, table)
            total += (e.transpose(-1, -2) @ (block @ e)).sum(dim=0)
        return total, None, None
