"""Scores that depend only on the classes of two tokens, as one-hot products, length group by length group.

That is exact, as every sum has one term that is not zero, and the gradient of the table is a product, not a scatter.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pretrain.models.layout import Layout, LengthGroup


def class_scores(table: Tensor, classes: Tensor, layout: Layout, dtype: torch.dtype) -> Tensor:
    """See ``Kernel.class_scores``; minus infinity at padded keys."""
    table = table.to(dtype)
    packed = torch.empty(len(table) * layout.pairs, dtype=dtype, device=table.device)
    for group, block in zip(layout.groups, layout.split_pairs(packed, len(table)), strict=True):
        e = _one_hot(classes[group.start : group.stop], group, table)
        torch.matmul(e @ table, e.transpose(-1, -2), out=block)  # (B, 1, T, C), (H, C, C), (B, 1, C, T)
        if group.key_mask is not None:
            block.masked_fill_(~group.key_mask, float("-inf"))
    return packed


def class_gradient(grad: Tensor, classes: Tensor, layout: Layout, table: Tensor) -> Tensor:
    """See ``Kernel.class_gradient``."""
    total = torch.zeros_like(table)
    for group, block in zip(layout.groups, layout.split_pairs(grad, len(table)), strict=True):
        e = _one_hot(classes[group.start : group.stop], group, table)
        total += (e.transpose(-1, -2) @ (block.to(table.dtype) @ e)).sum(dim=0)
    return total


def _one_hot(classes: Tensor, group: LengthGroup, table: Tensor) -> Tensor:
    """(n,) -> (B, 1, T, C). Compared and not F.one_hot, which reads the largest class on the host."""
    every = torch.arange(table.shape[-1], dtype=classes.dtype, device=classes.device)
    return group.to_blocks((classes[:, None] == every).to(table.dtype))[:, None]
