"""Recurrent attention: S = S of the layer below + q k^T / sqrt(h), output softmax(S) v."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.models.dropout import SeededDropout
from pretrain.models.layout import Layout
from pretrain.models.transformer.recurrent.factored import FactoredScores, factored_attention
from pretrain.models.transformer.recurrent.recomputed import Scores, recomputed_attention


@dataclass(frozen=True)
class Recurrent:
    """Scores of the layer below, as a tensor or as the factors of a product."""

    scores: Scores | FactoredScores


def recurrent_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Recurrent, layout: Layout, *, dropout: float, backend: str
) -> tuple[Tensor, Recurrent]:
    """Attend with scores of the layer below; they are passed on without dropout.

    Args:
        q: queries (N, H, h) in layout order.
        k: keys, likewise.
        v: values, likewise.
        bias: scores of the layer below.
        layout: the sequences that the tokens belong to.
        dropout: rate, on the probabilities only.
        backend: ``recomputed``, or ``plain``, the formula in autograd's own operations.

    Returns:
        (N, H, h) in layout order, and the scores of this layer.
    """
    below = bias.scores
    if backend == "plain":
        assert isinstance(below, Scores)
        output, scores = _plain(q, k, v, below, layout, dropout)
        return output, Recurrent(scores)
    if backend != "recomputed":
        raise ValueError(f"the {backend} back-end hands no scores on; choose_backend takes another one")
    drop = SeededDropout.draw(dropout)
    if isinstance(below, FactoredScores):
        output, factored = factored_attention(q, k, v, below, layout, drop)
        return output, Recurrent(factored)
    output, scores = recomputed_attention(q, k, v, below, layout, drop)
    return output, Recurrent(scores)


def _plain(q: Tensor, k: Tensor, v: Tensor, below: Scores, layout: Layout, dropout: float) -> tuple[Tensor, Scores]:
    outputs, handed_on = [], []
    before = layout.split_pairs(below.packed, q.shape[1])
    rows_by_group = zip(*map(layout.split, (q * q.shape[-1] ** -0.5, k, v)), strict=True)
    for group, previous, rows in zip(layout.groups, before, rows_by_group, strict=True):
        q_block, k_block, v_block = (group.to_blocks(x).transpose(1, 2) for x in rows)  # (B, H, T, h)
        current = previous + (q_block @ k_block.transpose(-1, -2)).to(previous.dtype)
        probabilities = F.dropout(current.softmax(dim=-1).to(v.dtype), dropout)
        outputs.append(group.from_blocks((probabilities @ v_block).transpose(1, 2)))
        handed_on.append(current.flatten())
    return torch.cat(outputs), replace(below, packed=torch.cat(handed_on))
