"""Recurrent base-pairing attention of ERNIE-RNA (ernie_rna.md, b and e).

A position has one of six classes; the pairing value of two positions depends on their classes alone. So the 1-6-H
network that turns values into a bias per head is evaluated on the 6 x 6 class pairs, never on a T x T input. The
biased scores of a layer, before the softmax, are the additive bias of the next one.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.layout import Layout, LengthGroup

CLASS_OF_LETTER = {"A": 1, "C": 2, "G": 3, "U": 4, "T": 4}
SELECTED_CLASS = 5
CLASSES = 6
HIDDEN = 6  # a constant of the published model, not half the number of heads

# pairing values of class pairs: other, A, C, G, U, selected (rows and columns of selected positions are -1)
PAIR_VALUES = (
    (0.0, 0.0, 0.0, 0.0, 0.0, -1.0),
    (0.0, 0.0, 0.0, 0.0, 2.0, -1.0),
    (0.0, 0.0, 0.0, 3.0, 0.0, -1.0),
    (0.0, 0.0, 3.0, 0.0, 0.8, -1.0),
    (0.0, 2.0, 0.0, 0.8, 0.0, -1.0),
    (-1.0, -1.0, -1.0, -1.0, -1.0, -1.0),
)


def pair_class_table(vocab: tuple[str, ...]) -> np.ndarray:
    """Class of every token id, uint8 (V,): 1 A, 2 C, 3 G, 4 U or T, 0 everything else (<mask> included)."""
    return np.array([CLASS_OF_LETTER.get(token, 0) for token in vocab], dtype=np.uint8)


def pair_classes(ids: np.ndarray, table: np.ndarray, selected: np.ndarray | None = None) -> np.ndarray:
    """Classes uint8 (N,) of token ids (N,).

    In training, ids are the ORIGINAL ids and ``selected`` the flat positions chosen for prediction, whatever they were
    replaced with. At inference, ids are those given and nothing is selected, so <mask> pairs with nothing (value 0).
    """
    classes = table[ids]
    if selected is not None:
        classes[selected] = SELECTED_CLASS
    return classes


class Float32Linear(nn.Linear):
    """A Linear that computes in float32 (or wider), whatever its weights and the autocast around it are."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        dtype = torch.promote_types(self.weight.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.to(dtype), self.weight.to(dtype), self.bias.to(dtype))


class PairingBias(nn.Module):
    """The 1 -> 6 -> H network and the bias it gives."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.hidden = Float32Linear(1, HIDDEN)
        self.output = Float32Linear(HIDDEN, heads)

    def table(self, device: torch.device) -> Tensor:
        """Bias of every class pair, (H, 6, 6)."""
        values = torch.tensor(PAIR_VALUES, device=device)[..., None]  # (6, 6, 1)
        return self.output(F.gelu(self.hidden(values))).permute(2, 0, 1)

    def forward(self, pair_class: Tensor, layout: Layout) -> Tensor:
        """Scores below the first layer: classes (N,) in layout order -> flat (H * pairs,), float32."""
        return _ClassBias.apply(self.table(pair_class.device), pair_class, layout)


class _ClassBias(torch.autograd.Function):
    """bias[i, j] = table[class of i, class of j] for every pair of tokens of a sequence.

    Written as one-hot products: exact, as every sum has one term that is not zero, and the gradient of the table is
    a product too and not a scatter.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, classes: Tensor, layout: Layout) -> Tensor:
        ctx.save_for_backward(classes)
        ctx.layout, ctx.heads = layout, len(table)
        packed = torch.empty(len(table) * layout.pairs, dtype=table.dtype, device=table.device)
        with torch.autocast(table.device.type, enabled=False):
            for group, e, bias in _class_blocks(classes, layout, packed, len(table)):
                torch.matmul(e @ table, e.transpose(-1, -2), out=bias)  # (B, 1, T, C), (H, C, C), (B, 1, C, T)
                if group.key_mask is not None:
                    bias.masked_fill_(~group.key_mask, float("-inf"))
        return packed

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (classes,) = ctx.saved_tensors
        total = torch.zeros(ctx.heads, CLASSES, CLASSES, dtype=grad.dtype, device=grad.device)
        for _, e, block in _class_blocks(classes, ctx.layout, grad, ctx.heads):
            total += (e.transpose(-1, -2) @ (block @ e)).sum(dim=0)
        return total, None, None


def _class_blocks(
    classes: Tensor, layout: Layout, packed: Tensor, heads: int
) -> Iterator[tuple[LengthGroup, Tensor, Tensor]]:
    """Per group: itself, its one-hot classes (B, 1, T, C), its part of the packed tensor (B, H, T, T)."""
    one_hot = F.one_hot(classes.to(torch.int64), CLASSES).to(packed.dtype)  # (N, C)
    for group, rows, block in zip(layout.groups, layout.split(one_hot), layout.split_pairs(packed, heads), strict=True):
        yield group, group.block(rows)[:, None], block
